"""Draw what `perfkit snmp plan` found: how a device is read best, and why that is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from perfkit import stats
from perfkit.report.figures import TIMES, ends, figure, ratio
from perfkit.report.terminal import GAP, filled, head, page
from perfkit.result import Interval
from perfkit.snmp.plan import (
    ANSWERS,
    CUT,
    ENDS,
    NAMES,
    SILENCE,
    Choice,
    Compared,
    Method,
    Plan,
    Timed,
    Try,
)
from perfkit.units import Unit, show

SIZED = {
    Method.BULK: "GETBULK with max-repetitions {}",
    Method.COLUMNS: "GETNEXT for {} columns at once",
    Method.MANY: "GET for {} OIDs at once",
    Method.NEXT: "GETNEXT, one OID a request",
    Method.GET: "GET, one OID a request",
}
WIDE = 80
"""From so many columns on, every method has its interval."""
OUTCOMES = {SILENCE: "no answer", CUT: "cut to {:,}", ENDS: "{:,}, all there is"}


def render(plan: Plan, width: int) -> RenderableType:
    """Return the recommendation, what it was computed from, and how other programs write it."""
    blocks: list[RenderableType] = []
    if plan.interrupted:
        blocks.append(Text("INTERRUPTED: what is below was measured, the rest was not", "yellow"))
    blocks.append(head(f"SNMP plan for {plan.device}", list(_facts(plan)), width - 2))
    if plan.recommended is not None:
        blocks.append(Text(f"{named(plan.recommended)} measured best", "bold"))
    blocks += [Text(f"{sentence}.") for sentence in sentences(plan)]
    if plan.timed:
        blocks += ["", _methods(plan, wide=width >= WIDE)]
    if plan.tries:
        blocks += [
            "",
            Text("values per second by the size of an answer", "dim"),
            _tries(plan, width - 2),
        ]
    if plan.walking is not None:
        settings = list(others(plan.version, plan.walking))
        blocks += ["", Text("a walk, as other programs write it", "dim"), _grid(settings)]
    sent = f"{plan.requests:,} requests, one at a time, of at most {plan.at_most:,}"
    facts = [sent, show(plan.seconds, Unit.SECONDS), f"seed {plan.seed}"]
    blocks += ["", *(Text(line, "dim") for line in filled(facts, width - 2))]
    return page(width, *blocks)


def named(choice: Choice) -> str:
    """Say what a method does with its size."""
    return SIZED[Method(choice.method)].format(choice.size)


def _facts(plan: Plan) -> Iterator[str]:
    names = {oid: name for name, oid in NAMES.items()}
    yield f"SNMPv{plan.version}"
    for subtree in plan.subtrees:
        name = f"{names[subtree.oid]} {subtree.oid}" if subtree.oid in names else subtree.oid
        yield f"nothing below {name}" if not subtree.sample else name
    yield f"a sample of {sum(subtree.sample for subtree in plan.subtrees):,} values"
    rounds = max((len(one.seconds) for one in plan.timed), default=0)
    if rounds:
        yield "1 round" if rounds == 1 else f"{rounds} rounds in random order"


def sentences(plan: Plan) -> Iterator[str]:
    """Say what follows from the figures."""
    best = _find(plan, plan.recommended)
    if best is not None and best.compared is not None and best.method != Method.GET:
        yield f"It reads {_times(best.compared)} as many values per second as one GET per OID"
    bulk = max(
        (one for one in plan.timed if one.method == Method.BULK and not one.differs),
        key=lambda one: one.rate,
        default=None,
    )
    if plan.version == "1":
        yield "The device speaks SNMPv1, which has no GETBULK"
    elif best is not None and bulk is None:
        yield "The device does not answer GETBULK as it should"
    elif best is not None and bulk is not None and best.method != Method.BULK:
        share = figure(bulk.rate / best.rate, 2)
        yield f"GETBULK is not faster here: it reads {share}{TIMES} as many values per second"
    if plan.walking is not None and plan.walking != plan.recommended:
        yield f"To walk what is not known before: {named(plan.walking)}"
    good = max((one.size for one in plan.tries if not one.failed), default=0)
    if plan.limit is not None and plan.limit < good:
        yield f"Further on, answers were too big: they were halved to {plan.limit} values"
    for one in plan.timed:
        if one.differs:
            yield (
                f"{named(Choice(one.method, one.size))} did not return {one.differs} as it was "
                "in the sample, and is not recommended"
            )
    walked = plan.walked
    if walked is not None:
        part = "The whole walk" if walked.complete else "A walk that was ended by --most"
        yield (
            f"{part}: {walked.values:,} values in {walked.requests:,} requests, counted; "
            f"{show(walked.seconds, Unit.SECONDS)}"
        )


def _find(plan: Plan, choice: Choice | None) -> Timed | None:
    """Return what was timed for a choice: it may have been lowered to a limit since."""
    if choice is None:
        return None
    able = [one for one in plan.timed if one.method == choice.method and one.size >= choice.size]
    return min(able, key=lambda one: one.size, default=None)


def _times(compared: Compared) -> str:
    """Say how many times as fast, and how sure that is."""
    interval = _interval(compared)
    if compared.confidence is None:
        return f"{ratio(interval)} ({ends(interval)} in the rounds)"
    return f"{ratio(interval)} ({ends(interval)} with {compared.confidence:.0%} confidence)"


def _interval(compared: Compared) -> Interval:
    confidence = compared.confidence or stats.CONFIDENCE
    return Interval(compared.ratio, compared.low, compared.high, confidence)


def _methods(plan: Plan, *, wide: bool) -> Table:
    """Return a row a method; a narrow one says how sure a speed-up is only of the best."""
    intervals = any(one.compared and one.compared.confidence for one in plan.timed)
    spread = [("95% interval" if intervals else "range")] if wide else []
    walk = ["walk, requests" if wide else "requests"] if plan.walked is not None else []
    heads = ["at once", "values/s", "speed-up", *spread, *walk]
    table = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    for _ in heads:
        table.add_column(justify="right", no_wrap=True)
    table.add_row("", *(Text(words, "dim") for words in heads))
    best = _find(plan, plan.recommended)
    for one in plan.timed:
        compared = None if one.method == Method.GET else one.compared
        interval = _interval(compared) if compared is not None else None
        cells = [_size(one, plan.limit), _rate(one.rate), ratio(interval) if interval else ""]
        cells += [ends(interval) if interval else ""] * wide
        cells += ["" if one.whole is None else f"{one.whole:,}"] * len(walk)
        sign, style = ("▸ ", "bold") if one is best else ("  ", "")
        table.add_row(Text(f"{sign}{one.method}", style), *(Text(cell, style) for cell in cells))
    return table


def _size(one: Timed, limit: int | None) -> str:
    """Say how many were asked for, and to how many that was lowered in the end."""
    return str(one.size) if limit is None or limit >= one.size else f"{one.size} → {limit}"


def _rate(rate: float) -> str:
    """Write values per second with three digits at most: the clock bears no more."""
    return f"{float(f'{rate:.3g}'):,.0f}" if rate >= 10 else f"{rate:.2g}"  # noqa: PLR2004 (digits)


def _tries(plan: Plan, width: int) -> Table:
    by_method: dict[str, list[str]] = {}
    for one in plan.tries:
        by_method.setdefault(one.method, []).append(f"{one.size}: {_outcome(one)}")
    room = width - max(map(cell_len, by_method)) - 2 * GAP
    return _grid((method, "\n".join(filled(tries, room))) for method, tries in by_method.items())


def _outcome(one: Try) -> str:
    if one.outcome not in ANSWERS | {SILENCE}:
        return one.outcome
    words = OUTCOMES.get(one.outcome, "").format(one.values)
    rate = "" if one.failed else _rate(one.rate)
    return f"{rate} ({words})" if rate and words else rate or words


def others(version: str, choice: Choice) -> Iterator[tuple[str, str]]:
    """Yield other programs, and how each is told to walk in this way.

    Sources: snmpbulkwalk(1) and snmpwalk(1) of net-snmp; the README of Telegraf's inputs.snmp; the
    README of snmp_exporter's generator; pysnmp.hlapi.v3arch.asyncio.
    """
    size = str(choice.size)
    if choice.method == Method.BULK:
        yield "net-snmp", f"snmpbulkwalk -v{version} -Cr{size}"
        yield "Telegraf", f"max_repetitions = {size}"
        yield "snmp_exporter", f"max_repetitions: {size}"
        yield "pysnmp", f"bulk_walk_cmd(..., 0, {size}, ...)"
        return
    yield "net-snmp", f"snmpwalk -v{version}"
    # Neither of the two has GETNEXT for SNMPv2c; a GETBULK for one value comes nearest.
    if version == "1":
        yield "Telegraf", "version = 1"
        yield "snmp_exporter", "version: 1"
    else:
        yield "Telegraf", "max_repetitions = 1"
        yield "snmp_exporter", "max_repetitions: 1"
    if choice.method == Method.COLUMNS:
        yield "pysnmp", f"next_cmd(...) with the last OID of each of {size} columns"
    else:
        yield "pysnmp", "walk_cmd(...)"


def _grid(facts: Iterable[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, words in facts:
        table.add_row(Text(f"  {name}"), Text(words))
    return table
