"""From a row's symbol to a spot market of an exchange, and what the exchange allows there. Pure."""

import difflib
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from bot_core.models.errors import InvalidBotError
from bot_runtime.domain.market import MarketRules
from bot_runtime.domain.money import CENT8, ZERO

_DECIMAL_PLACES, _SIGNIFICANT_DIGITS = 2, 3  # ccxt's modes of precision; the third, 4, is a step
_NEAR = 5
_QUANTITY_FILTERS = ("LOT_SIZE", "MARKET_LOT_SIZE")  # of Binance

Market = Mapping[str, Any]


def find_market(markets: Iterable[Market], symbol: str, exchange_id: str) -> Market:
    """Find the open spot market whose id or name is `symbol`, such as BTCUSDT for BTC/USDT. Else InvalidBotError."""
    named: list[Market] = []
    spot: dict[str, Market] = {}
    for market in markets:
        names = {_plain(str(market["id"])), _plain(f"{market['base']}{market['quote']}")}
        if symbol in names:
            named.append(market)
        if market.get("spot") and market.get("active") is not False:
            spot |= dict.fromkeys(names, market)
    if symbol in spot:
        return spot[symbol]
    if any(market.get("spot") for market in named):
        raise InvalidBotError(f"symbol: {symbol!r} is not open for trading at {exchange_id}")
    if named:
        raise InvalidBotError(f"symbol: {symbol!r} is no spot market of {exchange_id}; allowed: spot markets")
    near = ", ".join(difflib.get_close_matches(symbol, spot, n=_NEAR, cutoff=0.6)) or "none is near"
    raise InvalidBotError(f"symbol: {symbol!r} is no market of {exchange_id}; near: {near}")


def market_rules(market: Market, precision_mode: int) -> MarketRules:
    """The grid, the least and the greatest order of a market, as ccxt tells them."""
    precision, limits = market.get("precision") or {}, market.get("limits") or {}
    return MarketRules(
        quantity_step=_step(precision.get("amount"), precision_mode),
        price_step=_step(precision.get("price"), precision_mode),
        min_quantity=_least(limits.get("amount")),
        min_notional=_least(limits.get("cost")),
        max_quantity=_greatest(market, limits),
    )


def _plain(text: str) -> str:
    return re.sub(r"[/\-_.:]", "", text).upper()


def _step(precision: Any, mode: int) -> Decimal:
    if precision is None or mode == _SIGNIFICANT_DIGITS:
        return CENT8
    if mode == _DECIMAL_PLACES:
        return Decimal(1).scaleb(-int(precision))
    return Decimal(str(precision)) or CENT8


def _least(limit: Any) -> Decimal:
    least = limit.get("min") if isinstance(limit, Mapping) else None
    return ZERO if least is None else Decimal(str(least))


def _greatest(market: Market, limits: Mapping[str, Any]) -> Decimal | None:
    """What one order may hold whatever its type: exits and triggered stops are market orders, whose limit is lower."""
    info = market.get("info") or {}
    filters = info.get("filters") if isinstance(info, Mapping) else None
    told = [each.get("maxQty") for each in filters or () if each.get("filterType") in _QUANTITY_FILTERS]
    told += [(limits.get(kind) or {}).get("max") for kind in ("amount", "market")]
    return min((most for each in told if each is not None and (most := Decimal(str(each))) > 0), default=None)
