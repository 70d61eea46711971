"""What the database says of one bot, read and understood. Pure: built from what was read, decides nothing."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from bot_core.models.bot import BotRow, DesiredState, desired_state
from bot_core.models.config import ParsedConfig, parse_config
from bot_core.models.figures import Figures
from bot_core.models.halt import Halt
from bot_operator.settings import OperatorSettings

NO_FIGURES = Figures()


@dataclass(frozen=True)
class BotRecord:
    row: BotRow
    figures: Figures = NO_FIGURES
    halt: Halt | None = None

    @cached_property
    def parsed(self) -> ParsedConfig:
        return parse_config(self.row.config)

    @cached_property
    def desired(self) -> DesiredState:
        return desired_state(self.row)

    @property
    def config_error(self) -> str:
        return self.parsed.error

    @property
    def last_error(self) -> str:
        return str(self.row.extra_metadata.get("last_error", ""))


@dataclass(frozen=True)
class Circumstances:
    """What a decision depends on beside the bot itself. `now` is aware UTC.

    `figures_due`: enough time has passed since figures alone (balance, heartbeat …) were last written.
    `table_empty`: the table holds no row at all, which is no order to remove anything.
    `may_roll`: the roll-out lets this bot's pod be made anew now.
    `rollout_paused`: why the roll-out lets nobody, else empty; None while that is not known.
    """

    settings: OperatorSettings
    now: datetime
    figures_due: bool = True
    table_empty: bool = False
    may_roll: bool = True
    rollout_paused: str | None = ""
