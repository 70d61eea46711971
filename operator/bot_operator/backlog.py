"""Which bot is to be looked at next, and when: one entry per bot, back-off per bot. Pure: time is given.

A bot that is being worked on is not given out again; news of it meanwhile is kept and comes due right after.
Bots whose last look failed stand in a line of their own: however many they are, the others never wait behind them.
"""

import heapq
from dataclasses import dataclass, field

#: News wakes a failing bot early, but not at once: its own failures may be what makes the news.
SHORTEST_RETRY = 1.0


@dataclass
class _Entry:
    wanted_since: float
    due: float | None = None  # None: nothing more to do once the work under way is done
    failures: int = 0
    not_before: float = 0.0  # however much news there is of a failing bot
    working: bool = False


@dataclass
class Backlog:
    """Times and delays are seconds on one clock that never goes back."""

    first_retry: float = 1.0
    longest_retry: float = 60.0
    _entries: dict[int, _Entry] = field(default_factory=dict)
    # By whether the last look failed: times and ids, the earliest first. A pair that is no longer its entry's time is
    # skipped when it comes up.
    _order: dict[bool, list[tuple[float, int]]] = field(default_factory=lambda: {False: [], True: []})

    def add(self, bot_id: int, now: float, *, news: bool = True, within: float = 0.0) -> None:
        """Look at a bot soon, or within so many seconds.

        What is no news (a poll that saw the same again) does not cut a back-off short.
        """
        entry = self._entries.setdefault(bot_id, _Entry(wanted_since=now))
        if not news and (entry.working or entry.failures):
            return
        due = max(now + within, entry.not_before if entry.failures else 0.0)
        if entry.due is None or due < entry.due:
            self._schedule(bot_id, entry, due)

    def take(self, now: float, *, failing: bool = False) -> int | None:
        """Give out the bot that has been due for longest; None if none is. With `failing` from the other line."""
        due = self.next_due(failing=failing)
        if due is None or due > now:
            return None
        _, bot_id = heapq.heappop(self._order[failing])
        entry = self._entries[bot_id]
        entry.working, entry.due = True, None
        return bot_id

    def succeeded(self, bot_id: int, now: float) -> float:
        """Forget a bot that is as it should be, and its back-off, unless there was news of it meanwhile.

        Returns for how many seconds it had been wanted.
        """
        entry = self._entries[bot_id]
        entry.working, entry.failures = False, 0
        waited, entry.wanted_since = now - entry.wanted_since, entry.due or now
        if entry.due is None:
            del self._entries[bot_id]
        else:
            self._schedule(bot_id, entry, entry.due)
        return waited

    def failed(self, bot_id: int, now: float, *, at_least: float = 0.0) -> float:
        """Try again after a back-off, which is returned: twice the last one, or a short one if there was news.

        `at_least` is what the other side asked for.
        """
        entry = self._entries[bot_id]
        news = entry.due is not None
        delay = SHORTEST_RETRY if news else min(self.longest_retry, self.first_retry * 2.0 ** min(entry.failures, 16))
        delay = max(delay, at_least)
        entry.working, entry.not_before = False, now + max(SHORTEST_RETRY, at_least)
        entry.failures += 1
        self._schedule(bot_id, entry, now + delay)
        return delay

    def next_due(self, *, failing: bool = False) -> float | None:
        """When the next bot of a line that is not being worked on comes due."""
        order = self._order[failing]
        while order and not self._stands(*order[0], failing=failing):
            heapq.heappop(order)
        return order[0][0] if order else None

    def oldest_wait(self, now: float) -> float:
        """For how many seconds the bot has been wanted that has been for longest; 0 where none is."""
        return max((now - entry.wanted_since for entry in self._entries.values()), default=0.0)

    def __len__(self) -> int:
        return len(self._entries)

    def _schedule(self, bot_id: int, entry: _Entry, due: float) -> None:
        entry.due = due
        if not entry.working:
            heapq.heappush(self._order[entry.failures > 0], (due, bot_id))

    def _stands(self, due: float, bot_id: int, *, failing: bool) -> bool:
        entry = self._entries.get(bot_id)
        return entry is not None and not entry.working and entry.due == due and (entry.failures > 0) is failing
