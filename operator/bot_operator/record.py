"""What the database says of one bot, read and understood. Pure: built from what was read, decides nothing."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Self

from bot_core.models.bot import REFUSED, BotRow, Desired, DesiredState, desired_state
from bot_core.models.config import ParsedConfig, parse_config
from bot_core.models.figures import Figures
from bot_core.models.halt import Halt
from bot_core.models.problem import Problem
from bot_operator.settings import OperatorSettings

NO_FIGURES = Figures()


@dataclass(frozen=True)
class BotRecord:
    row: BotRow
    figures: Figures = NO_FIGURES
    halt: Halt | None = None
    hold: "Hold | None" = None

    def knowing(self, earlier: "BotRecord | None") -> Self:
        """Itself; what was understood of the same row's document before need not be found out again."""
        known = None if earlier is None else earlier.__dict__.get("parsed")
        if known is not None and earlier is not None and self._same_document(earlier):
            self.__dict__["parsed"] = known
        return self

    def _same_document(self, other: "BotRecord") -> bool:
        return (self.row.config, self.row.unreadable) == (other.row.config, other.row.unreadable)

    @cached_property
    def parsed(self) -> ParsedConfig:
        """The document; of a row with a value that can't be read it is not asked, for no runtime runs such a row."""
        if self.row.unreadable is not None:
            return ParsedConfig(config=None, problems=(Problem("row", None, self.row.unreadable),))
        return parse_config(self.row.config)

    @cached_property
    def asked(self) -> DesiredState:
        """What the row asks for."""
        return desired_state(self.row)

    @property
    def desired(self) -> DesiredState:
        """What is to be made of it: a bot whose removal is held is looked after as if its row asked it to run."""
        return self.asked if self.hold is None else DesiredState(Desired.RUN, "its removal is held")

    @property
    def config_error(self) -> str:
        return self.parsed.error

    @property
    def last_error(self) -> str:
        return str(self.row.extra_metadata.get("last_error", ""))

    @property
    def refusal(self) -> str:
        """What the row says that this cluster does not allow; the operator's own word, which no runtime clears."""
        return str(self.row.extra_metadata.get(REFUSED, ""))


@dataclass(frozen=True)
class Hold:
    """The safety brake holds a bot's removal. `first`: of all that are held, this one tells of it by an Event."""

    message: str
    first: bool = False


@dataclass(frozen=True)
class Circumstances:
    """What a decision depends on beside the bot itself. `now` is aware UTC.

    `hold`: the safety brake holds the removal of a bot whose row is gone; None where it may be removed.
    `last`: its record as it was last read, if this process has read it.
    `silent_for`: seconds without a heartbeat of a pod that is ready, as far as they are the bot's own fault.
    `may_roll`: the roll-out lets this bot's pod be made anew now.
    `rollout_paused`: why the roll-out lets nobody, else empty; None while that is not known.
    """

    settings: OperatorSettings
    now: datetime
    hold: Hold | None = None
    last: BotRecord | None = None
    may_roll: bool = True
    rollout_paused: str | None = ""
    silent_for: float = 0.0
