"""Who may be made anew now, for all workers of this process: where each bot stands, kept up to date between sweeps.

It decides nothing (`rollout` does) and remembers nothing that the cluster doesn't: the first sweep of a process fills
it, and nobody may roll before that.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bot_operator.rollout import Rollout, nothing_to_roll, plan_rollout
from bot_operator.settings import OperatorSettings
from bot_operator.standing import Stage, Standing


@dataclass(frozen=True, slots=True)
class Turn:
    """One bot's part of the roll-out; `paused` is None while it is not known."""

    may_roll: bool
    paused: str | None


class Waves:
    """`wake` is called for each bot whose turn has come, and with None when the roll-out was paused or goes on."""

    def __init__(self, settings: OperatorSettings, wake: Callable[[int | None], None]) -> None:
        self._settings = settings
        self._wake = wake
        self._standings: dict[int, Standing] = {}
        self._restless: set[int] = set()  # those of whom a roll-out has anything to decide
        self._known = False
        self._clock = 0
        self._touched: dict[int, int] = {}
        self._looking: set[int] = set()
        self.rollout = Rollout()

    @property
    def known(self) -> bool:
        return self._known

    def mark(self) -> int:
        """The moment before a sweep reads, for `swept`."""
        self._clock += 1
        return self._clock

    def swept(self, standings: Mapping[int, Standing], mark: int) -> None:
        """Take over what a sweep saw, but for bots that somebody has looked at since: he knows better.

        Who has only begun to look knows nothing yet: until he does, what the sweep saw of that bot counts.
        """
        newer = self._looking | {bot_id for bot_id, at in self._touched.items() if at >= mark}
        self._standings = dict(standings) | {it.bot_id: it for it in self._standings.values() if it.bot_id in newer}
        self._restless = {it.bot_id for it in self._standings.values() if not it.rests}
        self._touched = {bot_id: at for bot_id, at in self._touched.items() if bot_id in newer}
        self._known = True
        self._think()

    @contextmanager
    def looking(self, bot_id: int) -> Iterator[None]:
        """While a worker looks at a bot, no sweep that began before its end knows better what it is doing."""
        self._looking.add(bot_id)
        try:
            yield
        finally:
            self._looking.discard(bot_id)
            self._touched[bot_id] = self.mark()

    def take(self, bot_id: int, standing: Standing | None) -> Turn:
        """Note where a bot stands; if its turn has come it takes its place at once, before anything is written."""
        if self._standings.get(bot_id) != standing:
            self._put(bot_id, standing)
        may = self._known and bot_id in self.rollout.permits
        if may and standing is not None and standing.stage is not Stage.UPDATING:
            self._put(bot_id, replace(standing, stage=Stage.UPDATING))
        return Turn(may, self.rollout.paused if self._known else None)

    def turn(self, bot_id: int) -> Turn:
        """What `take` would say, without taking."""
        return Turn(bot_id in self.rollout.permits, self.rollout.paused)

    def _put(self, bot_id: int, standing: Standing | None) -> None:
        if standing is None:
            self._standings.pop(bot_id, None)
        else:
            self._standings[bot_id] = standing
        (self._restless.discard if standing is None or standing.rests else self._restless.add)(bot_id)
        self._think()

    def _think(self) -> None:
        if not self._known:
            return
        before, self.rollout = self.rollout, self._planned()
        if before.paused != self.rollout.paused:
            self._wake(None)
        for bot_id in sorted(self.rollout.permits - before.permits):
            self._wake(bot_id)

    def _planned(self) -> Rollout:
        if self._restless:
            return plan_rollout(self._standings.values(), self._settings)
        return nothing_to_roll(len(self._standings))  # however large the fleet, its bots' looks cost no more
