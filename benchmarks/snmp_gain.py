"""What threads and GETBULK gain at a slow device, the farther away it is: predicted and measured.

python benchmarks/snmp_gain.py     # draws docs/images/snmp-gain.svg from the recorded figures
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from missing_number_rounds import Rounds, Took, speed, timed

from perfkit.backends.snmp import Snmp
from perfkit.model import Location
from perfkit.probes.snmp_bulk import (
    Poll,
    get_each,
    get_in_threads,
    install,
    look,
    open_threads,
    walk_in_bulk,
)

HERE = Path(__file__).parent
RECORDED = HERE / "recorded" / "snmp.json"
PICTURE = HERE.parent / "docs" / "images" / "snmp-gain.svg"
POLL = Poll(devices=1, interfaces=10, columns=8, per_request=0.005, per_oid=0.0002, threads=8)
EACH, THREADS, BULK = "GET per OID", "GET in 8 threads", "GETBULK"
MANY = 1_000
"""More threads than any prediction here allows."""
BLUE, GREEN, GREY = "#0072B2", "#009E73", "#555555"
SETTINGS: Any = {
    # The same points make the same file, and text stays text.
    "svg.hashsalt": "perfkit",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

Point = Mapping[str, Any]
"""A distance: what was predicted there, and what was measured."""


def measure(distance: float, poll: Poll, rounds: int, draw: random.Random) -> dict[str, Any]:
    """Predict from single requests what threads can gain, then measure, in random order."""
    with (
        Snmp.serve(Location(rtt=distance)) as service,
        Snmp.connect(service.address) as network,
    ):
        install(network, poll)
        look(network, poll)
        bound = network.bound(MANY)
        if bound is None:
            raise AssertionError
        open_threads(network, poll)
        actions: dict[str, Callable[[], object]] = {
            EACH: partial(get_each, network, poll),
            THREADS: partial(get_in_threads, network, poll),
            BULK: partial(walk_in_bulk, network, poll),
        }
        found = take_turns(actions, rounds, draw)
    service_time = poll.per_request + poll.per_oid
    travel = (bound.at_most - 1) * service_time
    return {
        "distance": distance,
        "travel": travel,
        "threads_at_most": bound.at_most,
        "bulk_at_most": predict_bulk(travel, poll),
        "rounds": found,
    }


def predict_bulk(travel: float, poll: Poll) -> float:
    """Return how many times as fast GETBULK is, if nothing but travel and service takes time."""
    values = poll.interfaces * poll.columns
    answers = -(-poll.interfaces // (poll.at_once // poll.columns))
    each = values * (travel + poll.per_request + poll.per_oid)
    return each / (answers * (travel + poll.per_request) + values * poll.per_oid)


def take_turns(
    actions: Mapping[str, Callable[[], object]], rounds: int, draw: random.Random
) -> Rounds:
    """Time every action once a round, in random order; all answers must be equal."""
    found: Rounds = {name: [] for name in actions}
    expected = actions[EACH]()
    for _ in range(rounds):
        for name in draw.sample(list(actions), len(actions)):
            took, answer = timed(actions[name])
            if answer != expected:
                raise RuntimeError(f"{name} found other values")
            found[name].append(took)
    return found


def rounds_of(point: Point) -> Rounds:
    """Return the turns of a recorded point."""
    return {name: [Took(*turn) for turn in turns] for name, turns in point["rounds"].items()}


def write(points: Sequence[Point], path: Path) -> None:
    """Draw predictions as lines and measurements as points; an SVG without a date."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    with rc_context(SETTINGS):
        figure = Figure(figsize=(7.5, 4.2), facecolor="white", layout="constrained")
        axes = figure.subplots()
        along = [1e3 * point["distance"] for point in points]
        for name, predicted, colour, marker, line in (
            (BULK, "bulk_at_most", GREEN, "s", "--"),
            (THREADS, "threads_at_most", BLUE, "o", "-"),
        ):
            lines = [point[predicted] for point in points]
            axes.plot(along, lines, color=colour, linestyle=line, linewidth=1)
            ratios = [speed(rounds_of(point), name, EACH, "wall") for point in points]
            middle = [ratio.ratio for ratio in ratios]
            ends = [
                [ratio.ratio - (ratio.low or ratio.ratio) for ratio in ratios],
                [(ratio.high or ratio.ratio) - ratio.ratio for ratio in ratios],
            ]
            axes.errorbar(along, middle, ends, fmt=marker, color=colour, markersize=5, capsize=2)
            words = "1 + travel / service" if name == THREADS else "predicted"
            axes.annotate(
                f"{name}\nline: {words}",
                (along[-1], lines[-1]),
                (8, 0),
                textcoords="offset points",
                color=colour,
                verticalalignment="center",
                annotation_clip=False,
            )
        axes.axhline(1, color=GREY, linewidth=0.6)
        axes.set_yscale("log")
        ticks = [1, 2, 5, 10, 20, 50]
        axes.set_ylim(0.8, 1.3 * max(point["bulk_at_most"] for point in points))
        axes.yaxis.set_major_locator(FixedLocator(ticks))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:g}x"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(FixedLocator(along))
        axes.set_xlabel("distance of the device, in milliseconds there and back")
        axes.set_title("times as fast as one GET per OID", loc="left", fontsize=10)
        axes.grid(color="#dddddd", linewidth=0.6)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def main() -> None:
    """Draw the recorded points again."""
    write(json.loads(RECORDED.read_bytes())["gain"]["points"], PICTURE)


if __name__ == "__main__":
    main()
