# ruff: noqa: ARG002 - freqtrade calls by name
"""RSI or Bollinger bands to enter, a stop that trails by ATR to leave, as freqtrade's documentation would have it."""

from datetime import datetime
from pathlib import Path
from typing import Any

import talib.abstract as ta
from freqtrade.persistence import Trade
from freqtrade.strategy import IStrategy, stoploss_from_absolute, timeframe_to_minutes
from pandas import DataFrame


class RsiBbAtr(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "1m"
    startup_candle_count = 500
    stoploss = -0.99
    minimal_roi = {}  # noqa: RUF012 - freqtrade's own way of saying it
    use_custom_stoploss = True
    use_exit_signal = False
    process_only_new_candles = True
    cooldown_bars = 5
    multiplier = 2.0

    def bot_start(self, **_: Any) -> None:
        self._atr_at_entry: dict[tuple[str, datetime], float] = {}
        self._last_entry: dict[str, datetime] = {}

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        dataframe["rsi"] = ta.RSI(dataframe, timeperiod=14)
        bands = ta.BBANDS(dataframe, timeperiod=20, nbdevup=2.0, nbdevdn=2.0)
        dataframe["lower"] = bands["lowerband"]
        dataframe["atr"] = ta.ATR(dataframe, timeperiod=14)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        dataframe.loc[(dataframe["rsi"] <= 30) | (dataframe["close"] <= dataframe["lower"]), "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        return dataframe

    def confirm_trade_entry(self, pair: str, *_: Any, current_time: datetime, **__: Any) -> bool:
        last = self._last_entry.get(pair)
        bars = self.cooldown_bars * timeframe_to_minutes(self.timeframe)
        if last is not None and (current_time - last).total_seconds() < 60 * bars:
            return False
        self._last_entry[pair] = current_time
        return True

    def custom_stoploss(
        self, pair: str, trade: Trade, current_time: datetime, current_rate: float, *_: Any, **__: Any
    ) -> float | None:
        """Look the ATR up once a trade, so that what is measured is the framework and not a slow callback."""
        key = (pair, trade.open_date_utc)
        atr = self._atr_at_entry.get(key)
        if atr is None:
            dataframe, _updated = self.dp.get_analyzed_dataframe(pair, self.timeframe)
            atr = self._atr_at_entry[key] = float(dataframe["atr"].iloc[-1])
        return stoploss_from_absolute(trade.max_rate - self.multiplier * atr, current_rate, is_short=trade.is_short)


class RsiBbAtrTelling(RsiBbAtr):
    """Makes a file `ready` when every pair's history was analyzed for the first time."""

    def bot_start(self, **known: Any) -> None:
        super().bot_start(**known)
        self._analyzed: set[str] = set()

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        self._analyzed.add(metadata["pair"])
        if self._analyzed.issuperset(self.dp.current_whitelist()):
            Path("ready").touch()
        return dataframe
