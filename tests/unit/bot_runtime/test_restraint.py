from datetime import UTC, datetime
from typing import Any, cast

import pytest

from bot_core.models.errors import DatabaseUnavailableError
from bot_runtime.domain.bar import Bar
from bot_runtime.engine import restraint
from bot_runtime.engine.board import BotBoard
from bot_runtime.engine.outcomes import FREE
from bot_runtime.engine.restraint import Restraint
from bot_runtime.feeds.intervals import interval_seconds


class NamedFeed:
    live = True

    def __init__(self, interval: str) -> None:
        self.interval_seconds = interval_seconds(interval)


def hold_of(opened: str, interval: str, now: str, skew: float | None, monkeypatch: pytest.MonkeyPatch) -> Any:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    monkeypatch.setattr(restraint, "datetime", type("At", (datetime,), {"now": classmethod(lambda _cls, _tz: moment)}))
    board = BotBoard(7, "a bot", interval=interval, clock_skew=skew)
    found = Restraint(cast("Any", None), cast("Any", NamedFeed(interval)), board)
    return found.hold(Bar(datetime.fromisoformat(opened).replace(tzinfo=UTC), 1, 1, 1, 1, 1))


@pytest.mark.parametrize(
    ("opened", "interval", "now", "skew"),
    [
        pytest.param("2026-01-01", "1M", "2026-02-01T00:00:05", None, id="a month of 31 days"),
        pytest.param("2026-02-23", "1W", "2026-03-02T00:00:05", None, id="a week"),
        pytest.param("2026-01-01", "1m", "2026-01-01T00:01:36", -35.0, id="our clock is ahead"),
        pytest.param("2026-01-01", "1m", "2026-01-01T00:01:05", 2.0, id="our clock is behind"),
        pytest.param("2026-01-01", "1s", "2026-01-01T00:00:01.4", None, id="a second"),
    ],
)
def test_a_bar_in_time_is_not_late(
    opened: str, interval: str, now: str, skew: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hold_of(opened, interval, now, skew, monkeypatch) is FREE


@pytest.mark.parametrize(
    ("opened", "interval", "now", "skew"),
    [
        pytest.param("2026-02-01", "1M", "2026-03-01T00:00:31", None, id="a month of 28 days"),
        pytest.param("2026-01-01", "1m", "2026-01-01T00:01:31", None, id="a minute"),
        pytest.param("2026-01-01", "1m", "2026-01-01T00:01:20", 15.0, id="our clock is behind"),
        pytest.param("2026-01-01", "1s", "2026-01-01T00:00:01.6", None, id="a second"),
    ],
)
def test_a_late_bar_holds_entries_and_the_exits_of_rules(
    opened: str, interval: str, now: str, skew: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = hold_of(opened, interval, now, skew, monkeypatch)
    assert "came too late" in held.entries
    assert held.exits == held.entries


class ForgetfulDesk:
    """An order desk whose database is away the first time that something is written."""

    def __init__(self) -> None:
        self.ledger = self
        self.no_entries = ""
        self.told: list[str] = []
        self._away = True

    async def released(self) -> bool:
        if self._away:
            self._away = False
            raise DatabaseUnavailableError("the database did not answer")
        self.told.append("over")
        return True


async def test_the_end_of_a_halt_that_could_not_be_told_is_told_by_a_later_heartbeat_and_once() -> None:
    desk = ForgetfulDesk()
    found = Restraint(cast("Any", desk), cast("Any", NamedFeed("1m")), BotBoard(7, "a bot", halted="halt 3"))
    with pytest.raises(DatabaseUnavailableError):
        await found.obey(None)
    for _ in range(3):
        await found.obey(None)
    assert desk.told == ["over"]
