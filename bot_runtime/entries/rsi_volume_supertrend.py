"""Buy when the RSI is oversold in an upward Supertrend and the volume is above its average."""

from bot_core.models.rule import RuleConfig
from bot_runtime.entries.base import StatelessEntry
from bot_runtime.entries.conditions import BusyVolume, OversoldRsi, RisingTrend
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.view import View


class RsiVolumeSupertrendEntry(StatelessEntry):
    """RSIVolumeSupertrendEntryMixin. The average is that of the volume."""

    name = "RSIVolumeSupertrendEntryMixin"

    def __init__(self, config: RuleConfig) -> None:
        rsi = OversoldRsi(config.whole("rsi_period"), config.number("rsi_oversold"))
        volume = BusyVolume(config.whole("vol_ma_period"), config.number("min_volume_ratio"))
        trend = RisingTrend(config.whole("st_period"), config.number("st_multiplier"))
        self._conditions = (rsi, volume, trend)
        self.indicators: tuple[Indicator, ...] = (rsi.indicator, volume.indicator, trend.indicator)
        self.lookback = max(rsi.indicator.period, volume.indicator.period, trend.indicator.period)

    def evaluate(self, view: View) -> str | None:
        return self._signal if all(condition.holds(view) for condition in self._conditions) else None
