"""Alpaca's documents of assets and orders, and ours: a translation without a clock or a connection. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_UP, Decimal
from typing import Any, assert_never

from bot_core.models.errors import InvalidBotError
from bot_runtime.domain.market import MarketRules
from bot_runtime.domain.money import CENT8, ZERO
from bot_runtime.domain.order import OrderIntent, OrderReport, OrderStatus, OrderType, Side

_ONE = Decimal(1)
_CENT = Decimal("0.01")
_FINAL = {
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "expired": OrderStatus.CANCELED,
    "replaced": OrderStatus.CANCELED,  # by hand; the order that replaced it is not ours
    "rejected": OrderStatus.REJECTED,
}
#: What a taker pays by tier of the account, of what is received. https://docs.alpaca.markets/docs/crypto-fees
_CRYPTO_FEES = tuple(map(Decimal, ("0.0025", "0.0022", "0.0020", "0.0018", "0.0015", "0.0013", "0.0012", "0.0010")))
#: A stop order of a coin must have a limit: this far beyond the stop it is as good as a market order.
_STOP_ROOM = Decimal("0.05")


@dataclass(frozen=True, slots=True)
class Asset:
    """What is traded. `fee` is the fraction of what is received that Alpaca keeps."""

    id: str
    symbol: str
    crypto: bool
    rules: MarketRules
    fee: Decimal = ZERO


def read_asset(document: Mapping[str, Any], crypto_tier: int) -> Asset:
    """Raise InvalidBotError for an asset that can't be traded."""
    symbol = str(document["symbol"])
    if document.get("tradable") is False or document.get("status") == "inactive":
        raise InvalidBotError(f"symbol: {symbol!r} is not traded at Alpaca now; allowed: an asset that is tradable")
    crypto = document.get("class") == "crypto"
    fee = _CRYPTO_FEES[min(max(crypto_tier, 1), len(_CRYPTO_FEES)) - 1] if crypto else ZERO
    return Asset(str(document["id"]), symbol, crypto, _rules(document, crypto=crypto), fee)


def _rules(document: Mapping[str, Any], *, crypto: bool) -> MarketRules:
    """Shares come in fractions where the asset is fractionable, for a dollar at least; else whole."""
    if crypto:
        step = max(_amount(document, "min_trade_increment") or CENT8, CENT8)
        price_step = _amount(document, "price_increment") or CENT8
        return MarketRules(step, price_step, min_quantity=_amount(document, "min_order_size") or step)
    if document.get("fractionable"):
        return MarketRules(CENT8, _CENT, min_quantity=CENT8, min_notional=_ONE)
    return MarketRules(_ONE, _CENT, min_quantity=_ONE)


def order_request(intent: OrderIntent, asset: Asset) -> dict[str, str]:
    """The body of a new order. Orders of fractions of a share live for a day, as Alpaca has it; others wait on."""
    body = {
        "symbol": asset.symbol,
        "qty": f"{intent.quantity:f}",
        "side": intent.side.value,
        "client_order_id": intent.client_order_id,
        "time_in_force": _lifetime(intent, asset),
    }
    match intent.type:
        case OrderType.MARKET:
            return body | {"type": "market"}
        case OrderType.LIMIT:
            return body | {"type": "limit", "limit_price": _price(intent.limit_price, "limit_price")}
        case OrderType.STOP:
            stop = _price(intent.stop_price, "stop_price")
            if not asset.crypto:
                return body | {"type": "stop", "stop_price": stop}
            return body | {"type": "stop_limit", "stop_price": stop, "limit_price": _beyond(intent, asset)}
        case _:
            assert_never(intent.type)


def _lifetime(intent: OrderIntent, asset: Asset) -> str:
    if asset.crypto:
        return "gtc"
    whole = intent.quantity == intent.quantity.to_integral_value()
    return "gtc" if whole and intent.type is not OrderType.MARKET else "day"


def _beyond(intent: OrderIntent, asset: Asset) -> str:
    room = -_STOP_ROOM if intent.side is Side.SELL else _STOP_ROOM
    assert intent.stop_price is not None  # noqa: S101  # looked at before
    return f"{max(asset.rules.price(intent.stop_price * (1 + room)), asset.rules.price_step):f}"


def _price(price: Decimal | None, field: str) -> str:
    if price is None:
        raise InvalidBotError(f"an order has no {field}, which its type needs")
    return f"{price:f}"


def read_report(document: Mapping[str, Any], asset: Asset) -> OrderReport:
    """Fees of coins are posted at the end of the day, so they are reckoned here; those of shares are not known."""
    filled = _amount(document, "filled_qty") or ZERO
    price = _amount(document, "filled_avg_price")
    charged = (filled * asset.fee).quantize(CENT8, rounding=ROUND_UP)  # never count on more than is there
    bought = document.get("side") == Side.BUY.value
    status = _FINAL.get(str(document.get("status")), OrderStatus.OPEN)
    return OrderReport(
        client_order_id=str(document["client_order_id"]),
        broker_order_id=str(document["id"]),
        status=status,
        quantity=_amount(document, "qty") or filled,
        filled=filled,
        average_price=price if filled else None,
        commission=charged * (price or ZERO),
        time=_time(document),
        base_fee=charged if bought else ZERO,
        reason=_reason(document, status),
    )


def refused(intent: OrderIntent, reason: str, time: datetime) -> OrderReport:
    """The report of an order that Alpaca did not take."""
    return OrderReport(
        intent.client_order_id, "", OrderStatus.REJECTED, intent.quantity, ZERO, None, ZERO, time, reason=reason
    )


def _reason(document: Mapping[str, Any], status: OrderStatus) -> str:
    if document.get("status") == "replaced":
        return "replaced at the venue by an order of another name"
    return "rejected by the exchange after Alpaca had accepted it" if status is OrderStatus.REJECTED else ""


def _time(document: Mapping[str, Any]) -> datetime:
    fields = ("filled_at", "canceled_at", "expired_at", "failed_at", "updated_at", "submitted_at", "created_at")
    said = next(str(document[field]) for field in fields if document.get(field))
    return datetime.fromisoformat(said).astimezone(UTC)


def _amount(document: Mapping[str, Any], field: str) -> Decimal | None:
    value = document.get(field)
    return None if value in (None, "") else Decimal(str(value))
