"""Buy when the RSI is oversold and the close is at the lower Bollinger band."""

from bot_runtime.entries.oversold import OversoldEntry
from bot_runtime.indicators.view import View


class RsiBbEntry(OversoldEntry):
    """RSIBBEntryMixin."""

    name = "RSIBBEntryMixin"
    reason = "RSI Oversold + BB Lower Touch"

    def _fits(self, view: View) -> bool:
        return self._rsi.holds(view) and self._band.holds(view)
