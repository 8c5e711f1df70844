"""What the views draw: compared with goldens, within the width, and safe with hostile texts.

After a wanted change, write the goldens anew and look at the difference:

    PERFKIT_WRITE_GOLDENS=1 pytest tests/unit/report
"""

import html
import io
import os
import re
from pathlib import Path

import msgspec
import pytest
from markdown_it import MarkdownIt
from rich.console import Console, RenderableType
from unit.report.samples import (
    GOLDEN,
    NAMES,
    bounded,
    change,
    change_variant,
    count_only,
    keep_rounds,
    left_aside,
    sample,
)

from perfkit.cli.console import PLAIN
from perfkit.report import markdown, terminal
from perfkit.result import SCHEMA, Bound, NotRun, Result

WIDTHS = (62, 80, 120)
HOSTILE = ("[bold]x[/]", "<script>", "a|b", "`id`", "*a* _b_", "[x](http://y)", "a\n# b", "界" * 60)


def draw(view: RenderableType, *, color: bool = False, room: int = 200) -> str:
    console = Console(
        width=room,
        file=io.StringIO(),
        highlight=False,
        no_color=not color,
        force_terminal=color,
        color_system="standard" if color else None,
    )
    with console.capture() as capture:
        console.print(view)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def report(result: Result, width: int = 80) -> str:
    return draw(terminal.render(result, width))


def short(result: Result, width: int = 80) -> str:
    return draw(terminal.render_short(result, width))


def hostile(text: str) -> Result:
    """Return a result that says `text` wherever a file can."""
    result = change(sample(), title=text, answer=text, probe=text)
    result = change(result, counters={name: f"{text} {name}" for name in result.counters})
    for known in result.variants:
        work = {
            name: msgspec.structs.replace(one, witness=text, others={text: 1})
            for name, one in known.work.items()
        }
        said = {"label": text, "why": text, "work": work, "bound": Bound(2.0, text)}
        result = change_variant(result, known.name, **said)
    return change(result, not_run=(NotRun("left", "fixed", text, text),))


def hold_to(path: Path, text: str) -> None:
    if os.environ.get("PERFKIT_WRITE_GOLDENS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NAMES)
def test_the_terminal_report_is_the_golden_one(name: str, width: int) -> None:
    hold_to(GOLDEN / f"{name}-{width}.txt", report(sample(name), width))


@pytest.mark.parametrize("name", NAMES)
def test_the_markdown_report_is_the_golden_one(name: str) -> None:
    hold_to(GOLDEN / f"{name}.md", markdown.render(sample(name)))


def test_counts_alone_are_the_golden_ones() -> None:
    hold_to(GOLDEN / "db-fetch-counted-80.txt", report(count_only()))


@pytest.mark.parametrize("width", WIDTHS)
def test_what_was_not_run_is_said_as_in_the_golden_ones(width: int) -> None:
    hold_to(GOLDEN / f"not-run-{width}.txt", report(left_aside(), width))


def test_what_was_not_run_is_said_in_markdown_too() -> None:
    hold_to(GOLDEN / "not-run.md", markdown.render(left_aside()))


@pytest.mark.parametrize("width", WIDTHS)
def test_predictions_are_held_to_the_measurement_as_in_the_golden_ones(width: int) -> None:
    hold_to(GOLDEN / f"bound-{width}.txt", report(bounded(), width))


def test_predictions_are_in_markdown_too() -> None:
    hold_to(GOLDEN / "bound.md", markdown.render(bounded(5.0)))


def test_predictions_are_told_of_counts_alone_too() -> None:
    hold_to(GOLDEN / "bound-counted-80.txt", report(bounded(result=count_only())))


@pytest.mark.parametrize("color", [True, False])
def test_what_was_not_run_is_dim_and_has_a_sign_and_words(color: bool) -> None:  # noqa: FBT001
    drawn = draw(terminal.render(left_aside(), 120), color=color)
    (line,) = (line for line in drawn.splitlines() if "ask twice" in line)

    assert re.sub(r"\x1b\[[\d;]*m", "", line).rstrip() == (
        " – not run      'ask twice': 10,000 rows are too many for it."
    )
    assert set(re.findall(r"\x1b\[([\d;]*)m", line)) == ({"0", "2"} if color else set())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [40, *WIDTHS, 99, 100, 200])
def test_no_line_is_longer_than_the_width(name: str, width: int) -> None:
    given = (sample(name), keep_rounds(sample(name), 2), count_only(), left_aside(), bounded())
    for result in given:
        for text in (report(result, width), short(result, width)):
            assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_neither_widen_nor_break_the_report(text: str, width: int) -> None:
    console = Console(width=200, file=io.StringIO())

    drawn = report(hostile(text), width)

    assert all(console.measure(line).maximum <= width for line in drawn.splitlines() if line)
    assert len(short(hostile(text), width).splitlines()) >= 3


def test_text_from_a_file_is_no_markup_on_a_terminal() -> None:
    assert " [bold]x[/]\n" in report(hostile("[bold]x[/]"))
    assert "✗ [bold]x[/]" in report(hostile("[bold]x[/]"))
    assert "✓ fix          '[bold]x[/]' is 116" in report(hostile("[bold]x[/]"))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NAMES)
