"""`perfkit recheck`: compute every verdict of a saved result again."""

from __future__ import annotations

from perfkit.cli.options import Json
from perfkit.cli.show import ResultFile
from perfkit.errors import Exit


def recheck_file(file: ResultFile, *, json: Json = False) -> Exit:
    """Compute each verdict again from the raw values in the file; exit 1 when one differs.

    [dim]$[/] perfkit recheck result.json

    [dim]$[/] perfkit recheck result.json --json

    [dim]$[/] perfkit show result.json     [dim]# what the file says[/]
    """
    import msgspec

    from perfkit import stats
    from perfkit.cli.console import emit
    from perfkit.result import load

    result = load(file)
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
