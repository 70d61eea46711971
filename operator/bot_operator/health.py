"""Whether the operator is alive and ready: by its sweeps where it leads, by its looks at the Lease where it follows.

It knows no server and no probe. Alive means that the work is tried, not that it succeeds: a database or an API server
that is down is not healed by a restart.
"""

import time
from collections.abc import Callable
from typing import Self

_SHORTEST_OVERDUE = 90.0
_LEASE_OVERDUE = 60.0


class _Tries:
    """Something that is tried again and again. Seconds, on a clock that never goes back."""

    what = ""

    def __init__(self, overdue: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._overdue = overdue
        self._tried_at = self._succeeded_at = monotonic()
        self._last_succeeded = False

    def tried(self) -> None:
        """It begins, or gets on: one that takes long is not one that hangs."""
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
        """Seconds since the last success, or since the start."""
        return self._monotonic() - self._succeeded_at

    @property
    def message(self) -> str:
        return f"{self.what} was {self.age:.0f} s ago"


class SweepHealth(_Tries):
    what = "the last whole sweep"

    def __init__(self, poll_seconds: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        # From one step of a sweep to the next: two time-outs of the database, or one of the API server for each page.
        super().__init__(max(_SHORTEST_OVERDUE, 3 * poll_seconds), monotonic=monotonic)

    def began(self) -> None:
        """From now on sweeps are due: before, another process made them."""
        self._tried_at = self._succeeded_at = self._monotonic()


class LeaseHealth(_Tries):
    what = "the last look at the lease"

    @classmethod
    def of(cls, lease_seconds: float, *, monotonic: Callable[[], float] = time.monotonic) -> Self:
        return cls(max(_LEASE_OVERDUE, 3 * lease_seconds), monotonic=monotonic)

    def noted(self, read: bool) -> None:  # noqa: FBT001  # a callback: it is told whether it was read
        if read:
            self.succeeded()
        else:
            self.failed()


class OperatorHealth:
    """Without a `lease` the process leads always."""

    def __init__(self, sweeps: SweepHealth, lease: LeaseHealth | None, leads: Callable[[], bool]) -> None:
        self._sweeps = sweeps
        self._lease = lease
        self._leads = leads

    @property
    def leads(self) -> bool:
        return self._leads()

    @property
    def alive(self) -> bool:
        lease_alive = self._lease is None or self._lease.alive
        return lease_alive and (self._sweeps.alive or not self.leads)

    @property
    def ready(self) -> bool:
        return self._sweeps.ready if self._lease is None or self.leads else self._lease.ready

    @property
    def sweep_age(self) -> float:
        """Of the leader; a follower makes none, and is overdue with none."""
        return self._sweeps.age if self.leads else 0.0

    @property
    def message(self) -> str:
        overdue_lease = self._lease is not None and (not self.leads or not self._lease.alive)
        return self._lease.message if self._lease is not None and overdue_lease else self._sweeps.message
