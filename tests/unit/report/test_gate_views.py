"""What people read of a gate: compared with goldens, within the width, safe with hostile texts.

After a wanted change, write the goldens anew and look at the difference:

    PERFKIT_WRITE_GOLDENS=1 pytest tests/unit/report
"""

import html
import io
import re
from functools import cache

import msgspec
import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from unit.report import gates
from unit.report.samples import GOLDEN
from unit.report.test_views import draw, hold_to, tags

from perfkit.cli.console import PLAIN
from perfkit.outcome import SCHEMA, Gate, Judged
from perfkit.report import annotations, gate_markdown, gate_terminal, gate_words
from perfkit.report.words import clean
from perfkit.verdict import Policy, Word

WIDTHS = (62, 80, 120)
EVERY = pytest.mark.parametrize("text", gates.HOSTILE)


@cache
def every() -> Gate:
    return gates.every()


@cache
def hostile(text: str) -> Gate:
    return gates.hostile(text)


def report(gate: Gate, width: int = 80) -> str:
    return draw(gate_terminal.render(gate, width))


def short(gate: Gate, width: int = 80) -> str:
    return draw(gate_terminal.render_short(gate, width))


def commands(gate: Gate) -> list[tuple[str, dict[str, str], str]]:
    """Read workflow commands as GitHub's runner does."""

    def read(text: str, *escapes: tuple[str, str]) -> str:
        for sign, escape in (*escapes, ("\r", "%0D"), ("\n", "%0A"), ("%", "%25")):
            text = text.replace(escape, sign)
        return text

    found = []
    for line in annotations.render(gate).split("\n")[:-1]:
        matched = re.fullmatch(r"::(\w+) (.*?)::(.*)", line)
        assert matched is not None, line
        pairs = (pair.partition("=") for pair in matched[2].split(","))
        properties = {key: read(value, (":", "%3A"), (",", "%2C")) for key, _, value in pairs}
        found.append((matched[1], properties, read(matched[3])))
    return found


# On the terminal


@pytest.mark.parametrize("width", WIDTHS)
def test_the_terminal_report_is_the_golden_one(width: int) -> None:
    hold_to(GOLDEN / f"gate-{width}.txt", report(every(), width))


def test_the_short_report_is_the_golden_one() -> None:
    hold_to(GOLDEN / "gate-short-80.txt", short(every()))


def test_the_goldens_have_every_verdict() -> None:
    checks = {one.verdict for scenario in every().scenarios for one in scenario.judged}

    assert set(Word) == {scenario.verdict for scenario in every().scenarios}
    assert set(Word) - {Word.DIFFERS, Word.NOTHING} == checks


@pytest.mark.parametrize("verdict", list(Word))
@pytest.mark.parametrize("color", [False, True])
def test_the_last_line_is_the_bare_verdict(verdict: Word, *, color: bool) -> None:
    gate = msgspec.structs.replace(every(), verdict=verdict)

    for view in (gate_terminal.render(gate, 80), gate_terminal.render_short(gate, 80)):
        assert draw(view, color=color).splitlines()[-1] == f"verdict: {verdict}"
    assert gate_markdown.render(gate).splitlines()[-1] == f"verdict: {verdict}"


@pytest.mark.parametrize("width", [40, *WIDTHS, 99, 200])
def test_no_line_is_longer_than_the_width(width: int) -> None:
    for text in (report(every(), width), short(every(), width), report(gates.empty(), width)):
        assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", WIDTHS)
@EVERY
def test_hostile_texts_neither_widen_the_report_nor_reach_the_terminal(
    text: str, width: int
) -> None:
    console = Console(width=200, file=io.StringIO())

    drawn = report(hostile(text), width)

    assert all(console.measure(line).maximum <= width for line in drawn.splitlines() if line)
    assert all(sign.isprintable() for sign in drawn.replace("\n", ""))
    assert drawn.splitlines()[-1] == "verdict: fail"


