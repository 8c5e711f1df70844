"""Write what was recorded of SNMP as the tables that the documentation shows.

python benchmarks/snmp_tables.py     # writes recorded/snmp.md
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from missing_number_rounds import Rounds, Took, speed
from snmp_clients import COLUMNS, START, WALK
from snmp_fleet import ALONE, AT_ONCE, COMPILED, IN_TURN, took
from snmp_gain import BULK, EACH, RECORDED, THREADS, rounds_of
from snmp_story import CLAIMS, NAIVE, judge
from snmp_story import speed as story_speed

from perfkit.result import Interval
from perfkit.units import Unit, show

TABLE = RECORDED.with_suffix(".md")
PEER = f"{WALK} -Cr25"
LESS_START = ", less its start"
VERDICTS = {"met": "met", "missed": "not met"}
FLEET_CLIENTS = {
    ALONE: "perfkit, one device alone",
    AT_ONCE: "perfkit, all at once",
    COMPILED: "compiled, all at once",
    IN_TURN: "perfkit, one after the other",
}

SHARES = {"cpu": "the client", "doors": "the doors", "devices": "the devices"}
"""Whose processor seconds are taken of a poll."""
COUNTED = ("retries", "lost")
"""What the doors count of a poll."""

Record = Mapping[str, Any]


def render(record: Record) -> str:
    """Return all tables, each below its heading."""
    head = record["pollers"]
    tools = ", ".join(f"{name} {version}" for name, version in head["tools"].items())
    return "\n".join(
        [
            f"Measured on {head['machine']}, with {tools}.",
            "Ratios are of rounds in which both took their turn, with their 95 % intervals.",
            "",
            "### One device",
            "",
            *pollers_table(record["pollers"]),
            "",
            "### A fleet",
            "",
            *fleet_table(record["fleet"]),
            "",
            "### The stories",
            "",
            *story_table(record["story"]),
            "",
            "### With distance",
            "",
            *gain_table(record["gain"]),
            "",
        ]
    )


def pollers_table(values: Record) -> Iterator[str]:
    """Yield the tables of who reads one device's table: fast, and with how much processor time."""
    oids = values["rows"] * len(COLUMNS)
    places = [
        (f"{place['agent']}, {_milliseconds(place['distance'])}", less_start(rounds_of(place)))
        for place in values["places"]
    ]
    known = {name for _, found in places for name in found} - {START}
    # In the order of the place with most clients; whom little is left of may be missing there.
    order = list(dict.fromkeys(name for _, found in places for name in found))
    names = sorted(known, key=lambda name: (order.index(name.removesuffix(LESS_START)), name))
    heads = [name for name, _ in places]
    yield f"{oids:,} OIDs of ifTable, median OIDs a second:"
    yield ""
    yield from _heading("client", *heads)
    for name in names:
        cells = (_typical(found, name, "wall") for _, found in places)
        yield row((name, *(f"{oids / cell:,.0f}" if cell else "" for cell in cells)))
    yield ""
    yield "Processor time of the client for each OID:"
    yield ""
    yield from _heading("client", *heads)
    for name in names:
        cells = (_typical(found, name, "cpu") for _, found in places)
        yield row((name, *(show(cell / oids, Unit.SECONDS) if cell else "" for cell in cells)))
    if any(PEER in found for _, found in places):
        yield ""
        yield f"As fast as `{PEER}` in the same rounds, by wall time:"
        yield ""
        yield from _heading("client", *heads)
        for name in names:
            if name != PEER:
                yield row((name, *(_speed(found, name, PEER) for _, found in places)))
        yield ""
        starts = [_typical(found, START, "wall") for _, found in places]
        yield f"To start one of net-snmp's programs and ask for one OID (`{START}`) took"
        yield f"{', '.join(show(start, Unit.SECONDS) for start in starts if start)} there."
        yield "That is what the rows without it have subtracted, round by round. The others ask"
        yield "from a process that runs already, as a poller does."


def less_start(found: Rounds) -> Rounds:
    """Add net-snmp's programs without what starting one takes; whom that leaves little, not."""
    if START not in found:
        return found
    more: Rounds = {}
    for name, turns in found.items():
        more[name] = turns
        if name.startswith(WALK):
            rest = [
                Took(turn.wall - start.wall, turn.cpu - start.cpu)
                for turn, start in zip(turns, found[START], strict=True)
            ]
            if min(min(turn) for turn in rest) > 0:
                more[f"{name}{LESS_START}"] = rest
    return more


def _typical(found: Rounds, name: str, clock: str) -> float | None:
    return median(getattr(turn, clock) for turn in found[name]) if name in found else None


def _speed(found: Rounds, name: str, other: str) -> str:
    return _interval(speed(found, name, other, "wall")) if {name, other} <= found.keys() else ""


