"""What a document's owner should know of its limits: those that limit nothing, keys that are not read. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from bot_core.models.problem import Notice
from bot_core.models.risk import RiskConfig, TradingConfig

_FRACTION = 1


def risk_notices(parts: Mapping[str, Any]) -> list[Notice]:
    """Notices of the sections that could be read."""
    trading = parts.get("trading") or TradingConfig()
    risk = parts.get("risk_management") or RiskConfig()
    return [Notice(path, text) for path, holds, text in _RULES if holds(trading, risk)]


_RULES: tuple[tuple[str, Callable[[TradingConfig, RiskConfig], bool], str], ...] = (
    (
        "trading.max_positions",
        lambda trading, _: (trading.max_positions or 1) > 1,
        "is more than a bot ever holds: one position at a time",
    ),
    (
        "trading.max_exposure",
        lambda trading, _: trading.max_exposure is not None and trading.max_exposure > _FRACTION,
        "is a fraction of the equity; above 1 it limits nothing, as a bot buys with its own cash only",
    ),
    (
        "trading.leverage",
        lambda trading, _: trading.leverage is not None and trading.leverage > 1,
        "is not supported: a bot buys with its own cash only",
    ),
    (
        "trading.allow_short",
        lambda trading, _: trading.allow_short is True,
        "is not supported: every entry rule buys",
    ),
    (
        "risk_management.max_position_size",
        lambda _, risk: risk.max_position_size is not None and risk.max_position_size <= _FRACTION,
        "is money in the quote currency, not a fraction; for a fraction of the equity there is trading.max_exposure",
    ),
    (
        "risk_management.max_daily_loss",
        lambda _, risk: risk.max_daily_loss is not None and risk.max_daily_loss <= _FRACTION,
        "is money in the quote currency, not a fraction",
    ),
    (
        "risk_management.max_portfolio_risk",
        lambda _, risk: risk.max_portfolio_risk is not None and not _stopped(risk),
        "limits nothing without a stop: add stop_loss_pct",
    ),
    (
        "risk_management.position_sizing_method",
        lambda _, risk: risk.position_sizing_method is not None,
        "is not read: an entry buys for strategy.parameters.position_size of the free cash, and the limits reduce it",
    ),
    (
        "risk_management.stop_loss_enabled",
        lambda _, risk: risk.stop_loss_enabled is True and risk.stop_loss_pct is None,
        "is true, but stop_loss_pct is missing: there is no stop loss",
    ),
    (
        "risk_management.take_profit_enabled",
        lambda _, risk: risk.take_profit_enabled is True and risk.take_profit_pct is None,
        "is true, but take_profit_pct is missing: there is no take profit",
    ),
    (
        "risk_management.trailing_stop",
        lambda _, risk: risk.trailing_stop and risk.trailing_stop_pct is None,
        "is true, but trailing_stop_pct is missing: there is no trailing stop",
    ),
    (
        "risk_management.stop_loss_pct",
        lambda _, risk: risk.stop_loss_pct == 0 and risk.stop_loss_enabled is not False,
        "is 0: a position is left on the first close that is not above its entry price; leave it out to have none",
    ),
    (
        "risk_management.take_profit_pct",
        lambda _, risk: risk.take_profit_pct == 0 and risk.take_profit_enabled is not False,
        "is 0: a position is left on the first close that is not below its entry price; leave it out to have none",
    ),
    (
        "risk_management.trailing_stop_pct",
        lambda _, risk: risk.trailing_stop and risk.trailing_stop_pct == 0,
        "is 0: a position is left on its first close once the trailing stop is active",
    ),
)


def _stopped(risk: RiskConfig) -> bool:
    """Whether an entry has a stop from its beginning, some way below it."""
    loss = risk.stop_loss_pct if risk.stop_loss_enabled is not False else None
    trail = risk.trailing_stop_pct if risk.trailing_stop and not risk.trailing_stop_activation_pct else None
    return bool(loss or trail)