def test_colors_are_the_terminals_own_and_never_alone() -> None:
    drawn = draw(gate_terminal.render(every(), 80), color=True)
    plain = re.sub(r"\x1b\[[\d;]*m", "", drawn)

    for color, words in ((31, "✗ fail"), (33, "? inconclusive"), (36, "✓ pass"), (31, "! error")):
        assert re.search(rf"\x1b\[(1;)?{color}m{re.escape(words)}", drawn)
    assert [line.rstrip() for line in plain.splitlines()] == report(every()).splitlines()


def test_every_sign_has_a_stand_in_for_plain_terminals() -> None:
    text = report(every()).translate(PLAIN)

    assert {sign for sign in text if not sign.isascii()} == set()


def test_a_passing_gate_is_one_line_when_quiet() -> None:
    assert short(gates.gate(gates.passed())) == "verdict: pass\n"


def test_a_quiet_gate_names_whatever_did_not_pass() -> None:
    text = short(every(), 120)

    assert "statements == 2" not in text
    for scenario in every().scenarios[1:]:
        assert scenario.name in text
        for one in scenario.judged:
            assert (f" {one.target}: {one.check} " in text) == (one.verdict is not Word.PASS)


def test_a_scenario_that_was_stopped_says_why_even_when_quiet() -> None:
    assert "revision main does not build: pip ended with 1." in short(every())


def test_an_interrupted_gate_says_so_first() -> None:
    gate = msgspec.structs.replace(every(), interrupted=True)

    assert report(gate).splitlines()[0].strip() == gate_words.PARTIAL
    assert short(gate).splitlines()[0].strip() == gate_words.PARTIAL
    assert f"**{gate_words.PARTIAL}**" in gate_markdown.render(gate)


def test_a_gate_without_scenarios_is_no_pass() -> None:
    assert "nothing was judged, which is no pass" in report(gates.empty())


def test_a_policy_that_changes_the_exit_code_is_said() -> None:
    scenario = msgspec.structs.replace(gates.unfit(), on_unfit_runner=Policy.PASS)
    text = report(gates.gate(scenario), 120)

    assert 'leaderboard counts as pass: on_unfit_runner = "pass".' in text
    assert "The exit code is 0, not 6." in text
    assert "exit code" not in report(gates.gate(gates.unfit()))


# What is said of a check


def judged(**known: object) -> Judged:
    return msgspec.convert(
        {"target": "fixed", "check": "time < 2ms", "verdict": "pass", "said": "it was", **known},
        Judged,
    )


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.0312, "3.2%"), (0.041, "4.1%"), (0.0999, "10.0%"), (0.3405, "35%"), (1e999, "any")],
)
def test_what_a_pass_would_have_caught_is_rounded_up(share: float, said: str) -> None:
    assert gate_words.share(share) == said


def test_a_pass_says_its_rounds_and_what_it_would_have_caught() -> None:
    one = judged(value=1.0, rounds=12, clock="cpu", detectable=0.041)

    assert list(gate_words.facts(one)) == ["it was", "12 rounds", "would have caught >= 4.1%"]


def test_counted_work_says_no_rounds() -> None:
    assert list(gate_words.facts(judged(value=1.0))) == ["it was"]


@pytest.mark.parametrize(
    ("target", "check", "scale"),
    [
        ("fixed", "time < 2ms", "seconds"),
        ("fixed", "wall.typical < 2ms", "seconds"),
        ("fixed", "peak_rss < 2MB", "bytes"),
        ("fixed", "statements == 1", "count"),
        ("fixed/naive", "time < 2x", "ratio"),
        ("fixed@base", "peak_rss < 5%", "ratio"),
        ("", "", "count"),
    ],
)
def test_a_figure_has_the_unit_of_its_check(target: str, check: str, scale: str) -> None:
    assert gate_words.scale(judged(target=target, check=check)) == scale


