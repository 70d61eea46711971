"""Markets of the stand-in, and the filters that it holds orders to. Pure."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any


class VenueError(Exception):
    """A refusal as Binance writes it."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(f"{code} {message}")
        self.code, self.message, self.status = code, message, status


@dataclass(frozen=True)
class Market:
    symbol: str
    base: str
    quote: str
    step: Decimal = Decimal("0.00001")
    tick: Decimal = Decimal("0.01")
    min_notional: Decimal = Decimal(5)
    status: str = "TRADING"

    def check(self, quantity: Decimal, price: Decimal, priced: tuple[Decimal | None, ...]) -> None:
        """`price` is what the order is worth at, `priced` the prices that it names."""
        if self.status != "TRADING":
            raise VenueError(-1013, "Market is closed.")
        for named in priced:
            if named is not None and (named <= 0 or named % self.tick):
                raise VenueError(-1013, "Filter failure: PRICE_FILTER")
        if quantity < self.step or quantity % self.step:
            raise VenueError(-1013, "Filter failure: LOT_SIZE")
        if quantity * price < self.min_notional:
            raise VenueError(-1013, "Filter failure: NOTIONAL")

    def info(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "status": self.status,
            "baseAsset": self.base,
            "baseAssetPrecision": 8,
            "quoteAsset": self.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT"],
            "icebergAllowed": True,
            "ocoAllowed": True,
            "quoteOrderQtyMarketAllowed": True,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": _text(self.tick), "maxPrice": "1000000.00000000",
                 "tickSize": _text(self.tick)},
                {"filterType": "LOT_SIZE", "minQty": _text(self.step), "maxQty": "9000.00000000",
                 "stepSize": _text(self.step)},
                {"filterType": "NOTIONAL", "minNotional": _text(self.min_notional), "applyMinToMarket": True,
                 "maxNotional": "9000000.00000000", "applyMaxToMarket": False, "avgPriceMins": 5},
            ],
            "permissions": [],
            "permissionSets": [["SPOT"]],
        }  # fmt: skip


def _text(value: Decimal) -> str:
    return f"{value:.8f}"


MARKETS = (
    Market("BTCUSDT", "BTC", "USDT"),
    Market("ETHUSDT", "ETH", "USDT", step=Decimal("0.0001")),
    Market("ETHBTC", "ETH", "BTC", step=Decimal("0.0001"), tick=Decimal("0.00001"), min_notional=Decimal("0.0001")),
    Market("BNBUSDT", "BNB", "USDT", step=Decimal("0.001")),
    Market("LUNAUSDT", "LUNA", "USDT", status="BREAK"),
)
PRICES = {
    "BTCUSDT": Decimal(50000),
    "ETHUSDT": Decimal(2500),
    "ETHBTC": Decimal("0.05"),
    "BNBUSDT": Decimal(500),
    "LUNAUSDT": Decimal(1),
}
