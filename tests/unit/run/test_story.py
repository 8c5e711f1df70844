"""What a probe is held to beyond what a run of it shows."""

from __future__ import annotations

import pytest
from sample_probes import choosy

from perfkit import registry
from perfkit.run import story


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