def test_every_verdict_that_says_nothing_comes_with_something_to_do() -> None:
    for block in gate_words.compose(every()).blocks:
        given = {one.verdict: one.advice for one in block.checks} | {block.verdict: block.advice}
        for verdict, advice in given.items():
            assert bool(advice) == (verdict not in {Word.PASS, Word.FAIL}), (block.name, verdict)


def test_advice_fits_why_a_check_could_not_be_decided() -> None:
    (block,) = gate_words.compose(gates.gate(gates.undecided())).blocks
    times, count, _, few = (one.advice for one in block.checks)

    assert times is not None
    assert times.why.startswith("The limit lies inside the interval")
    assert count is not None
    assert count.why.startswith("The count varies")
    assert few is not None
    assert few.why == "There is too little to judge by."


# In Markdown


def test_the_markdown_report_is_the_golden_one() -> None:
    hold_to(GOLDEN / "gate.md", gate_markdown.render(every()))


def test_markdown_begins_with_its_schema() -> None:
    assert gate_markdown.render(every()).startswith(f"<!-- {SCHEMA} -->\n")


def page(gate: Gate) -> str:
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    drawn: str = reader.render(gate_markdown.render(gate))
    return drawn


@EVERY
def test_hostile_texts_stand_for_themselves_in_markdown(text: str) -> None:
    drawn, usual = page(hostile(text)), page(hostile("tame"))
    headings = re.findall(r"<h2>(.*?)</h2>", drawn)

    assert tags(drawn) == tags(usual)
    assert html.unescape(headings[0]) == f"✓ pass: {clean(f'0 {text}')}"


def test_markdown_says_what_the_terminal_says() -> None:
    drawn = " ".join(report(every(), 200).split())
    said = html.unescape(re.sub(r"\\(.)", r"\1", gate_markdown.render(every())))

    for line in said.splitlines():
        if line.startswith("| ") and "check" not in line and ":--" not in line:
            mark, check, figures = (
                cell.strip().replace("**", "") for cell in line.strip("|").split("|")
            )
            assert f"{mark} {check} {figures}" in drawn


# As annotations


def test_the_annotations_are_the_golden_ones() -> None:
    hold_to(GOLDEN / "gate-annotations.txt", annotations.render(every()))


def test_a_pass_is_not_annotated() -> None:
    assert annotations.render(gates.gate(gates.passed())) == ""


def test_what_could_not_be_judged_is_a_warning_and_the_rest_an_error() -> None:
    kinds = [kind for kind, _, _ in commands(every())]
    words = [properties["title"].partition(": ")[2] for _, properties, _ in commands(every())]

    assert set(zip(words, kinds, strict=True)) == {
        ("fail", "error"),
        ("error", "error"),
        ("answers differ", "error"),
        ("nothing matched", "error"),
        ("inconclusive", "warning"),
        ("unfit", "warning"),
    }
    assert kinds == sorted(kinds), "errors first"


def test_every_check_and_every_stopped_scenario_is_annotated_once_in_its_file() -> None:
    files = [properties["file"] for _, properties, _ in commands(every())]

    for scenario in every().scenarios:
        missed = sum(one.verdict is not Word.PASS for one in scenario.judged)
        stopped = not scenario.judged
        assert files.count(scenario.file) == missed + stopped


def test_a_gate_without_scenarios_is_an_error() -> None:
    ((kind, properties, message),) = commands(gates.empty())

    assert (kind, properties) == ("error", {"title": "perfkit: nothing matched"})
    assert "nothing was judged" in message


def test_commands_escape_what_would_end_them() -> None:
    assert annotations.command("error", {"file": "", "title": "a: b, 5%\r\n"}, "c: d, 5%\r\n") == (
        "::error title=a%3A b%2C 5%25%0D%0A::c: d, 5%25%0D%0A"
    )


@EVERY
def test_hostile_texts_neither_add_nor_break_a_command(text: str) -> None:
    found = commands(hostile(text))

    assert len(found) == len(commands(every()))
    for _, properties, _ in found:
        assert set(properties) <= {"file", "title"}
        assert clean(text) in properties["title"]
