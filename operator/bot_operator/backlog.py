"""Which bot is to be looked at next, and when: one entry per bot, back-off per bot. Pure: time is given.

A bot that is being worked on is not given out again; news of it meanwhile is kept and comes due right after.
"""

import heapq
from dataclasses import dataclass, field

#: News wakes a failing bot early, but not at once: its own failures may be what makes the news.
SHORTEST_RETRY = 1.0


@dataclass
class _Entry:
    due: float | None = None  # None: nothing more to do once the work under way is done
    failures: int = 0
    failed_at: float = 0.0
    working: bool = False


@dataclass
class Backlog:
    """Times and delays are seconds on one clock that never goes back."""

    first_retry: float = 1.0
    longest_retry: float = 60.0
    _entries: dict[int, _Entry] = field(default_factory=dict)
    # Times and ids, the earliest first. A pair that is no longer its entry's time is skipped when it comes up.
    _order: list[tuple[float, int]] = field(default_factory=list)

    def add(self, bot_id: int, now: float, *, news: bool = True) -> None:
        """Look at a bot soon. What is no news (a poll that saw the same again) does not cut a back-off short."""
        entry = self._entries.setdefault(bot_id, _Entry())
        if not news and (entry.working or entry.failures):
            return
        due = max(now, entry.failed_at + SHORTEST_RETRY) if entry.failures else now
        if entry.due is None or due < entry.due:
            self._schedule(bot_id, entry, due)

    def take(self, now: float) -> int | None:
        """Give out the bot that has been due for longest; None if none is."""
        due = self.next_due()
        if due is None or due > now:
            return None
        _, bot_id = heapq.heappop(self._order)
        entry = self._entries[bot_id]
        entry.working, entry.due = True, None
        return bot_id

    def succeeded(self, bot_id: int) -> None:
        """Forget a bot that is as it should be, and its back-off, unless there was news of it meanwhile."""
        entry = self._entries[bot_id]
        entry.working, entry.failures = False, 0
        if entry.due is None:
            del self._entries[bot_id]
        else:
            self._schedule(bot_id, entry, entry.due)

    def failed(self, bot_id: int, now: float) -> float:
        """Try again after a back-off, which is returned: twice the last one, or a short one if there was news."""
        entry = self._entries[bot_id]
        news = entry.due is not None
        delay = SHORTEST_RETRY if news else min(self.longest_retry, self.first_retry * 2.0 ** min(entry.failures, 16))
        entry.working, entry.failed_at = False, now
        entry.failures += 1
        self._schedule(bot_id, entry, now + delay)
        return delay

    def next_due(self) -> float | None:
        """When the next bot that is not being worked on comes due."""
        while self._order and not self._stands(*self._order[0]):
            heapq.heappop(self._order)
        return self._order[0][0] if self._order else None

    def __len__(self) -> int:
        return len(self._entries)

    def _schedule(self, bot_id: int, entry: _Entry, due: float) -> None:
        entry.due = due
        if not entry.working:
            heapq.heappush(self._order, (due, bot_id))

    def _stands(self, due: float, bot_id: int) -> bool:
        entry = self._entries.get(bot_id)
        return entry is not None and not entry.working and entry.due == due
