"""The benchmark of SNMP: everybody reads the same table, and its words follow the figures."""

import json
import random
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import pytest
import snmp
import snmp_gain
from missing_number_rounds import Rounds, Took
from snmp_clients import START, TABLE, WALK, Contender, contenders, printed_oids, take_turns
from snmp_fleet import ALONE, AT_ONCE, COMPILED, IN_TURN, poll_fleet, require_whole
from snmp_gain import PICTURE, POLL, RECORDED, predict_bulk, write
from snmp_story import CLAIMS, Claim, judge, speed, tell
from snmp_tables import (
    LESS_START,
    fleet_table,
    gain_table,
    less_start,
    pollers_table,
    render,
    story_table,
    verdicts,
)
from snmp_tables import TABLE as TABLES

from perfkit.backends.snmp import Snmp
from perfkit.backends.snmp_table import Device
from perfkit.errors import NoAnswer
from perfkit.model import Location
from perfkit.result import Interval

ROWS = 2


def turns(*seconds: float) -> list[Took]:
    return [Took(each, each / 2) for each in seconds]


def listed(*seconds: float) -> list[list[float]]:
    return [list(turn) for turn in turns(*seconds)]


def test_everybody_reads_the_same_table() -> None:
    with (
        Snmp.serve(Location()) as service,
        Snmp.connect(service.address) as network,
        ExitStack() as stack,
    ):
        network.install([Device("switch", ROWS)])
        found = contenders(network.devices[0], ROWS, stack)

        took = take_turns(found, ROWS, 1, random.Random(1))

    clients = {name.partition(",")[0] for name in took}
    assert {"perfkit", "compiled", "compiled async"} <= clients
    assert {len(turned) for turned in took.values()} == {1}


def test_who_does_not_read_the_whole_table_ends_the_benchmark() -> None:
    oids = [f"{TABLE}.1.{column}.1" for column in range(1, 22)]
    short = Contender(lambda: oids, lambda found: found)

    with pytest.raises(RuntimeError, match="somebody read 21 OIDs, not the 22 of the table"):
        take_turns({"somebody": short}, 1, 1, random.Random(1))


def test_what_net_snmp_prints_has_an_oid_a_line() -> None:
    text = '.1.3.6.1.2.1.2.2.1.1.1 = 1\n.1.3.6.1.2.1.2.2.1.2.1 = "port"\n'

    assert printed_oids(text) == ["1.3.6.1.2.1.2.2.1.1.1", "1.3.6.1.2.1.2.2.1.2.1"]


def test_starting_a_program_is_subtracted_round_by_round() -> None:
    walk, short = f"{WALK} -Cr25", f"{WALK} -Cr50"
    found: Rounds = {walk: turns(9, 8), short: turns(9, 2), START: turns(1, 3), "other": turns(5)}

    more = less_start(found)

    assert more == found | {f"{walk}{LESS_START}": turns(8, 5)}


def test_a_machine_without_net_snmp_has_nothing_to_subtract() -> None:
    found: Rounds = {"perfkit, GETBULK 25": turns(1)}
    place = {"agent": "pysnmp agent", "distance": 0.02, "rounds": {"perfkit, GETBULK 25": [[1, 2]]}}

    assert less_start(found) == found
    assert list(pollers_table({"rows": 1, "places": [place]})) == [
        "22 OIDs of ifTable, median OIDs a second:",
        "",
        "| client | pysnmp agent, 20 ms |",
        "| --- | --- |",
        "| perfkit, GETBULK 25 | 22 |",
        "",
        "Processor time of the client for each OID:",
        "",
        "| client | pysnmp agent, 20 ms |",
        "| --- | --- |",
        "| perfkit, GETBULK 25 | 90.9 ms |",
    ]


def test_who_is_left_out_at_a_place_has_an_empty_cell_there() -> None:
    walk = f"{WALK} -Cr25"
    near = {walk: listed(2.0), START: listed(1.0), "perfkit, GETBULK 25": listed(5.5)}
    places = [
        {"agent": "pysnmp agent", "distance": 0.0, "rounds": near},
        {"agent": "snmpd", "distance": 0.0, "rounds": {"perfkit, GETBULK 25": listed(11.0)}},
    ]

    lines = list(pollers_table({"rows": 1, "places": places}))

    assert "| perfkit, GETBULK 25 | 4 | 2 |" in lines
    assert f"| {walk}{LESS_START} | 22 |  |" in lines
    assert "| perfkit, GETBULK 25 | 0.364 |  |" in lines


