"""Whether the operator is alive and ready, by the sweeps it makes. It knows no server and no probe.

Alive means that sweeps are tried, not that they succeed: a database that is down is not healed by a restart.
"""

import time
from collections.abc import Callable

_SHORTEST_OVERDUE = 90.0


class SweepHealth:
    """Seconds, on a clock that never goes back."""

    def __init__(self, poll_seconds: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        # A sweep may take long in itself: two time-outs of the database and many of the API server.
        self._overdue = max(_SHORTEST_OVERDUE, 3 * poll_seconds)
        self._tried_at = self._succeeded_at = monotonic()
        self._last_succeeded = False

    def tried(self) -> None:
        self._tried_at = self._monotonic()

    def succeeded(self) -> None:
        self._tried_at = self._succeeded_at = self._monotonic()
        self._last_succeeded = True

    def failed(self) -> None:
        self._tried_at = self._monotonic()
        self._last_succeeded = False

    @property
    def alive(self) -> bool:
        return self._monotonic() - self._tried_at < self._overdue

    @property
    def ready(self) -> bool:
        return self._last_succeeded and self.alive

    @property
    def age(self) -> float:
        """Seconds since the last sweep that read everything, or since the start."""
        return self._monotonic() - self._succeeded_at
