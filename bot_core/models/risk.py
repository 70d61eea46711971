"""The sections `trading` and `risk_management`: limits. Data only; `bot_runtime.risk` enforces them."""

from decimal import Decimal
from typing import Annotated, ClassVar

from bot_core.models.section import Section
from bot_core.models.values import FLAG, MAYBE_FLAG, number, one_of, optional, text, whole

_Money = Annotated[Decimal | None, optional(number(0))]
_Percent = Annotated[Decimal | None, optional(number(0, 100))]
_Flag = Annotated[bool | None, MAYBE_FLAG]


class TradingConfig(Section):
    """`position_size` and `max_exposure` are fractions, `max_drawdown_pct` per cent."""

    inert: ClassVar[frozenset[str]] = frozenset({"symbol", "_comment"})

    position_size: Annotated[Decimal | None, optional(number(0, 1))] = None
    max_positions: Annotated[int | None, optional(whole(1, 100))] = None
    order_type: Annotated[str, one_of(("market", "limit"), "order type")] = "market"
    max_drawdown_pct: _Percent = None
    max_exposure: _Money = None
    allow_short: _Flag = None
    leverage: _Money = None


class RiskConfig(Section):
    """Names in `_pct` are per cent (5 = 5 %), the others money in the quote currency or counts of trades."""

    inert: ClassVar[frozenset[str]] = frozenset({"_comment"})

    max_position_size: _Money = None
    stop_loss_pct: _Percent = None
    take_profit_pct: Annotated[Decimal | None, optional(number(0, 1000))] = None
    stop_loss_enabled: _Flag = None
    take_profit_enabled: _Flag = None
    trailing_stop: Annotated[bool, FLAG] = False
    trailing_stop_pct: _Percent = None
    trailing_stop_activation_pct: _Percent = None
    max_daily_loss: _Money = None
    max_daily_trades: Annotated[int | None, optional(whole(1, 1000))] = None
    max_portfolio_risk: Annotated[Decimal | None, optional(number(0, 1))] = None
    position_sizing_method: Annotated[str | None, optional(text(50))] = None
