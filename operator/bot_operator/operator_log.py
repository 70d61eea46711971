"""What was done for a bot, in the operator's log: one line for each action, and never a value that a person wrote."""

from typing import assert_never

import structlog

from bot_operator.actions import (
    Action,
    ApplyDeployment,
    ApplyTradingBot,
    DeleteDeployment,
    DeletePod,
    DeleteTradingBot,
    EmitEvent,
    NoteRow,
    PatchStatus,
    QuarantineRow,
    RestoreDeployment,
    RestoreStatus,
    RestoreTradingBot,
    RowWrite,
    WriteRowDisruption,
    WriteRowError,
    WriteRowRefusal,
    WriteRowStopped,
)

_log = structlog.get_logger(__name__)


def tell(action: Action) -> None:
    match action:
        case ApplyTradingBot() | ApplyDeployment():
            _log.info("applied", kind=action.manifest["kind"])
        case (
            RestoreTradingBot(manifest, fields) | RestoreDeployment(manifest, fields) | RestoreStatus(manifest, fields)
        ):
            _log.warning("restored", kind=manifest["kind"], fields=fields)
        case PatchStatus(manifest):
            _log.info("status_written", phase=manifest["status"]["phase"], message=manifest["status"]["message"])
        case DeleteDeployment(_, why) | DeleteTradingBot(_, why):
            _log.info("deleted", kind=type(action).__name__.removeprefix("Delete"), why=why)
        case DeletePod(name, _, why):
            _log.warning("pod_deleted", pod=name, why=why)
        case EmitEvent(reason, message):
            _log.debug("event_written", reason=reason, message=message)
        case _:
            _tell_row(action)


def _tell_row(action: RowWrite) -> None:
    match action:
        case NoteRow(kind, message):
            _log.warning(kind, message=message)
        case QuarantineRow(message):
            _log.error("bot_quarantined", message=message)
        case WriteRowError(message):
            _log.warning("row_error_written", message=message)
        case WriteRowRefusal(message):
            _log.warning("row_refusal_written", message=message)
        case WriteRowDisruption(disruption):
            _log.warning("row_disruption_written", message=disruption.text)
        case WriteRowStopped():
            _log.info("row_stopped_written")
        case _:
            assert_never(action)
