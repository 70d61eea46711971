"""Whether the bars of a market are of now, and if not, since when and why. Decides nothing, waits for nothing."""

from datetime import datetime, timedelta

import structlog

from bot_runtime.feeds.intervals import next_open, shifted
from bot_runtime.feeds.market_source import MarketSource

_log = structlog.get_logger(__name__)


class Freshness:
    """A market is stale after two intervals and `seconds` without a closed bar.

    Where bars do not come around the clock it is stale after as long without an answer. `error` is the last one.
    """

    def __init__(self, source: MarketSource, seconds: float) -> None:
        self._source = source
        self._seconds = timedelta(seconds=seconds)
        self._answered_at = self._began_at = source.now()
        self._begun = self._told = False
        self.error = ""

    def began(self) -> None:
        """Note that the venue's clock is known from now on; again changes nothing."""
        if not self._begun:
            self._begun = True
            self._began_at = self._answered_at = self._source.now()

    def answered(self) -> None:
        """Note that the venue has said all that there is."""
        self.error = ""
        self._answered_at = self._source.now()

    def trouble(self, newest: datetime | None) -> str | None:
        """Return since when no bar came, and why as far as it is known; None where all is well."""
        since = self._stale_since(newest)
        if since is None:
            return None
        why = f": {self.error}" if self.error else ""
        return f"{self._source.key} is stale: no closed bar since {since:%Y-%m-%dT%H:%M:%SZ}{why}"

    def tell(self, newest: datetime | None) -> None:
        """Log once that the market is stale, and once that it is not any more."""
        trouble = self.trouble(newest)
        if trouble is not None and not self._told:
            _log.warning("feed_stale", market=str(self._source.key), trouble=trouble)
        elif trouble is None and self._told:
            _log.info("feed_healed", market=str(self._source.key), newest=str(newest))
        self._told = trouble is not None

    def _stale_since(self, newest: datetime | None) -> datetime | None:
        interval = self._source.key.interval
        if newest is None:
            since, limit = self._began_at, self._began_at
        elif self._source.continuous:
            since, limit = next_open(newest, interval), shifted(newest, interval, 3)
        else:
            since = self._answered_at
            limit = since + (shifted(newest, interval, 2) - newest)
        return since if self._source.now() > limit + self._seconds else None
