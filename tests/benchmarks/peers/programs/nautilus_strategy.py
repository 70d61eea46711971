"""The same strategy for nautilus_trader, with its own indicators, and an instrument as fine as our bars are."""

from collections.abc import Callable
from decimal import Decimal

from nautilus_trader.indicators import AverageTrueRange, BollingerBands, MovingAverageType, RelativeStrengthIndex
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Currency, Price, Quantity
from nautilus_trader.trading.config import StrategyConfig
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("SIM")
_DIGITS = 8


def instrument(coin: str) -> CurrencyPair:
    symbol = Symbol(f"{coin}USDT")
    return CurrencyPair(
        instrument_id=InstrumentId(symbol, VENUE),
        raw_symbol=symbol,
        base_currency=Currency.from_str(coin),
        quote_currency=USDT,
        price_precision=_DIGITS,
        size_precision=_DIGITS,
        price_increment=Price(1e-8, _DIGITS),
        size_increment=Quantity(1e-8, _DIGITS),
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.001"),
        ts_event=0,
        ts_init=0,
    )


def bar_type(pair: CurrencyPair) -> BarType:
    return BarType.from_str(f"{pair.id}-1-MINUTE-LAST-EXTERNAL")


class RsiBbAtrConfig(StrategyConfig, frozen=True):
    bars: BarType
    cooldown: int = 5
    multiplier: float = 2.0
    share: float = 0.1


class RsiBbAtr(Strategy):
    """With `started`, that is called instead of asking for bars: there may be nobody to ask."""

    def __init__(self, config: RsiBbAtrConfig, started: Callable[["RsiBbAtr"], None] | None = None) -> None:
        super().__init__(config)
        self.pair_id = config.bars.instrument_id
        self.rsi = RelativeStrengthIndex(14, MovingAverageType.WILDER)
        self.bands = BollingerBands(20, 2.0)
        self.atr = AverageTrueRange(14, MovingAverageType.WILDER)
        self.seen = 0
        self.trades = 0
        self.last_signal = -config.cooldown
        self.held: Quantity | None = None
        self.highest = self.stop_at = self.entry_atr = 0.0
        self._started = started

    def on_start(self) -> None:
        if self._started is not None:
            self._started(self)
            return
        self.register_indicator_for_bars(self.config.bars, self.rsi)
        self.register_indicator_for_bars(self.config.bars, self.atr)
        self.subscribe_bars(self.config.bars)

    def on_bar(self, bar: Bar) -> None:
        close = bar.close.as_double()
        self.bands.update_raw(close, close, close)  # of the close: by itself it takes the typical price
        self.seen += 1
        if not self.bands.initialized:
            return
        if self.held is not None:
            self.highest = max(self.highest, bar.high.as_double())
            self.stop_at = max(self.stop_at, self.highest - self.config.multiplier * self.entry_atr)
            if close <= self.stop_at:
                self._send(OrderSide.SELL, self.held)
        elif self.seen - self.last_signal >= self.config.cooldown and (
            self.rsi.value <= 0.3 or close <= self.bands.lower
        ):
            self.last_signal, self.entry_atr = self.seen, self.atr.value
            pair = self.cache.instrument(self.pair_id)
            cash = self.portfolio.account(VENUE).balance_free(USDT).as_double()
            self._send(OrderSide.BUY, pair.make_qty(cash * self.config.share / close))

    def on_order_filled(self, event: OrderFilled) -> None:
        if event.order_side == OrderSide.BUY:
            self.held, self.highest, self.stop_at = event.last_qty, event.last_px.as_double(), float("-inf")
        else:
            self.held = None
            self.trades += 1

    def _send(self, side: OrderSide, quantity: Quantity) -> None:
        self.submit_order(self.order_factory.market(self.pair_id, side, quantity))
