"""The safety brake: which bots that run may stop now, and which are held until a mistake in the table is ruled out.

Pure: no client, no clock, no I/O. The operator and the service decide with the same `judge`; neither has a rule of its
own. It only ever holds bots back: it names none that its reading does not say should stop.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum


class TableState(StrEnum):
    FILLED = "filled"
    EMPTY = "empty"
    MISSING = "missing"


class Level(StrEnum):
    """Off; held until a second reading says the same; held until a person confirms."""

    OFF = "off"
    WAITS = "waits"
    ASKS = "asks"


@dataclass(frozen=True, slots=True)
class BrakeLimits:
    """Shares are percent of the bots that run, times are seconds. `window_seconds`: what counts as one shrinking."""

    max_shrink_percent: float = 30.0
    min_bots: int = 5
    confirm_seconds: float = 60.0
    ask_above_percent: float = 60.0
    window_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at all rows and at all that runs. `at` is on a clock that never goes back.

    `confirmed` are bots that a person let go; `stopped_before` those that others stopped within the window.
    """

    running: frozenset[int]
    wanted: frozenset[int]
    at: float
    table: TableState = TableState.FILLED
    confirmed: frozenset[int] = frozenset()
    stopped_before: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class LetGo:
    """Bots that were let go; `reread` when it took a second reading."""

    at: float
    bots: frozenset[int]
    reread: bool = False


@dataclass(frozen=True, slots=True)
class BrakeMemory:
    """What one reading hands on to the next. Lost, it makes the brake wait longer, and forget the window."""

    level: Level = Level.OFF
    held: frozenset[int] = frozenset()
    since: float = 0.0
    let_go: tuple[LetGo, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """`free` may stop now, `held` may not. `lost` of `fleet` bots are what tripped the brake, or would have."""

    level: Level = Level.OFF
    held: frozenset[int] = frozenset()
    free: frozenset[int] = frozenset()
    lost: int = 0
    fleet: int = 0
    table: TableState = TableState.FILLED
    memory: BrakeMemory = field(default=BrakeMemory(), compare=False)

    def holds(self, bot_id: int) -> bool:
        """Whether this bot's removal is held. While the brake is on, nothing goes but what was let go by name."""
        return bot_id not in self.free and (bot_id in self.held or self.level is not Level.OFF)

    @property
    def why(self) -> str:
        """The reason of the hold in words, without what to do about it."""
        if self.table is not TableState.FILLED:
            return f"the table of bots is {self.table}, yet {len(self.held)} bots run"
        return (
            f"{self.lost} of {self.fleet} bots would be stopped at once ({100 * self.lost / max(1, self.fleet):.0f} %)"
        )


def judge(memory: BrakeMemory, reading: Reading, limits: BrakeLimits) -> Verdict:
    """What may stop. A bot that was held stays so until its row is back or it is let go, whatever its pod does."""
    going = (reading.running | memory.held) - reading.wanted
    recent = _recent(memory, reading, limits)
    # What a second reading let go stays so: its pods take a while to end.
    asked = going - reading.confirmed - _all(item for item in recent if item.reread)
    level, lost, fleet = _level(asked, recent, reading, limits)
    if level is Level.OFF and asked & memory.held:
        level = Level.WAITS  # what is left of a hold goes when no more rows come back, not while they do
    same = asked == memory.held and level is memory.level
    since = memory.since if same else reading.at
    if level is Level.WAITS and same and reading.at - since >= limits.confirm_seconds:
        level, recent = Level.OFF, (*recent, LetGo(reading.at, asked, reread=True))
    elif level is Level.OFF and asked:
        recent = (*recent, LetGo(reading.at, asked))
    held = frozenset[int]() if level is Level.OFF else asked
    kept = BrakeMemory(level, held, since if held else 0.0, recent)
    return Verdict(level, held, going - held, lost, fleet, reading.table, kept)


def _level(
    asked: frozenset[int], recent: Iterable[LetGo], reading: Reading, limits: BrakeLimits
) -> tuple[Level, int, int]:
    """The level, and how many bots of how many it is about."""
    again = _all(item for item in recent if item.reread)
    lost = asked | reading.stopped_before - reading.wanted | _all(item for item in recent if not item.reread)
    fleet = (reading.running - reading.confirmed - again) | lost
    if not asked:
        return Level.OFF, 0, len(fleet)
    if reading.table is not TableState.FILLED:
        return Level.ASKS, len(asked), len(fleet)
    if len(lost) < limits.min_bots or not _above(lost, fleet, limits.max_shrink_percent):
        return Level.OFF, len(lost), len(fleet)
    asks = _above(lost | again, fleet | again, limits.ask_above_percent)
    return Level.ASKS if asks else Level.WAITS, len(lost), len(fleet)


def _recent(memory: BrakeMemory, reading: Reading, limits: BrakeLimits) -> tuple[LetGo, ...]:
    """What was let go within the window; a bot whose row came back meanwhile is judged anew."""
    items = (
        replace(item, bots=item.bots - reading.wanted)
        for item in memory.let_go
        if reading.at - item.at < limits.window_seconds
    )
    return tuple(item for item in items if item.bots)


def _all(items: Iterable[LetGo]) -> frozenset[int]:
    return frozenset[int]().union(*(item.bots for item in items))


def _above(part: frozenset[int], whole: frozenset[int], percent: float) -> bool:
    return 100 * len(part) > percent * len(whole)


def set_digest(bots: Iterable[int]) -> str:
    """A short fingerprint of a set of bots: what a person confirms is exactly the set that was shown."""
    text = ",".join(map(str, sorted(bots)))
    return hashlib.sha256(text.encode()).hexdigest()[:8]
