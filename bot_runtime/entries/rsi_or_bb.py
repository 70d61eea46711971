"""Buy when the RSI is oversold or the close is at the lower Bollinger band."""

from bot_runtime.entries.oversold import OversoldEntry
from bot_runtime.indicators.view import View


class RsiOrBbEntry(OversoldEntry):
    """RSIOrBBEntryMixin."""

    name = "RSIOrBBEntryMixin"
    reason = "RSIOrBBEntryMixin signal"

    def _fits(self, view: View) -> bool:
        return self._rsi.holds(view) or self._band.holds(view)
