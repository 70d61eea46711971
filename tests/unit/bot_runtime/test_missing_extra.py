import sys
from typing import Any

import pytest

from bot_core.models.errors import InvalidBotError
from bot_runtime.brokers.registry import build_broker
from bot_runtime.feeds.registry import build_feed
from bot_runtime.venues.ccxt_client import public_client
from support.live import a_live_config

HINT = "in the extra `live`: pip install 'tradingbot-operator[live]'"


def forget(monkeypatch: pytest.MonkeyPatch, library: str, *users: str) -> None:
    """Let an import of a library fail, and make those that have it already import it again."""
    for name in list(sys.modules):
        if name == library or name.startswith(f"{library}."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    for user in users:
        monkeypatch.delitem(sys.modules, user, raising=False)


IBKR = [
    "bot_runtime.brokers.ibkr",
    "bot_runtime.brokers.ibkr_market",
    "bot_runtime.brokers.ibkr_orders",
    "bot_runtime.feeds.ibkr",
    "bot_runtime.venues.ibkr_session",
    "bot_runtime.venues.ibkr_contracts",
]


def test_a_broker_whose_library_is_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch, "ib_async", *IBKR)
    with pytest.raises(InvalidBotError) as caught:
        build_broker(a_live_config("ibkr", "AAPL"), interval_seconds=60)
    assert str(caught.value).startswith("broker.type: 'ibkr' needs ib_async, which is ")
    assert HINT in str(caught.value)


def test_a_feed_whose_library_is_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch, "ib_async", *IBKR)
    data: dict[str, Any] = {"data_source": "ibkr", "interval": "1m"}
    with pytest.raises(InvalidBotError) as caught:
        build_feed(data, "AAPL")
    assert str(caught.value).startswith("data.data_source: 'ibkr' needs ib_async, which is ")
    assert HINT in str(caught.value)


async def test_an_exchange_without_ccxt_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch, "ccxt")
    with pytest.raises(InvalidBotError) as caught:
        await public_client("binance")
    assert str(caught.value).startswith("the exchange 'binance' needs ccxt")
    assert HINT in str(caught.value)
