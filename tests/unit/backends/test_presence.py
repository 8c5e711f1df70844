from __future__ import annotations

import pytest

from perfkit.backends import presence
from perfkit.backends.presence import require_there
from perfkit.errors import CannotRun, ComponentLost


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Hold what was done, in its order; nobody really waits."""
    done: list[object] = []
    monkeypatch.setattr("perfkit.backends.presence.time.sleep", done.append)
    return done


def test_a_server_that_is_there_is_asked_once(told: list[object]) -> None:
    require_there(lambda: told.append("asked"), "Valkey", None, "memory")

    assert told == ["asked"]


def test_a_server_that_is_full_until_connections_have_closed_is_there(told: list[object]) -> None:
    def connect() -> None:
        told.append("asked")
        if told.count("asked") == 1:
            raise CannotRun("no more connections")

    require_there(connect, "Valkey", None, "memory")

    assert told == ["asked", presence.CLOSING, "asked"]


def test_a_server_that_takes_none_after_that_either_went_away(told: list[object]) -> None:
    def connect() -> None:
        told.append("asked")
        raise CannotRun("no connection", why=f"refused {told.count('asked')}")

    with pytest.raises(ComponentLost) as caught:
        require_there(connect, "PostgreSQL", None, "memory and disk")

    assert caught.value.what == "PostgreSQL went away in the middle of the run"
    assert caught.value.why == "refused 2"
    assert "the server's memory and disk" in caught.value.fix