def test_a_fleet_is_polled_whole_and_nothing_is_lost() -> None:
    found = poll_fleet(3, 1, 0.0, 0.0, 1, also_in_turn=True)

    assert {name: turned[0]["oids"] for name, turned in found.items()} == {
        ALONE: 22,
        AT_ONCE: 66,
        COMPILED: 66,
        IN_TURN: 66,
    }
    assert {name: turned[0]["requests"] for name, turned in found.items()} == {
        ALONE: 1,
        AT_ONCE: 3,
        COMPILED: 3,
        IN_TURN: 3,
    }
    for (turn,) in found.values():
        assert turn["retries"] == turn["lost"] == turn["dropped"] == 0
        assert turn["memory"] > 2**20


def test_a_fleet_that_is_not_read_whole_ends_the_benchmark() -> None:
    with pytest.raises(RuntimeError, match="'at once' read 5 OIDs, not 6"):
        require_whole(AT_ONCE, {"oids": 5}, 6)


def polled(wall: float, **others: int) -> dict[str, Any]:
    spent = {"cpu": 1.0, "doors": 0.5, "devices": 0.25}
    return {"wall": wall, **spent, "memory": 2**20, "oids": 132} | others


def test_the_table_of_a_fleet_says_whose_processor_time_it_was() -> None:
    quiet = {"retries": 0, "lost": 0}
    poll = {
        "service": 0.005,
        "turns": {
            ALONE: [polled(1.0, **quiet)] * 6,
            AT_ONCE: [polled(2.0, retries=1, lost=2)] * 6,
            COMPILED: [polled(1.0, **quiet) | {"doors": 0.05, "devices": 1.5}] * 6,
            IN_TURN: [polled(10.0, **quiet)],
        },
    }

    lines = list(fleet_table({"devices": 3, "rows": 2, "distance": 0.02, "polls": [poll]}))

    assert lines[-9:] == [
        "| 5 ms | perfkit, one device alone | 1 s | 1 | 100 % | 50 % | 25 % | 1 MiB | 0 | 0 |",
        "| 5 ms | perfkit, all at once | 2 s | 2 (2 to 2) | 50 % | 25 % | 12 % | 1 MiB | 6 | 12 |",
        "| 5 ms | compiled, all at once | 1 s | 1 (1 to 1) | 100 % | 5 % | 150 % | 1 MiB | 0 | 0 |",
        "| 5 ms | perfkit, one after the other | 10 s | 10 | 10 % | 5 % | 2 % | 1 MiB | 0 | 0 |",
        "",
        "The busiest process, at 5 ms and all at once: with perfkit",
        "the client (50 % of a core), with the compiled client the devices (150 % of a core).",
        "perfkit's client took 7.58 ms of processor time for an OID there, so",
        "with one core it reads at most 132 OIDs a second.",
    ]


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (Claim("", "", at_least=1.8), "met"),
        (Claim("", "", at_least=2.0), "unclear: the interval holds the goal"),
        (Claim("", "", at_least=2.3), "missed"),
        (Claim("", "", at_most=2.2), "met"),
        (Claim("", "", at_most=1.8), "missed"),
        (Claim("", "", at_least=1.8, at_most=2.2), "met"),
        (Claim("", "", at_least=1.0, at_most=2.0), "unclear: the interval holds the goal"),
        (Claim("", "", at_least=2.0, at_most=1.5), "missed"),
    ],
)
def test_a_claim_holds_where_the_whole_interval_is_within_its_limits(
    claim: Claim, said: str
) -> None:
    assert judge(claim, Interval(2.0, 1.9, 2.1, 0.95)) == said


def test_few_rounds_decide_no_claim() -> None:
    assert judge(CLAIMS[0], Interval(2.0, None, None, 0.95)) == "too few rounds to tell"


