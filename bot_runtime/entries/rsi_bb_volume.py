"""Buy when the RSI is oversold, the close is at the lower Bollinger band and the volume is above its average."""

from collections.abc import Mapping
from typing import Any

from bot_core.models.rule import RuleConfig
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.rsi import Rsi
from bot_runtime.indicators.view import View
from bot_runtime.indicators.windows import BollingerBands, Sma


class RsiBbVolumeEntry:
    """RSIBBVolumeEntryMixin. The average is that of the volume."""

    name = "RSIBBVolumeEntryMixin"
    memory = 0

    def __init__(self, config: RuleConfig) -> None:
        self._oversold = config.number("rsi_oversold")
        self._touch = config.flag("use_bb_touch")
        self._ratio = config.number("min_volume_ratio")
        self._rsi = Rsi(config.whole("rsi_period"))
        self._bands = BollingerBands(config.whole("bb_period"), config.number("bb_dev"))
        self._volume = Sma(config.whole("vol_ma_period"), "volume")
        self.indicators: tuple[Indicator, ...] = (self._rsi, self._bands, self._volume)
        self.lookback = max(self._rsi.period, self._bands.period, self._volume.period)

    def evaluate(self, view: View) -> str | None:
        close, lower = view.close(), view.value(self._bands, "lower")
        oversold = view.value(self._rsi, "rsi") <= self._oversold
        at_band = close <= lower if self._touch else close < lower
        busy = view.volume() > self._ratio * view.value(self._volume, "sma")
        return f"{self.name} signal" if oversold and at_band and busy else None

    def dump_state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """There is no state."""
