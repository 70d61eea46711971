"""Of which bots the cluster is known to hold nothing: a sweep found nothing, and nobody has had to do with them since.

Only this process makes objects of ours while it leads, so a new row's bot has none. It saves two of the three requests
of a look, and is never more than that: what is there all the same refuses a write that is not of what was seen.
"""

from collections.abc import Collection


class Sightings:
    def __init__(self) -> None:
        self._swept: frozenset[int] | None = None  # None: no sweep of this process has ended yet
        self._since: set[int] = set()
        self._before: set[int] = set()

    def mark(self) -> None:
        """A sweep begins to read: what is noted from now on it may not have seen."""
        self._before, self._since = self._before | self._since, set()

    def swept(self, there: Collection[int]) -> None:
        """A sweep has ended, and saw objects of these bots."""
        self._swept, self._before = frozenset(there), set()

    def noted(self, bot_id: int) -> None:
        """Somebody looks at the bot, or the cluster tells of it."""
        self._since.add(bot_id)

    def nothing_of(self, bot_id: int) -> bool:
        """Whether there is nothing of it in the cluster, as far as anybody here can know."""
        if self._swept is None:
            return False
        return bot_id not in self._swept and bot_id not in self._since and bot_id not in self._before
