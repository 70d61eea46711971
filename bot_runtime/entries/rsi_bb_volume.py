"""Buy when the RSI is oversold, the close is at the lower Bollinger band and the volume is above its average."""

from bot_core.models.rule import RuleConfig
from bot_runtime.entries.base import StatelessEntry
from bot_runtime.entries.conditions import BusyVolume, LowerBand, OversoldRsi
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.view import View


class RsiBbVolumeEntry(StatelessEntry):
    """RSIBBVolumeEntryMixin. The average is that of the volume."""

    name = "RSIBBVolumeEntryMixin"

    def __init__(self, config: RuleConfig) -> None:
        rsi = OversoldRsi(config.whole("rsi_period"), config.number("rsi_oversold"))
        band = LowerBand(config.whole("bb_period"), config.number("bb_dev"), touch=config.flag("use_bb_touch"))
        volume = BusyVolume(config.whole("vol_ma_period"), config.number("min_volume_ratio"))
        self._conditions = (rsi, band, volume)
        self.indicators: tuple[Indicator, ...] = (rsi.indicator, band.indicator, volume.indicator)
        self.lookback = max(rsi.indicator.period, band.indicator.period, volume.indicator.period)

    def evaluate(self, view: View) -> str | None:
        return self._signal if all(condition.holds(view) for condition in self._conditions) else None