def test_a_claim_is_written_as_its_limits() -> None:
    assert [str(claim) for claim in CLAIMS] == [
        "at most 1.35",
        "at least 8",
        "at least 20",
        "0.9 to 1.2",
        "at least 25",
    ]


def test_a_story_is_told_with_its_requests_and_only_by_who_is_spoken_of() -> None:
    found = tell("snmp-lan-slow-device", "pysnmp agent", 1, interfaces=1)

    assert found["requests"] == {"get-each": 8, "get-in-threads": 8, "walk-in-bulk": 1}
    assert found["lost"] == 0
    assert list(found["bounds"]) == ["get-in-threads"]
    assert {name: len(samples) for name, samples in found["seconds"].items()} == dict.fromkeys(
        found["requests"], 1
    )
    assert speed(found, "get-each").ratio == 1


def test_a_story_that_cannot_be_told_ends_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise NoAnswer("no answer")

    monkeypatch.setattr(snmp, "tell", fail)

    with pytest.raises(NoAnswer):
        snmp.story(snmp.SHORT)


def test_the_table_of_stories_says_which_goals_are_met() -> None:
    runs = [
        {
            "agent": agent,
            "scenario": "snmp-fleet",
            "requests": {"get-each": 128, "walk-all-at-once": 8},
            "seconds": {"get-each": [[naive, naive]] * 6, "walk-all-at-once": [[0.1]] * 6},
        }
        for agent, naive in (("near", 3.0), ("far", 1.0))
    ]
    values = {"runs": runs}

    assert list(story_table(values))[2:] == [
        "| snmp-fleet | near | walk-all-at-once | 128 → 8 | 30 (30 to 30) | at least 25 | met |",
        "| snmp-fleet | far | walk-all-at-once | 128 → 8 | 10 (10 to 10) | at least 25 | not met |",
    ]
    assert verdicts(values) == ["met", "missed"]


def test_getbulk_is_predicted_from_travel_and_service() -> None:
    # 80 times 25.2 ms, against 4 times 25 ms and 80 times 0.2 ms.
    assert predict_bulk(0.02, POLL) == pytest.approx(2.016 / 0.116)


def point(distance: float) -> dict[str, Any]:
    return {
        "distance": distance,
        "travel": distance + 0.001,
        "threads_at_most": 1 + distance / 0.005,
        "bulk_at_most": 12.0 + 100 * distance,
        "rounds": {
            snmp_gain.EACH: listed(*[1.0] * 6),
            snmp_gain.THREADS: listed(*[0.5] * 6),
            snmp_gain.BULK: listed(*[0.1] * 6),
        },
    }


def test_gains_stand_beside_what_was_predicted() -> None:
    values = {"per_request": 0.005, "per_oid": 0.0002, "points": [point(0.01)]}

    assert list(gain_table(values))[-1] == "| 10 ms | 11 ms | 3 | 2 (2 to 2) | 13 | 10 (10 to 10) |"


def test_the_same_points_make_the_same_picture(tmp_path: Path) -> None:
    paths = [tmp_path / "first.svg", tmp_path / "second.svg"]
    for path in paths:
        write([point(0.0), point(0.02)], path)

    first, second = (path.read_text() for path in paths)
    assert first == second
    assert all(name in first for name in ("GETBULK", "GET in 8 threads", "10x"))
    assert "<dc:date>" not in first


def test_the_recorded_tables_and_picture_are_drawn_from_the_recorded_figures(
    tmp_path: Path,
) -> None:
    record = json.loads(RECORDED.read_bytes())
    picture = tmp_path / "gain.svg"

    write(record["gain"]["points"], picture)

    assert render(record) == TABLES.read_text(encoding="utf-8")
    assert picture.read_bytes() == PICTURE.read_bytes()


def test_in_the_recorded_run_every_goal_was_met_and_no_answer_lost() -> None:
    record = json.loads(RECORDED.read_bytes())

    assert verdicts(record["story"]) == ["met"] * 2 * len(CLAIMS)
    assert [run["lost"] for run in record["story"]["runs"]] == [0] * len(record["story"]["runs"])
    for poll in record["fleet"]["polls"]:
        for turned in poll["turns"].values():
            assert {(turn["retries"], turn["lost"], turn["dropped"]) for turn in turned} == {
                (0, 0, 0)
            }
