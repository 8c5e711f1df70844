"""What a result says, in words and figures: every view draws from here, so all say the same.

Nothing is judged here that the result does not hold: verdicts come from `perfkit.stats`, and
each sentence is put together from counted work and measured intervals.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from perfkit import stats
from perfkit.report import figures
from perfkit.result import NOTHING, Bound, Interval, Measured, Result, Verdict, Work
from perfkit.units import Unit, show

NOISY_ROUNDS = 0.10
"""Half the quartile distance of the rounds, as a share of their median, that is worth a sign."""
BUSY_QUEUE, BUSY_STEAL, BUSY_LOAD = 0.10, 0.02, 1.0
LITTLE, HALF = 0.05, 0.5
"""Shares of the fix's saving: below the first a lever saves next to nothing, from the second on
it helps."""
SLOWEST_TENTH = 0.9


class Tone(StrEnum):
    """What a line is about; views choose a colour by it, but never tell by colour alone."""

    NAIVE = "naive"
    LEVER = "wrong lever"
    FIXED = "fixed"
    ALERT = "alert"
    ASIDE = "aside"


@dataclass(frozen=True, slots=True)
class Mark:
    """A sign and the words that say the same."""

    sign: str
    words: str
    tone: Tone

    def __str__(self) -> str:
        """`✗ naive`."""
        return f"{self.sign} {self.words}"


SHOWN = 2
"""Of what witnesses contradict each other in, where several results are told together."""
NAIVE = Mark("✗", "naive", Tone.NAIVE)
LEVER = Mark("≈", "wrong lever", Tone.LEVER)
HELPS = Mark("◐", "helps here", Tone.LEVER)
FIXED = Mark("✓", "fixed", Tone.FIXED)
ALONE = Mark("▪", "measured", Tone.FIXED)
"""The only variant of a user's own code, which nothing is compared with."""
PARTIAL = Mark("◐", "partial fix", Tone.FIXED)
NOT_RUN = Mark(figures.DASH, "not run", Tone.ASIDE)
HELD = Mark("✓", "bound", Tone.FIXED)
BROKEN = Mark("!", "bound", Tone.ALERT)
UNHELD = Mark(figures.DASH, "bound", Tone.ASIDE)
"""A prediction: held to what was measured, contradicted by it, and held to nothing."""


@dataclass(frozen=True, slots=True)
class Timed:
    """One variant's line of the times: texts for people, and seconds for the bar."""

    mark: Mark
    label: str
    seconds: float
    tail: float
    """The slowest tenth of the process medians begins here."""
    time: str
    cpu: str
    speed_up: str
    interval: str
    word: str


@dataclass(frozen=True, slots=True)
class Times:
    """How long every variant takes, in one unit."""

    unit: str
    rows: tuple[Timed, ...]

    @property
    def compared(self) -> bool:
        """Whether there is more than one variant, and so a speed-up."""
        return len(self.rows) > 1


@dataclass(frozen=True, slots=True)
class Counter:
    """One column of the counted work."""

    words: str
    cause: bool


@dataclass(frozen=True, slots=True)
class Count:
    """One counted figure; `same` where it is exactly the naive code's."""

    text: str
    same: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """One variant's line of the counted work; `divided` is what is left of the cause."""

    mark: Mark
    label: str
    counts: tuple[Count, ...]
    divided: str


