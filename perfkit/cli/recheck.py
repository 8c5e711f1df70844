"""`perfkit recheck`: compute every verdict of a saved result again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfkit.cli.options import Json
from perfkit.cli.show import SavedFile
from perfkit.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfkit.outcome import Gate
    from perfkit.result import Verdict
    from perfkit.sweep import Sweep


def recheck_file(file: SavedFile, *, json: Json = False) -> Exit:
    """Compute each verdict again from the raw values in a file; exit 1 when one differs.

    The file is a result of `perfkit probe -o`, a sweep of `perfkit sweep -o` or a gate of
    `perfkit gate --save`.

    [dim]$[/] perfkit recheck result.json

    [dim]$[/] perfkit recheck result.json --json

    [dim]$[/] perfkit show result.json     [dim]# what the file says[/]
    """
    import msgspec

    from perfkit import stats
    from perfkit.cli.console import emit
    from perfkit.cli.files import load
    from perfkit.outcome import Gate
    from perfkit.sweep import Sweep

    result = load(file)
    if isinstance(result, Gate):
        return _recheck_gate(result, json=json)
    if isinstance(result, Sweep):
        return _recheck_sweep(result, json=json)
    computed = {verdict.variant: verdict for verdict in stats.judge(result.variants)}
    stored = {verdict.variant: verdict for verdict in result.verdicts}
    differ = sorted(name for name in computed | stored if computed.get(name) != stored.get(name))
    if json:
        told = {"same": not differ, "differ": differ, "verdicts": list(computed.values())}
        emit(msgspec.json.format(msgspec.json.encode(told), indent=1).decode() + "\n")
        return Exit.FOUND if differ else Exit.FINE
    for name in computed | stored:
        says, is_now = stored.get(name), computed.get(name)
        if says is not None and is_now is not None and name not in differ:
            emit(f"same     {name}: {is_now.word}, {is_now.typical.ratio:.4g}x\n")
        else:
            before = "nothing" if says is None else f"{says.word}, {says.typical.ratio:.4g}x"
            after = "nothing" if is_now is None else f"{is_now.word}, {is_now.typical.ratio:.4g}x"
            emit(f"differs  {name}: the file says {before}; its values say {after}\n")
    if not computed:
        emit("nothing was timed, so there is nothing to compute again\n")
    return Exit.FOUND if differ else Exit.FINE


def _recheck_gate(gate: Gate, *, json: bool) -> Exit:
    import msgspec

    from perfkit.cli.console import emit
    from perfkit.gate.session import judge_again

    again = judge_again(gate)
    differ = [f"{one.name}: {was.target}: {was.check}" for one, was, now in again if was != now]
    if json:
        told = {"same": not differ, "differ": differ, "judged": [now for _, _, now in again]}
        emit(msgspec.json.format(msgspec.json.encode(told), indent=1).decode() + "\n")
        return Exit.FOUND if differ else Exit.FINE
    for one, was, now in again:
        check = f"{one.name}: {was.target}: {was.check}"
        if was == now:
            emit(f"same     {check}: {now.verdict}\n")
        else:
            emit(f"differs  {check}: {was.verdict} ({was.said}); its values say {now.verdict}")
            emit(f" ({now.said})\n")
    if not again:
        emit("nothing was judged by values, so there is nothing to compute again\n")
    return Exit.FOUND if differ else Exit.FINE


def _recheck_sweep(sweep: Sweep, *, json: bool) -> Exit:
    import msgspec

    from perfkit.cli.console import emit
    from perfkit.stats import judge
    from perfkit.sweep import curves

    results = sweep.results
    again = {
        curve.variant: curve for curve in curves(sweep.values, sweep.results, workers=sweep.workers)
    }
    stored = {curve.variant: curve for curve in sweep.curves}
    differ = sorted(
        name
        for name in again | stored
        if again.get(name) != stored.get(name)
        or any(_judged(one.verdicts, name) != _judged(judge(one.variants), name) for one in results)
    )
    if json:
        told = {"same": not differ, "differ": differ, "curves": list(again.values())}
        emit(msgspec.json.format(msgspec.json.encode(told), indent=1).decode() + "\n")
        return Exit.FOUND if differ else Exit.FINE
    for name in again | stored:
        if name in differ:
            emit(f"differs  {name}: its curve or verdicts are not those that its values give\n")
        else:
            emit(f"same     {name}\n")
    return Exit.FOUND if differ else Exit.FINE


def _judged(verdicts: Sequence[Verdict], name: str) -> Verdict | None:
    return next((verdict for verdict in verdicts if verdict.variant == name), None)
