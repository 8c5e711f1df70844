"""Gates with every verdict in them, judged from results that were measured for real."""

import msgspec
from unit.report.samples import (
    change,
    change_variant,
    change_work,
    keep_rounds,
    sample,
    slow_down,
    variant,
)

from perfkit import checks, decide
from perfkit.decide import Sides
from perfkit.outcome import Gate, Gated, Judged
from perfkit.result import Result
from perfkit.verdict import Policy, Word, worst

STARTED = "2026-11-23T07:24:47+00:00"
HOSTILE = (
    "[bold]x[/]",
    "<script>alert(1)</script>",
    "a|b",
    "`id`",
    "*a* _b_",
    "]]> & \"'",
    "a\n::error::b\r\n# c",
    "50%0A, c: d",
    "\x00\x1b[31m\x7f\ufffe",
    "界" * 60,
)


def judged(texts: dict[str, str], change: Result, base: Result | None = None) -> tuple[Judged, ...]:
    """Judge checks, by target, on a result and perhaps a base that shared its rounds."""
    sides = Sides(
        {one.name: one for one in change.variants},
        {one.name: one for one in base.variants} if base else {},
    )
    return tuple(
        decide.judge(checks.parse(target, text, "gates.py"), sides)
        for target, text in texts.items()
    )


def story(
    name: str,
    title: str,
    texts: dict[str, str],
    result: Result | None = None,
    base: Result | None = None,
    error: str = "",
) -> Gated:
    found = judged(texts, result, base) if result else ()
    return Gated(
        name=name,
        file=f"scenarios/{name}.toml",
        title=title,
        verdict=worst([one.verdict for one in found]),
        judged=found,
        duration=result.duration if result else 0.5,
        result=result,
        base=base,
        error=error,
    )


def gate(*scenarios: Gated, base: str = "main") -> Gate:
    return Gate(
        perfkit="0.1.0",
        started=STARTED,
        duration=93.2,
        seed=7,
        base=base,
        machine=sample().machine,
        scenarios=scenarios,
        verdict=worst([one.verdict for one in scenarios]),
    )


def with_verdict(scenario: Gated, verdict: Word) -> Gated:
    return msgspec.structs.replace(scenario, verdict=verdict)


def turned(result: Result, name: str) -> Result:
    """Return the result with a variant's rounds in the opposite order, as if run again."""
    known = variant(result, name).samples
    others = tuple(
        msgspec.structs.replace(one, round=place, position=known[place].position)
        for place, one in enumerate(reversed(known))
    )
    return change_variant(result, name, samples=others)


def passed() -> Gated:
    """Return a scenario whose counted work, ratio and change all hold."""
    near = sample()
    return story(
        "orders-page",
        "The orders page that was fast on the laptop",
        {
            "ask-once": "statements == 1",
            "ask-once/ask-per-row": "time < 0.25x",
            "ask-once@base": "time < 50%",
            "ask-per-row": "peak_rss < 200MiB",
        },
        near,
        turned(near, "ask-once"),
    )


def failed() -> Gated:
    """Return one whose counted work grew, and whose fix is slower than in the base."""
    near = sample()
    return story(
        "orders-page-cloud",
        "The orders page after the database moved away",
        {
            "ask-per-row": "round_trips <= 2",
            "ask-once@base": "time < 5%",
            "ask-for-all": "statements == 2",
            "ask-once": "statements == 1",
        },
        slow_down(near, "ask-once", 1.4),
        turned(near, "ask-once"),
    )


def undecided() -> Gated:
    """Return one that could not be decided: by its times, its few rounds and a varying count."""
    first = change_work(sample("db-first-row"), "fetch-one", "bytes_in", exact=False, again=9_000)
    timed = story(
        "latest-event",
        "The latest event, out of all of them",
        {
            "fetch-all-indexed/fetch-all": "time > 1x",
            "fetch-one": "bytes_in < 1kB",
            "fetch-one/fetch-all": "rows <= 1x",
        },
        first,
        first,
    )
    few = judged({"fetch-one@base": "time < 5%"}, keep_rounds(first, 3), keep_rounds(first, 3))
    return msgspec.structs.replace(timed, judged=timed.judged + few)


def unfit() -> Gated:
    near = sample()
    counted = judged({"ask-once": "round_trips == 1"}, near)
    times = Judged(
        "ask-once@base",
        "time < 5%",
        Word.UNFIT,
        "times were not judged",
        limit=1.05,
        clock="wall",
    )
    return Gated(
        name="leaderboard",
        file="scenarios/leaderboard.toml",
        title="Ten places on the leaderboard, and the whole table behind them",
        verdict=Word.UNFIT,
        judged=(*counted, times),
        unfit="3.2 tasks a core ran before the run",
        duration=4.5,
        result=keep_rounds(near, 0),
    )


def stopped(verdict: Word, error: str) -> Gated:
    name = str(verdict).replace(" ", "-")
    return with_verdict(story(name, f"A story that ends in: {verdict}", {}, error=error), verdict)


def uncounted() -> Gated:
    """Return one that asks for a counter that nobody counts here."""
    near = sample()
    without = change(
        near,
        variants=tuple(
            msgspec.structs.replace(
                one, work={name: work for name, work in one.work.items() if name != "rows"}
            )
            for one in near.variants
        ),
    )
    return story("no-rows", "Nobody counts the rows", {"ask-once": "rows <= 200"}, without)


def endless() -> Gated:
    """Return one whose ratio has no end: the base did nothing of it."""
    near = sample()
    none = change_work(near, "ask-once", "statements", value=0)
    texts = {"ask-once@base": "statements <= 1x"}
    return story("from-nothing", "One statement where there was none", texts, near, none)


def every() -> Gate:
    """Return a gate with every verdict in it."""
    return gate(
        passed(),
        failed(),
        undecided(),
        unfit(),
        uncounted(),
        endless(),
        stopped(Word.ERROR, "revision main does not build: pip ended with 1"),
        stopped(Word.DIFFERS, "'ask-once' returned 200 rows in main, 199 here"),
        stopped(Word.NOTHING, ""),
    )


def empty() -> Gate:
    return gate(base="")


def hostile(text: str) -> Gate:
    """Return the same gate with `text` wherever a file can say something."""

    def renamed(number: int, scenario: Gated) -> Gated:
        return msgspec.structs.replace(
            scenario,
            name=f"{number} {text}",
            file=text,
            title=text,
            error=text,
            unfit=text,
            on_inconclusive=Policy.PASS,
            judged=tuple(
                msgspec.structs.replace(one, target=text, check=f"{index} {text}", said=text)
                for index, one in enumerate(scenario.judged)
            ),
            result=None if scenario.result is None else relabelled(scenario.result, text),
        )

    known = every()
    machine = msgspec.structs.replace(known.machine, cpu=text, python=text)
    return msgspec.structs.replace(
        known,
        base=text,
        perfkit=text,
        started=text,
        machine=machine,
        scenarios=tuple(renamed(*one) for one in enumerate(known.scenarios)),
    )


def relabelled(result: Result, text: str) -> Result:
    """Return a result with `text` in every name and label."""
    return change(
        result,
        counters={f"{name} {text}": f"{text} {name}" for name in result.counters},
        variants=tuple(
            msgspec.structs.replace(
                one,
                name=f"{one.name} {text}",
                label=text,
                work={f"{name} {text}": work for name, work in one.work.items()},
            )
            for one in result.variants
        ),
        verdicts=(),
    )
