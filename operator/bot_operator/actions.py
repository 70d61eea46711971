"""What can be done for a bot, as values: a plan is a list of these. Pure: an action says what, never how."""

from dataclasses import dataclass
from typing import TypeAlias

from bot_core.models.bot import BotRow
from bot_operator.manifests import Document
from bot_operator.trouble import Disruption


@dataclass(frozen=True)
class ApplyTradingBot:
    manifest: Document


@dataclass(frozen=True)
class ApplyDeployment:
    manifest: Document


@dataclass(frozen=True)
class RestoreTradingBot:
    """Make it what the manifest says and nothing else; `fields` names what somebody had changed, without values."""

    manifest: Document
    fields: tuple[str, ...]


@dataclass(frozen=True)
class RestoreDeployment:
    manifest: Document
    fields: tuple[str, ...]


@dataclass(frozen=True)
class RestoreStatus:
    manifest: Document
    fields: tuple[str, ...]


@dataclass(frozen=True)
class DeleteDeployment:
    """Delete this very object, whose pod then gets SIGTERM; another one of the same name is not meant."""

    uid: str
    why: str


@dataclass(frozen=True)
class DeleteTradingBot:
    uid: str
    why: str


@dataclass(frozen=True)
class DeletePod:
    """Delete this very pod, which gets SIGTERM and its grace time; the Deployment makes another."""

    name: str
    uid: str
    why: str


@dataclass(frozen=True)
class NoteRow:
    """Append to the bot's events in the database."""

    kind: str
    message: str


@dataclass(frozen=True)
class QuarantineRow:
    """Write `error` and the mark by which no process tries the bot, and tell its owner."""

    message: str
    failures: int


@dataclass(frozen=True)
class WriteRowError:
    """Write `error` and the message into the row; with `keep_status` the message only.

    With `seen` nothing is written where the row is another by now, for then the bot itself may have spoken.
    """

    message: str
    keep_status: bool = False
    seen: BotRow | None = None


@dataclass(frozen=True)
class WriteRowDisruption:
    """Tell the row, once, that the process ended unasked; while the bot is `down`, as an error."""

    disruption: Disruption
    down: bool
    seen: BotRow


@dataclass(frozen=True)
class WriteRowStopped:
    """Answer a stop whose workload is gone, in case the runtime had no chance to."""


@dataclass(frozen=True)
class WriteRowRefusal:
    """Say in the row what of its document this cluster does not allow while the bot runs on; empty takes it back."""

    message: str


@dataclass(frozen=True)
class PatchStatus:
    manifest: Document


@dataclass(frozen=True)
class EmitEvent:
    """An Event on the TradingBot; `uid` is that of the object it tells of."""

    reason: str
    message: str
    uid: str
    warning: bool = False


Deletion: TypeAlias = DeleteDeployment | DeleteTradingBot | DeletePod
RowWrite: TypeAlias = NoteRow | QuarantineRow | WriteRowError | WriteRowDisruption | WriteRowRefusal | WriteRowStopped
Action: TypeAlias = (
    ApplyDeployment
    | ApplyTradingBot
    | RestoreDeployment
    | RestoreTradingBot
    | RestoreStatus
    | PatchStatus
    | Deletion
    | RowWrite
    | EmitEvent
)
