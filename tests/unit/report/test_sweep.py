"""What the views of a sweep draw: compared with goldens, within the width, and safe.

After a wanted change, write the goldens anew and look at the difference:

    PERFKIT_WRITE_GOLDENS=1 pytest tests/unit/report
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from xml.etree import ElementTree as ET

import msgspec
import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from unit.report.samples import GOLDEN, change, change_variant, change_work
from unit.report.sweeps import Code, again, build, counted, distant, growing, scaled, scaling
from unit.report.test_views import HOSTILE, WIDTHS, draw, hold_to, tags

from perfkit.cli.console import PLAIN
from perfkit.errors import MissingExtra
from perfkit.report import sweep_markdown, sweep_picture
from perfkit.report.plot import Series, plot, scale, ticks
from perfkit.report.sweep import render, render_short
from perfkit.report.sweep_words import bounded, compose
from perfkit.result import Interval, Noise
from perfkit.sweep import SCHEMA, Sweep, encode

SVG = "{http://www.w3.org/2000/svg}"
TWELVE = tuple(float(10 * 2**step) for step in range(12))


def interrupted() -> Sweep:
    """Return a sweep that was ended in its first round: only the first values were timed."""
    sweep = growing(rounds=1, stopped="interrupted")
    first, *others = sweep.results
    cut = (
        change(one, variants=tuple(msgspec.structs.replace(v, samples=()) for v in one.variants))
        for one in others
    )
    return again(sweep, results=(first, *cut))


MAKERS: dict[str, Callable[[], Sweep]] = {
    "growing": growing,
    "scaling": scaling,
    "distant": distant,
    "counted": counted,
    "counted workers": lambda: scaling(rounds=0, stopped="counted"),
    "few rounds": lambda: growing(rounds=3),
    "interrupted": interrupted,
    "two values": lambda: scaling((2, 4)),
    "twelve values": lambda: growing(TWELVE),
    "holes": lambda: growing(where={"pairs": lambda n: n > 100, "ask-once": lambda n: n == 50}),
}


@cache
def known(name: str) -> Sweep:
    return MAKERS[name]()


def report(sweep: Sweep, width: int = 80) -> str:
    return draw(render(sweep, width))


def said(sweep: Sweep) -> str:
    return " ".join(line.text for line in compose(sweep).lines)


def relabel(sweep: Sweep, text: str) -> Sweep:
    """Return the same sweep with `text` wherever a file can say something."""
    results = []
    for one in sweep.results:
        result = change(one, title=text, counters={"round_trips": text})
        for variant in result.variants:
            result = change_variant(result, variant.name, label=text)
        results.append(result)
    return msgspec.structs.replace(
        sweep,
        title=text,
        text=text,
        parameter=text,
        results=tuple(results),
        curves=tuple(msgspec.structs.replace(curve, label=text) for curve in sweep.curves),
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["growing", "scaling"])
def test_the_terminal_report_is_the_golden_one(name: str, width: int) -> None:
    hold_to(GOLDEN / f"sweep-{name}-{width}.txt", report(known(name), width))


@pytest.mark.parametrize("name", ["distant", "counted", "few rounds", "interrupted", "holes"])
def test_unusual_sweeps_are_drawn_as_the_golden_ones(name: str) -> None:
    hold_to(GOLDEN / f"sweep-{name.replace(' ', '-')}-80.txt", report(known(name)))


@pytest.mark.parametrize("name", ["growing", "scaling"])
def test_the_markdown_report_is_the_golden_one(name: str) -> None:
    hold_to(GOLDEN / f"sweep-{name}.md", sweep_markdown.render(known(name)))


@pytest.mark.parametrize("width", [40, *WIDTHS, 99, 100, 200])
@pytest.mark.parametrize("name", MAKERS)
def test_no_line_is_longer_than_the_width(name: str, width: int) -> None:
    for view in (render, render_short):
        lines = draw(view(known(name), width)).splitlines()
        assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_neither_widen_nor_break_the_report(text: str, width: int) -> None:
    console = Console(width=200, file=io.StringIO())
    lines = report(relabel(known("growing"), text), width).splitlines()

    assert all(console.measure(line).maximum <= width for line in lines if line)
    assert len([line for line in lines if line.startswith((" A ", " B ", " C ", " D "))]) == 8


def test_more_values_than_fit_are_in_a_second_table() -> None:
    lines = report(known("twelve values"), 62).splitlines()
    heads = [line for line in lines if line.startswith(" ms by orders")]
    shown = [value for head in heads for value in re.findall(r"[\d,]+", head)]

    assert len(heads) > 1
    assert shown == [f"{value:,.0f}" for value in TWELVE]
    assert len([line for line in lines if line.startswith(" A ")]) >= 2 * len(heads)


def test_every_sign_has_a_stand_in_for_plain_terminals() -> None:
    texts = [report(known(name), width) for name in MAKERS for width in WIDTHS]

    assert {sign for text in texts for sign in text.translate(PLAIN) if not sign.isascii()} == set()


@pytest.mark.parametrize("name", ["growing", "scaling"])
def test_colors_are_the_terminals_own_and_never_alone(name: str) -> None:
    drawn = draw(render(known(name), 80), color=True)
    plain = re.sub(r"\x1b\[[\d;]*m", "", drawn)
    codes = {code for codes in re.findall(r"\x1b\[([\d;]*)m", drawn) for code in codes.split(";")}

    assert codes <= {"", "0", "1", "2", "22", "31", "33", "36"}
    assert {"31", "33", "36"} <= codes
    assert [line.rstrip() for line in plain.splitlines()] == report(known(name)).splitlines()


def test_growth_is_told_with_its_interval_its_price_and_the_cause() -> None:
    lines = {line.mark.words: line for line in compose(known("growing")).lines}

    assert lines["naive"].strong == "grows linearly"
    assert re.fullmatch(
        r"'one SELECT per order' grows linearly: at 400 it takes 7\.\d+× \(7\.\d+ – 7\.\d+\) as"
        r" long as at 50, about \d\d µs for each; round trips 51 → 401, linear\.",
        lines["naive"].text,
    )
    assert "'one JOIN for the page' stays the same" in lines["fix"].text
    assert "round trips 1 at every value" in lines["fix"].text
    assert re.search(r"; 2\d\d× as fast as the naive code at 400\.$", lines["fix"].text)
    assert "grows quadratically" in lines["partial fix"].text


def test_workers_are_told_with_both_laws_or_that_none_fits() -> None:
    lines = {line.mark.words: line.text for line in compose(known("scaling")).lines}

    assert re.match(
        r"'one global lock' stays flat: 16 consumers are 1\.0\d× \(1\.0\d – 1\.0\d\) as fast as 1;",
        lines["naive"],
    )
    assert re.search(r"Amdahl's serial share is 9\d\.\d% \(9\d\.\d – 9\d\.\d%\)\.", lines["naive"])
    assert "coherency 0 (at most 0.00" in lines["naive"]
    assert "'counters per thread' scales: 16 consumers are 10.4×" in lines["fix"]
    assert "Without coherency, Amdahl's serial share would be" in lines["fix"]
    assert re.search(r"Contention 0\.02\d* \(.*\), coherency 0\.001\d* \(.*\)", lines["fix"])
    assert "'swap under the lock' gets slower" in lines["partial fix"]
    assert lines["partial fix"].endswith("No law fits: the largest deviation is 70%.")


@pytest.mark.parametrize(
    ("faster", "said"),
    [
        (1.6, "'a lock' scales: 16 consumers are"),
        (1.15, "'a lock' stays flat: 16 consumers are"),
        (0.87, "'a lock' stays flat: 16 consumers are"),
        (0.6, "'a lock' gets slower: 16 consumers are"),
        (1.25, "It is unclear whether 'a lock' scales: 16 consumers are"),
    ],
)
def test_little_more_speed_with_many_more_workers_is_no_scaling(faster: float, said: str) -> None:
    code = Code("naive", "a lock", lambda n: 1 if n < 16 else 1 / faster)
    sweep = build("consumers", (1, 4, 16), {"lock": code}, workers=True)

    assert compose(sweep).lines[0].text.startswith(said)


def test_a_serial_share_is_only_told_where_amdahls_law_fits() -> None:
    code = Code("naive", "a lock", scaled(10, 0.05, 0.03))
    sweep = build("consumers", (1, 2, 4, 8, 16), {"lock": code}, workers=True, rounds=3)
    known = sweep.curves[0].scalability

    assert known is not None
    assert known.universal is not None
    assert (known.universal.fits, known.amdahl.fits) == (True, False)
    assert "coherency 0.03" in said(sweep)
    for view in (said(sweep), " ".join(texts(sweep_picture.render(sweep)))):
        assert "serial share" not in view


def test_a_few_more_workers_need_not_gain_as_much_to_scale() -> None:
    sweep = build(
        "consumers", (10, 11, 12), {"lock": Code("naive", "a lock", lambda n: 1 / n)}, workers=True
    )

    assert compose(sweep).lines[0].text.startswith("'a lock' scales: 12 consumers are")


def test_a_span_that_is_too_short_for_a_name_is_said_to_be() -> None:
    code = {"ask": Code("naive", "one SELECT per order", lambda n: 0.001 * n)}

    assert "too short a span to name its growth" in said(build("orders", (10, 15, 20, 25), code))
    assert "too short a span" not in said(build("orders", (10, 20, 40), code))
    assert "too short a span" not in said(build("orders", (10, 20, 40, 80), code))


def test_the_best_number_of_workers_is_named_where_it_is_in_reach() -> None:
    sweep = known("scaling")
    curve = sweep.curves[2]
    scalability = curve.scalability
    assert scalability is not None

    def sentence(**changes: object) -> str:
        changed = msgspec.structs.replace(scalability, **changes)
        curves = (*sweep.curves[:2], msgspec.structs.replace(curve, scalability=changed))
        return said(msgspec.structs.replace(sweep, curves=curves))

    assert ": most throughput at 22, beyond what was measured." in sentence(peak=22.4)
    assert ": most throughput at 8." in sentence(peak=8.1)
    assert "most throughput" not in sentence(peak=None)
    assert "The curve down to 1 is extrapolated." in sentence(extrapolated=True)
    assert "more than it has workers" in sentence(superlinear=True)


def test_the_distance_is_told_in_round_trips() -> None:
    lines = said(known("distant"))

    assert re.search(r"as if it waited for (199|20\d) round trips;", lines)
    assert "as if it waited for 1 round trip;" in lines


def test_what_no_curve_fits_or_many_do_is_said() -> None:
    sweep = known("growing")
    curve = sweep.curves[0]
    fit = curve.growth
    assert fit is not None

    def sentence(**changes: object) -> str:
        growth = msgspec.structs.replace(fit, growth=None, **changes)
        curves = (msgspec.structs.replace(curve, growth=growth), *sweep.curves[1:])
        return compose(msgspec.structs.replace(sweep, curves=curves)).lines[0].text

    assert ": no curve fits, the largest deviation is 38%; at 400" in sentence(
        candidates=(), error=0.381
    )
    assert "It is unclear how 'one SELECT per order' grows, linear or n log n; at 400" in sentence(
        candidates=("linear", "n log n")
    )


def test_few_rounds_name_nothing_and_say_why() -> None:
    sweep = known("few rounds")

    assert compose(sweep).notices == (
        "No intervals and no names after 3 rounds: both need 6 rounds.",
    )
    assert "perhaps linear: 3 rounds are too few" in said(sweep)
    assert "grows linearly" not in said(sweep)


def test_an_interrupted_sweep_says_so_in_the_first_line_of_every_view() -> None:
    sweep = known("interrupted")

    assert report(sweep).startswith(" Partial: stopped after 1 round.\n")
    assert draw(render_short(sweep, 80)).startswith(" Partial: stopped after 1 round.\n")
    assert sweep_markdown.render(sweep).splitlines()[3] == "**Partial: stopped after 1 round.**"


def test_what_was_not_run_is_said_with_the_values() -> None:
    checks = [line.text for line in compose(known("holes")).checks]

    assert "'compare all pairs' at 50, 100: it needs fewer." in checks
    assert "'one JOIN for the page' at 100, 200, 400: it needs fewer." in checks


def test_a_noisy_value_is_named() -> None:
    sweep = known("growing")
    busy = Noise(0.1, 3.5, 3.5, None, None, 0)
    results = (*sweep.results[:2], change(sweep.results[2], noise=busy), sweep.results[3])
    checks = compose(msgspec.structs.replace(sweep, results=results)).checks

    assert [line.mark.sign for line in checks if line.mark.words == "noise"] == ["!"]
    assert any(
        line.text.startswith("At orders = 200: A busy machine:")
        and "3.5 tasks a core ran before the run" in line.text
        for line in checks
    )


def test_noise_and_counts_of_all_values_are_a_line_each() -> None:
    sweep = known("growing")
    busy = Noise(0.1, 3.5, 3.5, None, None, 0)
    first, *others = sweep.results
    first = change_work(first, first.naive.name, first.cause, exact=False)
    results = (first, *(change(one, noise=busy) for one in others))
    checks = compose(msgspec.structs.replace(sweep, results=results)).checks
    said = {line.mark.words: line.text for line in checks}

    assert len(said) == len(checks)
    assert said["counts"].startswith("Two counting passes agree, except in round trips (about, ~)")
    assert said["noise"].startswith("At orders = 100: A busy machine:")
    assert said["noise"].endswith(" So it was at 200 and 400.")


def test_of_many_contradictions_two_are_told_and_the_rest_counted() -> None:
    sweep = known("growing")
    results = tuple(
        change_work(one, one.naive.name, one.cause, others={"TCP_INFO": 7}) for one in sweep.results
    )
    (said,) = (
        line.text
        for line in compose(msgspec.structs.replace(sweep, results=results)).checks
        if line.mark.words == "counts"
    )

    assert said.count("counted") == 2
    assert said.endswith("TCP_INFO 7. And 2 more such figures.")


@pytest.mark.parametrize(
    ("expected", "interval"),
    [
        ("0.97 (0.95 – 0.98)", (0.9712, 0.9534, 0.9833)),
        ("0 (at most 0.002)", (0.0, 0.0, 0.0018)),
        ("0 (at most 0.0003)", (0.0000076, 0.0, 0.0003)),
        ("0", (0.0, 0.0, 0.0)),
        ("0.97", (0.9712, None, None)),
    ],
)
def test_figures_of_a_law_have_no_more_digits_than_their_interval_bears(
    expected: str, interval: tuple[float, float | None, float | None]
) -> None:
    assert bounded(Interval(*interval, 0.95)) == expected


def no_curve(_: float) -> float | None:
    return None


def test_points_on_one_place_stand_beside_each_other() -> None:
    points = {1.0: 5.0, 2.0: 5.0}
    columns = {1.0: "1", 2.0: "2"}
    lines = plot(
        [Series(letter, "", points, no_curve) for letter in "ABC"], columns, 30, 5
    ).plain.splitlines()

    assert re.fullmatch(r" +ABC +ABC", lines[0])
    assert re.fullmatch(r" +1 +2", lines[-1])
    assert lines[0].index("A") == lines[-1].index("1")
    assert lines[0].rindex("A") == lines[-1].index("2")


def test_equal_factors_are_equally_far_apart_on_logarithmic_axes() -> None:
    values = {float(n): float(n) for n in (1, 4, 16)}
    columns = {n: f"{n:g}" for n in values}
    *lines, _ = plot([Series("A", "", values, no_curve)], columns, 41, 9).plain.splitlines()
    found = [(line, text.index("A")) for line, text in enumerate(lines) if "A" in text]

    assert [line for line, _ in found] == [0, 4, 8]
    assert found[0][1] - found[1][1] == pytest.approx(found[1][1] - found[2][1], abs=1)


def test_dots_follow_the_fitted_curve_between_the_points() -> None:
    points = {0.0: 0.0, 4.0: 4.0}
    with_fit = Series("A", "", points, lambda x: x)
    drawn = plot([with_fit], {0.0: "0", 4.0: "4"}, 30, 5).plain
    bare = plot([Series("A", "", points, no_curve)], {0.0: "0", 4.0: "4"}, 30, 5).plain

    assert all("·" in line for line in drawn.splitlines()[1:4])
    assert "·" not in bare


@pytest.mark.parametrize(
    ("expected", "values"),
    [
        ([1, 2, 5, 10], [1, 16]),
        ([0.001, 0.01, 0.1, 1], [0.0009, 2]),
        ([2, 4, 6], [2, 6.5]),
        ([0, 2, 4], [0, 5]),
        ([3], [3, 3]),
    ],
)
def test_ticks_are_round_and_few(expected: list[float], values: list[float]) -> None:
    assert ticks(scale(values)) == pytest.approx(expected)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stand_for_themselves_in_markdown(text: str) -> None:
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    page, usual = (
        reader.render(sweep_markdown.render(relabel(known("growing"), words)))
        for words in (text, "tame")
    )

    assert tags(page) == tags(usual)


@pytest.mark.parametrize("name", ["growing", "scaling", "holes"])
def test_markdown_says_what_the_terminal_says(name: str) -> None:
    drawn = " ".join(report(known(name), 120).split())
    written = re.sub(r"\\(.)", r"\1", sweep_markdown.render(known(name)))

    for line in written.splitlines():
        if line.startswith("- "):
            assert line.partition(": ")[2].replace("**", "") in drawn


def texts(svg: bytes) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", MAKERS)
def test_a_picture_names_every_variant_and_is_the_same_each_time(name: str) -> None:
    first, second = (sweep_picture.render(known(name)) for _ in range(2))
    found = " ".join(texts(first))

    assert first == second
    assert f"<!-- {SCHEMA} -->".encode() in first
    assert all(curve.label in found for curve in known(name).curves)
    assert b"dc:date" not in first


def test_a_picture_has_the_figures_of_the_fit_and_the_ideal_line() -> None:
    workers = " ".join(texts(sweep_picture.render(known("scaling"))))
    growth = " ".join(texts(sweep_picture.render(known("growing"))))

    assert re.search(r"naive: one global lock, serial share 9\d\.\d% \(", workers)
    assert re.search(r"fixed: counters per thread, contention 0\.02\d* \(", workers)
    assert "partial fix: swap under the lock, no law fits" in workers
    assert "ideal" in workers
    assert "times as fast as the naive code at consumers = 1" in workers
    assert "partial fix: compare all pairs, quadratic" in growth
    assert "ideal" not in growth


@pytest.mark.parametrize("text", [*HOSTILE, "$x^2$", "_hidden", "</text>"])
def test_hostile_texts_stand_for_themselves_in_a_picture(text: str) -> None:
    found = texts(sweep_picture.render(relabel(known("counted"), text)))

    assert any(text.replace("\n", " ") in one for one in found)


def test_a_picture_needs_no_global_state_of_matplotlib() -> None:
    code = (
        "import sys; from perfkit import sweep; from perfkit.report import sweep_picture\n"
        "assert 'matplotlib' not in sys.modules\n"
        "sweep_picture.render(sweep.decode(sys.stdin.buffer.read(), 'stdin'))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    file = encode(known("counted"))

    subprocess.run([sys.executable, "-c", code], input=file, check=True)


def test_without_matplotlib_the_picture_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(MissingExtra, match="matplotlib"):
        sweep_picture.render(known("counted"))