@dataclass(frozen=True, slots=True)
class Counts:
    """The work that every variant does, with the counter that explains the time."""

    counters: tuple[Counter, ...]
    rows: tuple[Counted, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A marked sentence: its weight lies on `strong`, and `why` is what the probe's author says."""

    mark: Mark
    before: str
    strong: str = ""
    after: str = ""
    why: str = ""

    @property
    def text(self) -> str:
        """The sentence without weights."""
        return f"{self.before}{self.strong}{self.after}"


@dataclass(frozen=True, slots=True)
class Step:
    """A command to go on with, and what it shows."""

    command: str
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that a view draws, in its order."""

    notices: tuple[str, ...]
    title: str
    facts: tuple[str, ...]
    machine: tuple[str, ...]
    times: Times | None
    """None when nothing was timed."""
    work: Counts
    levers: tuple[Line, ...]
    fix: Line | None
    others: tuple[Line, ...]
    """Further fixes, and those that remove a part of the cause."""
    bounds: tuple[Line, ...]
    checks: tuple[Line, ...]
    not_run: tuple[Line, ...]
    steps: tuple[Step, ...]

    @property
    def told(self) -> tuple[Line, ...]:
        """The sentences on single variants: where nothing was timed, what they predict."""
        fixes = (self.fix, *self.others) if self.fix is not None else self.others
        return (*self.levers, *fixes, *self.bounds) if self.times else self.bounds


def compose(result: Result) -> Report:
    """Put a result into words."""
    others = [
        variant
        for variant in result.variants
        if variant.role == "fixed" and variant is not result.fix
    ]
    return Report(
        notices=_notices(result),
        title=clean(result.title),
        facts=_facts(result),
        machine=_machine(result),
        times=_times(result) if result.rounds else None,
        work=_work(result),
        levers=tuple(
            _lever(result, variant) for variant in result.variants if variant.role == "wrong lever"
        ),
        fix=None if result.fix is None else _fix(result, result.fix),
        others=tuple(_fix(result, variant) for variant in others),
        bounds=tuple(
            _bound(result, variant, variant.bound)
            for variant in result.variants
            if variant.bound is not None
        ),
        checks=_checks(result),
        not_run=tuple(
            Line(NOT_RUN, f"'{clean(variant.label)}': {clean(variant.why)}.")
            for variant in result.not_run
        ),
        steps=_steps(result),
    )


def clean(text: str) -> str:
    """Make a text of a file safe to print: one line, no control characters."""
    return "".join(sign if sign.isprintable() else " " for sign in text).strip()


def mark(result: Result, variant: Measured) -> Mark:
    """Return the sign of a variant: its role, unless its times say otherwise."""
    verdict = result.verdict(variant.name)
    if len(result.variants) == 1:
        return ALONE
    if variant.role == "naive":
        return NAIVE
    if variant.role == "wrong lever":
        return HELPS if verdict and _low(verdict) >= HALF else LEVER
    known = PARTIAL if variant.partial else FIXED
    if verdict is None or verdict.word == "faster":
        return known
    return Mark("!", known.words, Tone.ALERT)


def _low(verdict: Verdict) -> float:
    """Return the lower end of a verdict's share; minus infinity where it has none."""
    share = verdict.share
    return float("-inf") if share is None or share.low is None else share.low


def _rounds(number: int) -> str:
    return f"{number:,} {'round' if number == 1 else 'rounds'}"


def _notices(result: Result) -> tuple[str, ...]:
    notices = []
    if result.stopped == "interrupted":
        notices.append(f"Partial: stopped after {_rounds(result.rounds)}.")
    if 0 < result.rounds < stats.FEWEST and len(result.variants) > 1:
        notices.append(
            f"No intervals after {_rounds(result.rounds)}: an exact {stats.CONFIDENCE:.0%}"
            f" interval needs {stats.FEWEST} rounds."
        )
    return tuple(notices)


def _facts(result: Result) -> tuple[str, ...]:
    given = (f"{name}={value}" for name, value in result.params.items())
    rounds = _rounds(result.rounds) if result.rounds else "not timed"
    return tuple(clean(text) for text in (str(result.component), *given, rounds))


def _machine(result: Result) -> tuple[str, ...]:
    machine = result.machine
    cores = f"{machine.cores} {'core' if machine.cores == 1 else 'cores'}"
    return tuple(
        clean(text)
        for text in (
            f"{machine.cpu}, {cores}, {show(machine.memory, Unit.BYTES)}",
            f"{machine.system} {machine.kernel}",
            machine.python,
            f"perfkit {result.perfkit}",
            result.started,
        )
    )


def _medians(variant: Measured) -> list[float]:
    return [median(sample.wall) for sample in variant.samples]


def _times(result: Result) -> Times:
    medians = {variant.name: _medians(variant) for variant in result.variants}
    scale, unit = figures.time_unit([median(values) for values in medians.values()])
    times = figures.aligned([borne_median(medians[v.name], scale) for v in result.variants])
    cpus = figures.aligned(
        [
            borne_median([median(sample.cpu) for sample in variant.samples], scale)
            for variant in result.variants
        ]
    )
    return Times(
        unit=unit,
        rows=tuple(
            _timed(result, variant, medians[variant.name], time, cpu)
            for variant, time, cpu in zip(result.variants, times, cpus, strict=True)
        ),
    )


def borne_median(values: list[float], scale: float) -> str:
    """Write the median of some times with as many digits as their quartiles bear, at least two."""
    low, middle, high = (stats.quantile(values, share) / scale for share in (0.25, 0.5, 0.75))
    decimals = figures.borne(middle, low, high)
    return figures.figure(middle, max(0, decimals, figures.decimals_for(middle, 2)))


def _timed(result: Result, variant: Measured, medians: list[float], time: str, cpu: str) -> Timed:
    verdict = result.verdict(variant.name)
    return Timed(
        mark=mark(result, variant),
        label=clean(variant.label),
        seconds=median(medians),
        tail=stats.quantile(medians, SLOWEST_TENTH),
        time=time,
        cpu=cpu,
        speed_up=_speed_up(result, verdict),
        interval=figures.ends(verdict.typical) if verdict else "",
        word=clean(verdict.word) if verdict else "",
    )


def _speed_up(result: Result, verdict: Verdict | None) -> str:
    if verdict is not None:
        return figures.ratio(verdict.typical)
    return f"1{figures.TIMES}" if len(result.variants) > 1 else ""


def _counters_shown(result: Result) -> dict[str, str]:
    """Return the counters of the report: of a user's own code those that counted anything."""
    if result.cause:
        return result.counters
    counted = {n for variant in result.variants for n, work in variant.work.items() if work.value}
    some = {name: words for name, words in result.counters.items() if name in counted}
    return some or result.counters


def _work(result: Result) -> Counts:
    return Counts(
        counters=tuple(
            Counter(clean(words), name == result.cause)
            for name, words in _counters_shown(result).items()
        ),
        rows=tuple(_counted(result, variant) for variant in result.variants),
    )


def _counted(result: Result, variant: Measured) -> Counted:
    naive = result.naive
    return Counted(
        mark=mark(result, variant),
        label=clean(variant.label),
        counts=tuple(
            _count(variant.work.get(name), None if variant is naive else naive.work.get(name))
            for name in _counters_shown(result)
        ),
        divided=_divided(result, variant) if variant.role == "fixed" else "",
    )


def _count(work: Work | None, naive: Work | None) -> Count:
    if work is None:
        return Count(figures.DASH)
    if not work.exact:
        return Count(f"~{work.value:,}")
    same = naive is not None and naive.exact and naive.value == work.value
    return Count(f"= {work.value:,}" if same else f"{work.value:,}", same)


def _divided(result: Result, variant: Measured) -> str:
    before, after = result.naive.work.get(result.cause), variant.work.get(result.cause)
    if before is None or after is None:
        return ""
    if before.value and not after.value:
        return "none left"
    text = figures.divided(before.value, after.value)
    return text if before.exact and after.exact else text.replace(" ", " ~")


def _cause(result: Result) -> str:
    return clean(result.counters[result.cause])


def _said(work: Work) -> str:
    return f"{work.value:,}" if work.exact else f"about {work.value:,}"


def _change(result: Result, variant: Measured) -> str:
    """Say what becomes of the cause: `round trips 201 → 1`; nothing where nobody counted it."""
    before, after = result.naive.work.get(result.cause), variant.work.get(result.cause)
    if before is None or after is None:
        return ""
    if before.value == after.value:
        return f"{_cause(result)} still {_said(after)}"
    return f"{_cause(result)} {_said(before)} → {_said(after)}"


def _ended(text: str, link: str, clause: str) -> str:
    """End a sentence, with a last clause where there is one."""
    return f"{text}{link}{clause}." if clause else f"{text}."


def _lever(result: Result, lever: Measured) -> Line:
    before, strong, after = _lever_sentence(result, lever)
    return Line(mark(result, lever), before, strong, after, clean(lever.why))


def _lever_sentence(result: Result, lever: Measured) -> tuple[str, str, str]:
    """Say what a lever saves, and what it leaves: the text before, in and after its weight."""
    name = f"'{clean(lever.label)}'"
    verdict, change = result.verdict(lever.name), _change(result, lever)
    if verdict is None:
        return f"{name} was ", "not timed", _ended("", ": ", change)
    if verdict.word == "slower":
        speed = figures.ratio(verdict.typical)
        return f"{name} ", "saves nothing", f"; it is slower ({speed} the naive speed)."
    if verdict.typical.low is None:
        return "It is ", "unclear", f" what {name} saves: {_unbounded(result)}."
    if verdict.share is None:
        return _alone(name, verdict)
    return _saving(result, lever, verdict, verdict.share)


def _saving(
    result: Result, lever: Measured, verdict: Verdict, share: Interval
) -> tuple[str, str, str]:
    """Say what a lever saves of what the fix saves."""
    name = f"'{clean(lever.label)}'"
    if share.low is None or share.high is None:
        return _alone(name, verdict)
    saved = figures.percents(share.low, share.high)
    if share.low >= HALF:
        speed = f"{figures.ratio(verdict.typical)} faster"
        rest = f", {saved} of what the fix saves{_cost(result, lever)}."
        return f"{name} helps here: ", speed, rest
    if share.low >= LITTLE:
        left = _left(result, lever)
        return f"{name} saves ", saved, _ended(" of what the fix saves", ", and leaves ", left)
    most = figures.at_most(share.high)
    if share.high >= HALF:
        return "It is ", "unclear", f" whether {name} helps: it saves {most} of what the fix saves."
    return f"{name} saves ", most, " of what the fix saves."


def _unbounded(result: Result) -> str:
    return f"no interval after {_rounds(result.rounds)}"


def _alone(name: str, verdict: Verdict) -> tuple[str, str, str]:
    """Say what a lever does where the fix saves nothing that it could be held to."""
    speed, rest = figures.ratio(verdict.typical), "; the fix saves nothing to hold it to."
    if verdict.word == "faster":
        return f"{name} is ", f"{speed} faster", rest
    if verdict.word == "no change":
        return f"{name} makes ", "no difference", rest
    return "It is ", "unclear", f" whether {name} helps{rest}"


def _left(result: Result, variant: Measured) -> str:
    """Say what is left of the cause: `round trips at 201`."""
    work = variant.work.get(result.cause)
    return f"{_cause(result)} at {_said(work)}" if work else ""


def _cost(result: Result, lever: Measured) -> str:
    """Say what a lever that helps still costs, and how much better the fix is."""
    naive, work = result.naive.work.get(result.cause), lever.work.get(result.cause)
    costs = better = ""
    if work is not None and naive is not None:
        still = "still costs" if work.value >= naive.value else "costs"
        less = "" if work.value >= naive.value else f" of {_said(naive)}"
        costs = f"it {still} {_said(work)}{less} {_cause(result)}"
    if result.fix is not None:
        against = stats.typical_ratio(_medians(lever), _medians(result.fix))
        if stats.word(against) == "faster":
            better = f"the fix is {figures.ratio(against)} faster than it"
        elif stats.word(against) in {"slower", "no change"}:
            better = "the fix is no faster than it"
    clauses = ", and ".join(filter(None, (costs, better)))
    return f"; {clauses}" if clauses else ""


def _fix(result: Result, fix: Measured) -> Line:
    known = mark(result, fix)
    # In a sentence the others are fixes too; only the table has room for what they are.
    called = Mark(known.sign, "partial fix" if fix.partial else "fix", known.tone)
    before, strong, after = _fix_sentence(result, fix)
    return Line(called, before, strong, after, clean(fix.why))


def _fix_sentence(result: Result, fix: Measured) -> tuple[str, str, str]:
    """Say how much faster a fix is, or that it is not, and what becomes of the cause."""
    name = f"'{clean(fix.label)}'"
    verdict, change = result.verdict(fix.name), _change(result, fix)
    if verdict is None:
        return f"{name} was ", "not timed", _ended("", ": ", change)
    typical, between = verdict.typical, figures.ends(verdict.typical)
    speed = figures.ratio(typical)
    if not between:
        return (
            "It is ",
            "unclear",
            _ended(f" how much {name} helps ({speed}; {_unbounded(result)})", ": ", change),
        )
    measured = f" here ({speed}, {between})"
    if verdict.word == "faster":
        return f"{name} is ", f"{speed} faster", _ended(_share(result, fix, verdict), ": ", change)
    if verdict.word == "slower":
        return f"{name} is ", "slower", _ended(measured, ": ", change)
    if verdict.word == "no change":
        return f"{name} makes ", "no difference", _ended(measured, ": ", change)
    return "It is ", "unclear", _ended(f" whether {name} helps{measured}", ": ", change)


def _share(result: Result, fix: Measured, verdict: Verdict) -> str:
    share = verdict.share
    if not fix.partial or fix is result.fix or share is None:
        return ""
    if share.low is None or share.high is None:
        return ""
    return f", {figures.percents(share.low, share.high)} of what the fix saves"


def _bound(result: Result, variant: Measured, bound: Bound) -> Line:
    """Say how much faster a variant can be by its own prediction, and what was measured."""
    best = f"{figures.factor(bound.at_most)} {'faster' if bound.at_most > 1 else 'as fast'} at most"
    known, measured = _held(result, variant, bound)
    before, after = f"'{clean(variant.label)}' can be ", f" ({clean(bound.reason)}); {measured}."
    return Line(known, before, best, after)


def _held(result: Result, variant: Measured, bound: Bound) -> tuple[Mark, str]:
    """Say what was measured of a prediction, with the sign that it holds, or does not."""
    verdict = result.verdict(variant.name)
    if verdict is None:
        return UNHELD, "not timed"
    typical = verdict.typical
    measured = f"measured {figures.ratio(typical)}"
    if typical.low is None:
        return UNHELD, f"{measured}, {_unbounded(result)}"
    measured = f"{measured} ({figures.ends(typical)})"
    if typical.low > bound.at_most:
        return BROKEN, f"{measured}, which is more: the prediction does not hold here"
    return HELD, measured


def _checks(result: Result) -> tuple[Line, ...]:
    whose = "All variants" if len(result.variants) > 1 else "All calls"
    if result.not_run:
        whose = f"{whose} that ran"
    answers = f"{whose} returned the same {clean(result.answer)}."
    if result.answer == NOTHING:
        answers = "There was no answer to compare."
    lines = [_check("answers", answers, well=True), agreement([result])]
    if result.rounds > 1:
        lines.append(_noise(result))
    if result.isolation == "session":
        text = "Measured inside one session, not in fresh processes."
        lines.append(_check("isolation", text, well=False))
    return tuple(lines)


def _check(words: str, text: str, *, well: bool) -> Line:
    return Line(Mark("✓", words, Tone.FIXED) if well else Mark("!", words, Tone.ALERT), text)


def agreement(results: Sequence[Result]) -> Line:
    """Say how far the counts of one result, or of several together, can be believed."""
    one_alone = len(results) == 1
    differing = _differing(results[0]) if one_alone else _differing_in_any(results)
    disputes = list(dict.fromkeys(text for result in results for text in _disputes(result)))
    if not one_alone and len(disputes) > SHOWN:
        disputes[SHOWN:] = [f"And {len(disputes) - SHOWN} more such figures."]
    agreed = "Two counting passes agree"
    if differing:
        agreed += f", except in {listed(differing)} (about, ~)"
    confirmed = {_confirmed(result) for result in results}
    texts = [_ended(agreed, "; ", confirmed.pop() if len(confirmed) == 1 else ""), *disputes]
    return _check("counts", " ".join(texts), well=not disputes and not differing)


def _counters(result: Result, variant: Measured) -> Iterable[tuple[str, Work]]:
    """Give a variant's counted work with its words, in the order of the report."""
    for name, words in result.counters.items():
        if name in variant.work:
            yield clean(words), variant.work[name]


def listed(words: list[str]) -> str:
    """Write words one after the other: `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _differing(result: Result) -> list[str]:
    """Name the counters that came out differently in the two passes, with their variants."""
    return [
        f"{listed(words)} of '{clean(variant.label)}'"
        for variant in result.variants
        if (words := [words for words, work in _counters(result, variant) if not work.exact])
    ]


def _differing_in_any(results: Sequence[Result]) -> list[str]:
    """Name the counters that came out differently in two passes, of whatever variant."""
    return list(
        dict.fromkeys(
            words
            for result in results
            for variant in result.variants
            for words, work in _counters(result, variant)
            if not work.exact
        )
    )


def _confirmed(result: Result) -> str:
    """Say which counters a second witness confirms for every variant."""
    texts: dict[str, list[str]] = {}
    for name, words in result.counters.items():
        works = [variant.work[name] for variant in result.variants if name in variant.work]
        for witness in works[0].others if works else ():
            if all(work.others.get(witness) == work.value for work in works):
                texts.setdefault(clean(witness), []).append(clean(words))
    first, *rest = [(listed(words), witness) for witness, words in texts.items()] or [("", "")]
    if not first[0]:
        return ""
    return ", ".join(
        [f"{first[0]} confirmed by {first[1]}", *(f"{words} by {who}" for words, who in rest)]
    )


def _disputes(result: Result) -> list[str]:
    """Name the figures that a second witness contradicts."""
    return [
        f"{words[0].upper()}{words[1:]} of '{clean(variant.label)}': {clean(work.witness)} counted"
        f" {work.value:,}, {clean(witness)} {value:,}."
        for variant in result.variants
        for words, work in _counters(result, variant)
        for witness, value in work.others.items()
        if value != work.value
    ]


def _spread(values: list[float]) -> float:
    low, middle, high = (stats.quantile(values, share) for share in (0.25, 0.5, 0.75))
    return (high - low) / 2 / middle


def _noise(result: Result) -> Line:
    """Say how calm the machine was, how far rounds vary, and why they ended."""
    spread = max(_spread(_medians(variant)) for variant in result.variants)
    vary = f"rounds vary by {figures.margin(spread)}"
    disturbances = _disturbances(result)
    if disturbances:
        text = f"A busy machine: {listed([vary, *disturbances])}."
    elif spread > NOISY_ROUNDS:
        bounded = result.verdicts and result.rounds >= stats.FEWEST
        advice = ": read the intervals, not the ratios" if bounded else ""
        text = f"R{vary[1:]}{advice}."
    else:
        text = f"A calm machine: {vary}."
    end = _ending(result)
    return _check(
        "noise",
        f"{text} {end}" if end else text,
        well=not disturbances and spread <= NOISY_ROUNDS,
    )


def _disturbances(result: Result) -> list[str]:
    """Name what else kept the processors busy, where it matters."""
    noise, texts = result.noise, []
    if noise.run_queue_share is not None and noise.run_queue_share > BUSY_QUEUE:
        share = f"{100 * noise.run_queue_share:.0f}%"
        texts.append(f"the workers waited for a processor {share} of the time")
    if noise.steal_share is not None and noise.steal_share > BUSY_STEAL:
        share = f"{100 * noise.steal_share:.0f}%"
        texts.append(f"the hypervisor took {share} of the processors' time")
    if noise.load_before > BUSY_LOAD:
        texts.append(f"{noise.load_before:.1f} tasks a core ran before the run")
    return texts


def _ending(result: Result) -> str:
    """Say how well the ratios are known where the budget ended the run."""
    widest = max((verdict.typical.half_width for verdict in result.verdicts), default=0.0)
    if result.stopped != "budget" or widest == float("inf"):
        return ""
    budget = show(result.budget, Unit.SECONDS)
    if not result.verdicts:
        return f"The budget of {budget} ended the run."
    known = f"ratios known to {figures.margin(widest)} or better"
    return f"The budget of {budget} ended the run with {known}."


def _steps(result: Result) -> tuple[Step, ...]:
    if not result.cause:
        # A user's own code has no recipe, and no command but its scenario's.
        return ()
    probe = shlex.quote(clean(result.probe))
    steps = [Step(f"perfkit explain {probe}", "the story, the code")]
    component = result.component
    if not result.rounds:
        steps.append(Step(f"perfkit probe {probe}", "the same, timed"))
    elif component.rtt is not None and not component.rtt_asked:
        steps.append(Step(f"perfkit probe {probe} --rtt 2ms", "the same with distance"))
    return tuple(steps)
