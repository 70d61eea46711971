"""Bars and strategies for tests of the trading side."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bot_core.models.strategy import StrategyConfig, parse_strategy
from bot_runtime.domain.bar import Bar
from bot_runtime.feeds.synthetic import SyntheticMarket

START = datetime(2024, 1, 1, tzinfo=UTC)
CASH = Decimal(10_000)
COMMISSION = Decimal("0.001")


def made_up_bars(count: int, *, seed: int = 1, interval: int = 300, symbol: str = "ETHUSDT") -> list[Bar]:
    market = SyntheticMarket(seed, symbol, interval)
    return [Bar(START + timedelta(seconds=index * interval), *market.quote(index)) for index in range(count)]


def bars_of_closes(closes: Sequence[float], *, volume: float = 1.0) -> list[Bar]:
    return [
        Bar(START + timedelta(minutes=index), close, close, close, close, volume) for index, close in enumerate(closes)
    ]


def strategy_document(
    entry: str = "RSIOrBBEntryMixin",
    exit_: str = "ATRExitMixin",
    entry_params: dict[str, Any] | None = None,
    exit_params: dict[str, Any] | None = None,
    **parameters: Any,
) -> dict[str, Any]:
    return {
        "type": "CustomStrategy",
        "parameters": {
            "entry_logic": {"name": entry, "params": entry_params or {}},
            "exit_logic": {"name": exit_, "params": exit_params or {}},
            **parameters,
        },
    }


def strategy_config(*args: Any, **kwargs: Any) -> StrategyConfig:
    config, problems, _ = parse_strategy(strategy_document(*args, **kwargs))
    assert config is not None, problems
    return config
