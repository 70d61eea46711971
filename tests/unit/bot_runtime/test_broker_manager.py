import asyncio
from typing import Any

import pytest

from bot_core.models.config import BotConfig, parse_config
from bot_core.models.errors import InvalidBotError
from bot_runtime import broker_manager
from bot_runtime.broker_manager import BrokerManager
from bot_runtime.brokers.base import VenueUnavailableError
from bot_runtime.domain.market import MarketRules
from support.bots import a_document


class Venue:
    """A broker whose answers a test sets."""

    live = True
    settle_seconds = 1.0

    def __init__(self, account: str, *, skew: float | None = None, error: Exception | None = None) -> None:
        self.account, self.clock_skew, self.error = account, skew, error
        self.connects = self.closes = 0

    async def connect(self) -> MarketRules:
        self.connects += 1
        return await self._answer(MarketRules())

    async def find(self, _client_order_id: str) -> None:
        return await self._answer(None)

    async def aclose(self) -> None:
        self.closes += 1

    async def _answer(self, value: Any) -> Any:
        if self.error is not None:
            raise self.error
        return value


@pytest.fixture
def manager() -> BrokerManager:
    return BrokerManager()


def opened(monkeypatch: pytest.MonkeyPatch, manager: BrokerManager, bot_id: int, venue: Any) -> Any:
    monkeypatch.setattr(broker_manager, "build_broker", lambda *_, **__: venue)
    return asyncio.run(manager.connect(bot_id, a_config(), interval_seconds=60))[0]


def a_config() -> BotConfig:
    config = parse_config(a_document()).config
    assert config is not None
    return config


def test_a_broker_is_connected_once_and_known_by_its_account(
    manager: BrokerManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    venues = [Venue("binance:a", skew=0.2), Venue("binance:a", skew=-1.5), Venue("alpaca:b")]
    for bot_id, venue in enumerate(venues, 1):
        opened(monkeypatch, manager, bot_id, venue)
    alpaca, binance = manager.summary()
    assert (alpaca["account"], alpaca["bots"], alpaca["clock_skew_seconds"]) == ("alpaca:b", [3], None)
    assert (binance["bots"], binance["connected"], binance["clock_skew_seconds"]) == ([1, 2], 2, -1.5)
    assert binance["trouble"] == {}
    assert binance["last_answer"].endswith("Z")
    assert [venue.connects for venue in venues] == [1, 1, 1]


def test_trouble_of_one_bot_is_its_own_until_it_is_answered_again(
    manager: BrokerManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = Venue("binance:a"), Venue("binance:a")
    broker = opened(monkeypatch, manager, 1, mine)
    opened(monkeypatch, manager, 2, other)
    mine.error = VenueUnavailableError("no answer, api_key=planted-Kf93\nand more")
    with pytest.raises(VenueUnavailableError):
        asyncio.run(broker.find("tb1-en-1"))
    assert manager.summary()[0]["trouble"] == {"1": "no answer, api_key=***"}
    mine.error = None
    asyncio.run(broker.find("tb1-en-1"))
    assert manager.summary()[0]["trouble"] == {}


def test_a_broker_that_does_not_connect_is_closed_and_stays_known_until_its_bot_ends(
    manager: BrokerManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = Venue("binance:a", error=InvalidBotError("the key is wrong"))
    with pytest.raises(InvalidBotError, match="the key is wrong"):
        opened(monkeypatch, manager, 1, refused)
    assert refused.closes == 1
    (summary,) = manager.summary()
    assert (summary["connected"], summary["trouble"], summary["last_answer"]) == (0, {"1": "the key is wrong"}, None)
    manager.forget(1)
    assert manager.summary() == []


def test_what_a_bot_that_was_cut_short_leaves_open_is_closed_with_the_process(
    manager: BrokerManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, left = Venue("binance:a"), Venue("binance:a")
    broker = opened(monkeypatch, manager, 1, closed)
    opened(monkeypatch, manager, 2, left)
    asyncio.run(broker.aclose())
    for bot_id in (1, 2):
        manager.forget(bot_id)
    assert manager.summary()[0]["bots"] == [2]
    asyncio.run(manager.aclose())
    assert (closed.closes, left.closes) == (1, 1)
    assert manager.summary() == []


def test_a_second_broker_of_a_bot_closes_the_first(manager: BrokerManager, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Venue("binance:a"), Venue("kraken:b")
    opened(monkeypatch, manager, 1, first)
    opened(monkeypatch, manager, 1, second)
    assert (first.closes, second.closes) == (1, 0)
    assert [summary["account"] for summary in manager.summary()] == ["kraken:b"]


def test_a_plugin_that_does_not_know_its_account_spoils_no_summary(
    manager: BrokerManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Careless(Venue):
        @property
        def account(self) -> str:
            raise AttributeError("not yet")

        @account.setter
        def account(self, _value: str) -> None: ...

    opened(monkeypatch, manager, 1, Careless("x"))
    assert manager.summary()[0]["account"] == "unknown"


def test_paper_bots_are_an_account_as_well(manager: BrokerManager) -> None:
    asyncio.run(manager.connect(1, a_config(), interval_seconds=60))
    (summary,) = manager.summary()
    assert (summary["account"], summary["live"], summary["connected"]) == ("paper", False, 1)
