"""Every probe must tell its story: proved by counted work, never by time."""

import pytest

from perfkit import registry
from perfkit.run.story import check


@pytest.mark.parametrize("name", sorted(registry.entries()))
def test_story(name: str) -> None:
    _, problems = check(registry.probe(name))

    assert problems == []
