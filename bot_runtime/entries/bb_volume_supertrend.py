"""Buy when the close is at the lower Bollinger band in an upward Supertrend and the volume is above its average."""

from bot_core.models.rule import RuleConfig
from bot_runtime.entries.base import StatelessEntry
from bot_runtime.entries.conditions import BusyVolume, LowerBand, RisingTrend
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.view import View


class BbVolumeSupertrendEntry(StatelessEntry):
    """BBVolumeSuperTrendEntryMixin, with this spelling. The average is that of the volume."""

    name = "BBVolumeSuperTrendEntryMixin"

    def __init__(self, config: RuleConfig) -> None:
        band = LowerBand(config.whole("bb_period"), config.number("bb_dev"), touch=config.flag("use_bb_touch"))
        volume = BusyVolume(config.whole("vol_ma_period"), config.number("min_volume_ratio"))
        trend = RisingTrend(config.whole("st_period"), config.number("st_multiplier"))
        self._conditions = (band, volume, trend)
        self.indicators: tuple[Indicator, ...] = (band.indicator, volume.indicator, trend.indicator)
        self.lookback = max(band.indicator.period, volume.indicator.period, trend.indicator.period)

    def evaluate(self, view: View) -> str | None:
        return self._signal if all(condition.holds(view) for condition in self._conditions) else None