def fleet_table(values: Record) -> Iterator[str]:
    """Yield the table of how long many devices take, and whose processor time that is."""
    each = values["rows"] * len(COLUMNS)
    yield f"{values['devices']} devices with {each} OIDs, {_milliseconds(values['distance'])} away,"
    yield "as fast as each answers after its service time. The ideal is one device polled alone."
    yield "Shares are of the wall time, so 100 % is one core."
    yield ""
    yield from _heading(
        "service time",
        "client",
        "wall",
        "times the ideal",
        "client",
        "doors",
        "devices",
        "client's memory",
        "asked again",
        "lost",
    )
    for poll in values["polls"]:
        turns = poll["turns"]
        found = took(turns)
        for client, label in FLEET_CLIENTS.items():
            if client in turns:
                yield row(
                    (
                        _milliseconds(poll["service"]),
                        label,
                        show(median(turn["wall"] for turn in turns[client]), Unit.SECONDS),
                        _times_ideal(found, client),
                        *(_share(turns[client], who) for who in SHARES),
                        show(median(turn["memory"] for turn in turns[client]), Unit.BYTES),
                        *(str(sum(turn[what] for turn in turns[client])) for what in COUNTED),
                    )
                )

    yield ""
    yield from _say_wall(values)


def _say_wall(values: Record) -> Iterator[str]:
    """Say which process was the busiest where devices answer fastest, and how far perfkit gets."""
    poll = min(values["polls"], key=lambda poll: poll["service"])
    turns = poll["turns"]
    busiest = {
        client: max(SHARES, key=lambda who: _share_of(turns[client], who))
        for client in (AT_ONCE, COMPILED)
    }
    ours, theirs = (
        f"{SHARES[who]} ({_share(turns[client], who)} of a core)" for client, who in busiest.items()
    )
    yield f"The busiest process, at {_milliseconds(poll['service'])} and all at once: with perfkit"
    yield f"{ours}, with the compiled client {theirs}."
    each = median(turn["cpu"] / turn["oids"] for turn in turns[AT_ONCE])
    yield f"perfkit's client took {show(each, Unit.SECONDS)} of processor time for an OID there, so"
    yield f"with one core it reads at most {1 / each:,.0f} OIDs a second."


def _times_ideal(found: Rounds, client: str) -> str:
    if client == ALONE:
        return "1"
    if len(found[client]) < len(found[ALONE]):
        # Taken once.
        typical = median(turn.wall for turn in found[ALONE])
        return f"{found[client][0].wall / typical:.3g}"
    return _interval(speed(found, ALONE, client, "wall"))


def _share(turns: Sequence[Record], who: str) -> str:
    return f"{_share_of(turns, who):.0%}".replace("%", " %")


def _share_of(turns: Sequence[Record], who: str) -> float:
    shares: list[float] = [turn[who] / turn["wall"] for turn in turns]
    return median(shares)


def story_table(values: Record) -> Iterator[str]:
    """Yield the table of claims, and whether they hold."""
    yield from _heading(
        "scenario", "agent", "instead of one GET per OID", "requests", "times as fast", "goal", ""
    )
    for run, claim, ratio, verdict in judged(values):
        requests = run["requests"]
        yield row(
            (
                claim.scenario,
                run["agent"],
                claim.variant,
                f"{requests[NAIVE]} → {requests[claim.variant]}",
                _interval(ratio),
                str(claim),
                VERDICTS.get(verdict, verdict),
            )
        )


def judged(values: Record) -> Iterator[tuple[Record, Any, Interval, str]]:
    """Yield each run with each of its claims, how fast it was, and the verdict."""
    for run in values["runs"]:
        for claim in CLAIMS:
            if claim.scenario == run["scenario"]:
                ratio = story_speed(run, claim.variant)
                yield run, claim, ratio, judge(claim, ratio)


def verdicts(values: Record) -> list[str]:
    """Return the verdict of each claim."""
    return [verdict for *_, verdict in judged(values)]


def gain_table(values: Record) -> Iterator[str]:
    """Yield the table of what was predicted and what was measured, by distance."""
    request, oid = (show(values[key], Unit.SECONDS) for key in ("per_request", "per_oid"))
    yield f"One device that takes {request} a request and {oid} an OID, times as fast as GET per"
    yield "OID. The bound comes from single requests, before anything is timed; travel is what it"
    yield "says at the modelled service time."
    yield ""
    yield from _heading(
        "distance", "travel", "bound of threads", THREADS, "prediction of GETBULK", BULK
    )
    for point in values["points"]:
        found = rounds_of(point)
        yield row(
            (
                _milliseconds(point["distance"]),
                show(point["travel"], Unit.SECONDS),
                f"{point['threads_at_most']:.3g}",
                _interval(speed(found, THREADS, EACH, "wall")),
                f"{point['bulk_at_most']:.3g}",
                _interval(speed(found, BULK, EACH, "wall")),
            )
        )


def _heading(*cells: str) -> Iterator[str]:
    yield row(cells)
    yield row(["---"] * len(cells))


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:g} ms"


def _interval(ratio: Interval) -> str:
    if ratio.low is None or ratio.high is None:
        return f"{ratio.ratio:.3g}"
    return f"{ratio.ratio:.3g} ({ratio.low:.3g} to {ratio.high:.3g})"


def row(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def write_table(record: Path = RECORDED, table: Path = TABLE) -> None:
    """Write the tables of a record."""
    table.write_text(render(json.loads(record.read_bytes())), encoding="utf-8")


if __name__ == "__main__":
    write_table()
