"""Draw a result on a terminal: no boxes, one rule, thin bars from zero.

Colours are the terminal's own sixteen, which follow its reader's palette. Red, yellow and cyan
stay apart under the common colour blindnesses; every sign also has a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from perfkit.report.words import (
    Counted,
    Counter,
    Counts,
    Line,
    Mark,
    Report,
    Step,
    Timed,
    Times,
    Tone,
    compose,
)
from perfkit.result import Result

COLORS = {
    Tone.NAIVE: "red",
    Tone.LEVER: "yellow",
    Tone.FIXED: "cyan",
    Tone.ALERT: "yellow",
    Tone.ASIDE: "dim",
}
WIDE = 100
"""From so many columns on, labels stand beside the bars."""
LEFT = 13
"""The column of signs and words that all blocks share."""
GAP = 2
SHORTEST_BAR = 14
SHORTEST_LABEL = 18
"""Counters are dropped before a label gets less than this."""
ROOMY_LABEL = 26
"""Headings are broken before a label gets less than this."""
LONGEST_WORD = 24
"""Longer words of a broken heading are cut."""


def render(result: Result, width: int) -> RenderableType:
    """Return the whole report, drawn for so many columns."""
    report, inner = compose(result), width - 2
    blocks: list[RenderableType] = [*_notices(report), head(report.title, report.facts, inner)]
    if report.times:
        blocks += [_times(report.times, inner), ""]
    blocks.append(_work(report.work, inner))
    blocks += ["", sentences(report.told)] if report.told else []
    blocks += ["", sentences([*report.checks, *report.not_run])]
    blocks += ["", next_steps(report.steps, inner)] if report.steps else []
    return page(width, *blocks)


def render_short(result: Result, width: int) -> RenderableType:
    """Return the verdict alone: the fix, and a line for each wrong lever."""
    report = compose(result)
    lines = [line for line in (report.fix, *report.levers) if line]
    bare = [Line(line.mark, line.before, line.strong, line.after) for line in lines]
    return page(width, *_notices(report), sentences(bare))


def page(width: int, *blocks: RenderableType) -> RenderableType:
    """Return blocks below each other, with a margin, exactly so wide."""
    return Constrain(Padding(Group(*blocks), (0, 1)), width)


def _notices(report: Report) -> list[Text]:
    return [Text(notice, "bold yellow") for notice in report.notices]


def head(title: str, facts: Sequence[str], width: int) -> Group:
    """Return a title with its facts, beside it or below, and a rule."""
    joined = " · ".join(facts)
    rule = Rule(style="dim", characters="─")
    if width >= WIDE - 2 and cell_len(title) + 2 * GAP + cell_len(joined) <= width:
        line = Table.grid(expand=True)
        line.add_column()
        line.add_column(justify="right")
        line.add_row(Text(title, "bold"), Text(joined, "dim"))
        return Group(line, rule)
    lines = (Text(line, "dim") for line in filled(facts, width))
    return Group(Text(title, "bold"), *lines, rule)


def filled(facts: Sequence[str], width: int) -> list[str]:
    """Put facts on as few lines as they need, broken between two of them."""
    lines: list[str] = []
    for fact in facts:
        joined = f"{lines[-1]} · {fact}" if lines else ""
        if joined and cell_len(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(fact)
    return lines


def marked(mark: Mark, style: str = "") -> Text:
    """Return a sign and its words, in their colour."""
    return Text(str(mark), f"{style} {COLORS[mark.tone]}".strip())


def _widest(heading: str, texts: Iterable[str]) -> int:
    return max(map(cell_len, (heading, *texts)))


def _times(times: Times, width: int) -> RenderableType:
    return _wide_times(times, width) if width >= WIDE - 2 else _narrow_times(times, width)


def _grid(widths: Sequence[int], justify: Sequence[str], wrapped: int | None = None) -> Table:
    """Return a table of columns exactly so wide; one of them may wrap, the others end in …."""
    table = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    for place, (width, side) in enumerate(zip(widths, justify, strict=True)):
        table.add_column(
            width=width,
            justify="right" if side == "right" else "left",
            no_wrap=place != wrapped,
            overflow="fold" if place == wrapped else "ellipsis",
        )
    return table


def _wide_times(times: Times, width: int) -> Table:
    rows = times.rows
    heads = (times.unit, "CPU", *(("speed-up", "95% interval") if times.compared else ("", "")), "")
    figures = [(row.time, row.cpu, row.speed_up, row.interval, row.word) for row in rows]
    widths = [
        _widest(head, column)
        for head, column in zip(heads, zip(*figures, strict=True), strict=True)
    ]
    room = width - LEFT - sum(widths) - (len(widths) + 2) * GAP
    label = max(8, min(_widest("", (row.label for row in rows)), room - SHORTEST_BAR))
    bar = max(1, room - label)
    sides = ("left", "left", "left", "right", "right", "right", "right", "left")
    table = _grid((LEFT, label, bar, *widths), sides, 1)
    table.add_row("", "", "", *(Text(head, "dim") for head in heads))
    top = max(row.tail for row in rows)
    for row, texts in zip(rows, figures, strict=True):
        time, cpu, *rest = texts
        table.add_row(
            marked(row.mark),
            Text(row.label, "dim"),
            _bar(row, top, bar),
            Text(time, "bold"),
            Text(cpu, "dim"),
            *_speed(row, *rest),
        )
    return table


def _speed(row: Timed, speed_up: str, interval: str, word: str) -> tuple[Text, Text, Text]:
    """Return the speed-up, its interval and the word, with their weights."""
    color = COLORS[row.mark.tone]
    weight = {Tone.NAIVE: "dim", Tone.FIXED: f"bold {color}"}.get(row.mark.tone, "")
    return Text(speed_up, weight), Text(interval, "dim"), Text(word, color)


def _narrow_times(times: Times, width: int) -> Group:
    rows = times.rows
    heads = (times.unit, "speed-up" if times.compared else "", "")
    figures = [(row.time, _longer(row.speed_up, row.interval), row.word) for row in rows]
    widths = [
        _widest(head, column)
        for head, column in zip(heads, zip(*figures, strict=True), strict=True)
    ]
    time, speed, said = widths
    bar = max(1, width - LEFT - sum(widths) - (len(widths) + 1) * GAP)
    top = max(row.tail for row in rows)
    sides = ("left", "left", "right", "right", "left")
    head = _grid((LEFT, bar, *widths), sides)
    head.add_row("", "", *(Text(head, "dim") for head in heads))
    tables = [head]
    for row in rows:
        speed_up, interval, word = _speed(row, row.speed_up, row.interval, row.word)
        first = _grid((LEFT, bar, *widths), sides)
        first.add_row(marked(row.mark), _bar(row, top, bar), Text(row.time, "bold"), speed_up, word)
        # Below the bar the label has the room of the time as well.
        second = _grid((LEFT, bar + GAP + time, speed, said), ("left", "left", "right", "left"), 1)
        second.add_row("", Text(row.label, "dim"), interval, "")
        tables += [first, second]
    return Group(*tables)


def _longer(*texts: str) -> str:
    return max(texts, key=cell_len)


def _bar(row: Timed, top: float, width: int) -> Text:
    """Return a thick line to the median, then a thin one to the slowest tenth."""
    color = COLORS[row.mark.tone]
    halves = max(1, round(2 * width * row.seconds / top))
    thin = round(width * row.tail / top) - (halves + 1) // 2
    thick = "━" * (halves // 2) + ("╾" if thin > 0 else "╸") * (halves % 2)
    return Text.assemble((thick, color), ("─" * thin, f"dim {color}"))


def _work(work: Counts, width: int) -> Group:
    """Return the counted work: a line a variant, the cause marked, all of it within the width."""
    shown = list(range(len(work.counters)))
    labels = [f"{row.mark.sign} {row.label}" for row in work.rows]
    longest = _widest("work done", labels)
    divided = _widest("", (row.divided for row in work.rows))
    plain = [[_heading(counter)] for counter in work.counters]
    broken = [_broken(counter) for counter in work.counters]

    def room(headings: list[list[str]]) -> int:
        widths = (_column(work, place, headings[place]) for place in shown)
        return width - sum(one + GAP for one in widths) - (divided + GAP if divided else 0)

    headings = plain if room(plain) >= min(longest, ROOMY_LABEL) else broken
    while room(headings) < min(longest, SHORTEST_LABEL) and len(shown) > 1:
        shown.remove(next(i for i in reversed(shown) if not work.counters[i].cause))
    widths = [_column(work, place, headings[place]) for place in shown]
    label = max(1, min(longest, room(headings)))
    sides = ["left", *("right" for _ in shown), "left"]
    table = _grid((label, *widths, divided), sides)
    height = max(len(headings[place]) for place in shown)
    for line in range(height):
        cells = [
            Text(_bottom(headings[place], height)[line], _weight(work.counters[place], "dim"))
            for place in shown
        ]
        table.add_row(Text("work done" if line == height - 1 else "", "dim"), *cells, "")
    for row, text in zip(work.rows, labels, strict=True):
        cells = [_cell(row, work.counters[place], place) for place in shown]
        name = Text(text, "dim")
        name.stylize(f"not dim {COLORS[row.mark.tone]}", 0, len(row.mark.sign))
        table.add_row(name, *cells, Text(row.divided, f"bold {COLORS[row.mark.tone]}"))
    left = [counter.words for i, counter in enumerate(work.counters) if i not in shown]
    note = Text(f"not shown at this width: {', '.join(left)}", "dim")
    return Group(table, note) if left else Group(table)


def _heading(counter: Counter) -> str:
    return f"▸ {counter.words}" if counter.cause else counter.words


def _broken(counter: Counter) -> list[str]:
    first, *others = map(_cut, counter.words.split(" "))
    return [f"▸ {first}" if counter.cause else first, *others]


def _cut(word: str) -> str:
    return word if len(word) <= LONGEST_WORD else f"{word[: LONGEST_WORD - 1]}…"


def _bottom(heading: list[str], height: int) -> list[str]:
    return [""] * (height - len(heading)) + heading


def _weight(counter: Counter, otherwise: str) -> str:
    return "bold" if counter.cause else otherwise


def _column(work: Counts, place: int, heading: list[str]) -> int:
    return _widest("", (*heading, *(row.counts[place].text for row in work.rows)))


def _cell(row: Counted, counter: Counter, place: int) -> Text:
    count = row.counts[place]
    return Text(count.text, "dim" if count.same else _weight(counter, ""))


def sentences(lines: Sequence[Line]) -> Table:
    """Return marked sentences, one below the other."""
    table = Table.grid(padding=(0, GAP, 0, 0))
    table.add_column(no_wrap=True, width=LEFT)
    table.add_column(overflow="fold")
    for line in lines:
        text = Text(line.before)
        text.append(line.strong, "bold")
        text.append(line.after)
        if line.why:
            text.append(f" {line.why}", "dim")
        if not line.strong:
            text.stylize("dim")
        table.add_row(marked(line.mark, "bold" if line.strong else ""), text)
    return table


def next_steps(steps: Sequence[Step], width: int) -> Table:
    """Return the commands to go on with, each with what it shows."""
    longest = _widest("", (step.command for step in steps))
    beside = all(LEFT + longest + cell_len(step.text) + 2 * GAP <= width for step in steps)
    table = Table.grid(padding=(0, GAP, 0, 0))
    table.add_column(no_wrap=True, width=LEFT)
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True)
    for number, step in enumerate(steps):
        head = Text("" if number else "→ next", "bold")
        command, text = Text(step.command, "bold"), Text(step.text, "dim")
        if beside:
            table.add_row(head, command, text)
        else:
            table.add_row(head, command)
            table.add_row("", text)
    return table
