"""What a probe is held to beyond what a run of it shows."""

from __future__ import annotations

import pytest
from sample_probes import choosy, finding
from sample_probes.notes import Notes

from perfkit import registry
from perfkit.run import orchestrator, story


def test_a_lever_that_does_not_apply_by_default_is_one_and_says_why_it_cannot_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "recipe", lambda _: None)

    result, problems = story.check(choosy.handless)

    assert [variant.name for variant in result.variants] == ["many", "twice"]
    assert problems == [
        "'still-many' does not say why it cannot help",
        "there is no recipe: recipes/handless.md",
    ]


def test_a_lever_that_finds_out_that_it_cannot_run_is_no_flaw(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = orchestrator.run
    monkeypatch.setattr(registry, "recipe", lambda _: None)
    monkeypatch.setattr(
        story, "run", lambda plan, tell: run(plan._replace(params=Notes("", "prepare")), tell)
    )

    result, problems = story.check(finding.probe)

    assert [variant.name for variant in result.not_run] == ["still-many", "too-many"]
    assert problems == ["there is no recipe: recipes/finding.md"]
