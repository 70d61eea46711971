"""The heartbeats of all bots between looks: notes what anybody has read, and names the bots that have fallen silent.

It decides nothing (`recovery` does) and reads nothing itself. Lost with the process: then each bot has its whole time
again.
"""

import time
from collections.abc import Callable, Mapping

import structlog

from bot_operator.observed import Observed
from bot_operator.record import BotRecord
from bot_operator.recovery import HeartbeatWatch
from bot_operator.settings import OperatorSettings

_log = structlog.get_logger(__name__)


class Heartbeats:
    """`add` is called with each bot that has fallen silent, `on_held` with how many are left alone."""

    def __init__(
        self,
        settings: OperatorSettings,
        add: Callable[[int], None],
        *,
        on_held: Callable[[int], None] = lambda _bots: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watch = HeartbeatWatch(settings)
        self._add = add
        self._on_held = on_held
        self._monotonic = monotonic

    def look(self, bot_id: int, record: BotRecord | None, observed: Observed) -> float:
        """Note a bot whose row and objects were just read; seconds for which it has been silent."""
        now = self._monotonic()
        self._watch.look(bot_id, record, observed, now)
        return self._watch.silent_for(bot_id, now)

    def heard(self, records: Mapping[int, BotRecord]) -> None:
        """Note all rows that were just read, and say who is silent."""
        self._watch.heard(records, self._monotonic())
        self.tell()

    def blind(self) -> None:
        """A read failed."""
        self._watch.blind()

    def tell(self) -> None:
        """Queue the bots whose pods are to be replaced; say so where too many are silent for that."""
        now = self._monotonic()
        held = self._watch.held(now)
        if held:
            _log.error("recovery_held", silent=held, what="too many at once: it is not the bots; no pod is deleted")
        self._on_held(held)
        for bot_id in self._watch.overdue(now):
            self._add(bot_id)
