"""How fast a channel is used, and when it is left alone. On the loop's clock; it sends and stores nothing."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from bot_core.store.listen import backoff_seconds

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0


@dataclass(frozen=True, slots=True)
class Rate:
    """Messages a second of the channel, and the least time between two to one target, in seconds."""

    per_second: float
    per_target_seconds: float = 0.0


#: What the services allow, with some distance.
RATES = {
    "telegram": Rate(20.0, 1.0),
    "slack": Rate(10.0, 1.0),
    "email": Rate(10.0),
    "webhook": Rate(20.0),
    "apprise": Rate(2.0),
}
DEFAULT_RATE = Rate(5.0)


class Pace:
    """Gives each send its moment: the next free one of the channel and of the target."""

    def __init__(self, rate: Rate, clock: Callable[[], float] | None = None) -> None:
        self._rate = rate
        self._clock = clock
        self._next = 0.0
        self._targets: dict[str, float] = {}

    def delay(self, target: str) -> float:
        """Take the next moment and return the seconds until then."""
        now = self._now()
        self._targets = {name: at for name, at in self._targets.items() if at > now}
        at = max(now, self._next, self._targets.get(target, 0.0))
        self._next = max(now, self._next) + 1 / self._rate.per_second
        if self._rate.per_target_seconds:
            self._targets[target] = at + self._rate.per_target_seconds
        return at - now

    def _now(self) -> float:
        return asyncio.get_running_loop().time() if self._clock is None else self._clock()


class Door:
    """The circuit breaker of a channel, or of one target: shut after a failure, for 1 s doubling to 5 minutes.

    After that time it is asked (`must_ask`) whether it works again, without a message where that is possible.
    """

    def __init__(
        self, clock: Callable[[], float] | None = None, *, first: float = FIRST_PAUSE, most: float = LONGEST_PAUSE
    ) -> None:
        self._clock = clock
        self._first, self._most = first, most
        self.failures = 0
        self._until = 0.0

    def failed(self, retry_after: float | None = None) -> float:
        """Shut it, and return for how many seconds."""
        self.failures += 1
        pause = backoff_seconds(self.failures, first=self._first, most=self._most)
        if retry_after is not None:
            pause = min(max(retry_after, 0.0), 3600.0)
        self._until = self._now() + pause
        return pause

    def succeeded(self) -> None:
        self.failures = 0
        self._until = 0.0

    @property
    def shut_seconds(self) -> float:
        """How long it stays shut; 0 where it may be tried."""
        return max(0.0, self._until - self._now())

    @property
    def must_ask(self) -> bool:
        return self.failures > 0

    def _now(self) -> float:
        return asyncio.get_running_loop().time() if self._clock is None else self._clock()