def test_the_cause_is_in_the_work_table_at_every_width(name: str, width: int) -> None:
    table = report(sample(name), width).split("\n\n")[1]

    assert "work done" in table
    assert "▸ " in table
    assert "÷ " in table


def test_the_cause_is_never_dropped_even_as_the_last_counter() -> None:
    text = report(change(sample(), cause="bytes_in"), 40)

    assert "▸ bytes" in text
    assert "not shown at this width: round trips," in text


@pytest.mark.parametrize("width", WIDTHS)
def test_a_long_label_takes_one_line_of_the_work_table(width: int) -> None:
    long = change_variant(sample(), "ask-once", label="one JOIN " * 20)
    lines = report(long, width).split("\n\n")[1].splitlines()

    assert [line[1] for line in lines if line[1] in "✗≈✓◐"] == list("✗≈≈✓✓◐")
    assert len([line for line in lines if "one JOIN" in line]) == 1


def test_counters_that_do_not_fit_are_named_instead_of_wrapped() -> None:
    assert "not shown at this width: bytes received" in report(sample(), 62)
    assert "not shown" not in report(sample(), 80)


def test_a_wide_report_has_the_labels_beside_the_bars_and_the_cpu_time() -> None:
    wide, narrow = report(sample(), 100), report(sample(), 99)

    assert re.search(r"✓ fixed +one JOIN .*━|╸", wide)
    assert "CPU" in wide
    assert "CPU" not in narrow
    assert re.search(r"✓ fixed +╸ .*116.*faster\n +one JOIN for the page ", narrow)


def test_the_longest_bar_fills_the_room_and_the_others_stand_in_proportion() -> None:
    bars = {
        line.split()[1]: sum({"━": 2, "╸": 1, "╾": 1}.get(sign, 0) for sign in line)
        for line in report(sample("db-fetch-far"), 120).splitlines()
        if "━" in line or "╸" in line
    }

    assert bars["naive"] > 30
    assert bars["helps"] / bars["naive"] == pytest.approx(65 / 461, abs=0.03)
    assert bars["fixed"] == 1


def test_colors_are_the_terminals_own_and_never_alone() -> None:
    drawn = draw(terminal.render(sample("db-fetch-far"), 80), color=True)
    plain = re.sub(r"\x1b\[[\d;]*m", "", drawn)

    for color, words in ((31, "✗ naive"), (33, "≈ wrong lever"), (36, "✓ fixed")):
        assert f"\x1b[{color}m{words}" in drawn
    codes = {code for codes in re.findall(r"\x1b\[([\d;]*)m", drawn) for code in codes.split(";")}
    assert codes <= {"", "0", "1", "2", "31", "33", "36", "22"}
    assert [line.rstrip() for line in plain.splitlines()] == (
        report(sample("db-fetch-far"), 80).splitlines()
    )


def test_every_sign_has_a_stand_in_for_plain_terminals() -> None:
    results = [left_aside(), *map(sample, NAMES)]
    texts = [report(result, width) for result in results for width in WIDTHS]

    lacking = {sign for text in texts for sign in text.translate(PLAIN) if not sign.isascii()}

    assert lacking == set()


def test_the_short_report_is_the_fix_and_the_wrong_levers() -> None:
    lines = short(sample(), 120).splitlines()

    assert [line[:15].strip() for line in lines] == ["✓ fix", "≈ wrong lever", "≈ wrong lever"]
    assert "116" in lines[0]
    assert "Parsing was never" not in short(sample(), 120)
    assert "not run" not in short(left_aside(), 120)


def test_an_interrupted_run_says_so_in_the_first_line_of_every_view() -> None:
    result = change(keep_rounds(sample(), 3), stopped="interrupted")
    first = "Partial: stopped after 3 rounds."

    assert report(result).splitlines()[0] == f" {first}"
    assert short(result).splitlines()[0] == f" {first}"
    assert markdown.render(result).splitlines()[3] == f"**{first}**"


def test_counts_alone_draw_no_times() -> None:
    assert "━" not in report(count_only())
    assert "speed-up" not in markdown.render(count_only())
    assert "was not timed" not in report(count_only())


def test_markdown_begins_with_its_schema() -> None:
    assert markdown.render(sample()).startswith(f"<!-- {SCHEMA} -->\n")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stand_for_themselves_in_markdown(text: str) -> None:
    page, usual = html_of(hostile(text)), html_of(hostile("tame"))
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page)

    assert tags(page) == tags(usual)
    assert len(cells) == len(re.findall(r"<td[^>]*>(.*?)</td>", usual))
    assert html.unescape(cells[1]) == text.replace("\n", " ")
    assert f"<h1>{html.escape(text.replace(chr(10), ' '), quote=False)}</h1>" in page


def html_of(result: Result) -> str:
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    page: str = reader.render(markdown.render(result))
    return page


def tags(page: str) -> list[str]:
    """Return the tags of a page; where a text ends makes no difference."""
    return re.findall(r"<[^>]*>", page)


@pytest.mark.parametrize("name", NAMES)
def test_markdown_says_what_the_terminal_says(name: str) -> None:
    drawn = " ".join(report(sample(name), 120).split())
    said = re.sub(r"\\(.)", r"\1", markdown.render(sample(name)))

    for line in said.splitlines():
        if line.startswith("- ") and "`" not in line:
            sentence = line.partition(": ")[2].replace("**", "").replace("*", "")
            assert sentence in drawn
