"""What a TradingBot's status says: phase, conditions and figures of one bot. Pure: no client, no clock, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from bot_core.models.bot import BotStatus
from bot_core.models.figures import OpenPosition
from bot_operator import credentials
from bot_operator.lasting import USUAL, lasting_trouble, own_words, recent_disruption, trouble_of
from bot_operator.observed import Observed, ObservedPod
from bot_operator.ownership import entries, is_ours
from bot_operator.placement import NO_SHAPE, Placement
from bot_operator.record import BotRecord
from bot_operator.recovery import QUARANTINED, kept_recoveries, lingering_pod
from bot_operator.rollout import Told, update_condition
from bot_operator.settings import TroubleSettings
from bot_operator.standing import UPDATED
from bot_operator.trouble import DEPLOYMENT_REFUSED, NOT_CREATED, NOT_READY, NOT_STARTED, Disruption, Trouble, reason_of

#: Fields that change all the time by themselves: written by `Projection` alone, at most once in `statusSeconds`.
FIGURES = frozenset({"balance", "totalPnl", "openPosition", "lastHeartbeat"})

#: The condition of a bot that the safety brake keeps although its row no longer asks for it.
REMOVAL_HELD = "RemovalHeld"

NO_PLACEMENT = Placement(NO_SHAPE)
#: The reason of the condition `Trading` while a halt stands.
HALTED = "Halted"
#: The condition of a bot with a pod that should have ended long ago.
POD_LINGERS = "PodLingers"

#: The CRD takes eight times as much; a document with hundreds of problems is told in full by its row.
_LONGEST_MESSAGE = 4096

#: Troubles that every pod has for its first seconds: not worth words until they last.
_BEGINNINGS = frozenset({NOT_CREATED, NOT_STARTED, NOT_READY})


class Phase(StrEnum):
    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    ERROR = "Error"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A bot's phase, and in words why where that is worth words; `reason` is of the trouble that it is in."""

    phase: Phase
    message: str = ""
    reason: str = ""


def judge(  # noqa: PLR0911  # a table: one line, one case
    record: BotRecord,
    observed: Observed,
    now: datetime,
    *,
    settings: TroubleSettings = USUAL,
    placement: Placement = NO_PLACEMENT,
) -> Verdict:
    """The phase that row and cluster together amount to."""
    deployment = observed.deployment
    if deployment is not None and not deployment.ours:
        return Verdict(Phase.ERROR, name_taken("Deployment", record.row.id))
    if not record.desired.run:
        gone = deployment is None and not observed.pods
        return Verdict(Phase.STOPPED if gone else Phase.STOPPING, record.desired.reason)
    if deployment is None and (record.config_error or placement.refusal):
        return Verdict(Phase.ERROR, record.config_error or placement.refusal)
    if deployment is None and record.row.status == BotStatus.ERROR and _refused(record):
        return Verdict(Phase.ERROR, _refused(record), DEPLOYMENT_REFUSED)
    if deployment is not None and deployment.deleting:
        return Verdict(Phase.PENDING, "waits for the previous pod to end")
    if record.row.quarantined:
        return Verdict(Phase.ERROR, record.last_error)  # whatever its pod does, nobody trades
    trouble = lasting_trouble(record, observed, now, settings)
    if trouble is not None:
        return Verdict(Phase.ERROR, _told(record, trouble), trouble.reason)
    if observed.pod is None or observed.pod.over:
        # Of a row in error it is over: this Deployment has been made since.
        refused = "" if record.row.status == BotStatus.ERROR else _refused(record)
        return Verdict(Phase.PENDING, _waits_for(trouble_of(observed)) or refused)
    return _judge_pod(record, observed, observed.pod, placement, _shown(recent_disruption(observed, now, settings)))


def _judge_pod(  # noqa: PLR0911  # as above
    record: BotRecord, observed: Observed, pod: ObservedPod, placement: Placement, past: str
) -> Verdict:
    invalid = record.parsed.config is None
    if pod.ready and record.row.status == BotStatus.ERROR and not invalid:
        # What was told of a pod is over now; the runtime itself will say so in the row.
        healed = bool(reason_of(record.last_error))
        return Verdict(Phase.STARTING, past) if healed else Verdict(Phase.ERROR, record.last_error)
    if pod.ready and invalid:
        return _runs(record, f"runs on its last good document; {record.config_error}", past)
    if pod.ready and placement.refusal:
        return _runs(record, f"its pod stays as it was; {placement.refusal}", past)
    if pod.ready:
        return _runs(record, placement.held, past)
    if not pod.started:
        return Verdict(Phase.PENDING, _waits_for(pod.trouble) or past)
    old = observed.bot.status if observed.bot else {}
    if old.get("phase") == Phase.RUNNING and old.get("pod") == pod.name and old.get("restarts") == pod.restarts:
        # A pod that lost its broker or database for a while has not started anew.
        return _runs(record, "runs but is not ready", past)
    return Verdict(Phase.STARTING, past)


def _told(record: BotRecord, trouble: Trouble) -> str:
    words = own_words(record, trouble)
    return f"{trouble}; its last words: {words}" if words else str(trouble)


def _waits_for(trouble: Trouble | None) -> str:
    return "" if trouble is None or trouble.reason in _BEGINNINGS else str(trouble)


def _refused(record: BotRecord) -> str:
    """What the API server said of the Deployment; the row has it until the bot says that it runs."""
    return record.last_error if reason_of(record.last_error) == DEPLOYMENT_REFUSED else ""


def _shown(disruption: Disruption | None) -> str:
    return "" if disruption is None else f"{disruption.text} ({disruption.at:%Y-%m-%d %H:%M:%S} UTC)"


def _runs(record: BotRecord, *more: str) -> Verdict:
    """Running, and what keeps it from being all well, a halt first."""
    return Verdict(Phase.RUNNING, "; ".join(filter(None, [str(record.halt or ""), *more, _refused(record)])))


def build_status_fields(
    record: BotRecord,
    observed: Observed,
    now: datetime,
    *,
    settings: TroubleSettings = USUAL,
    placement: Placement = NO_PLACEMENT,
    told: Told | None = None,
) -> dict[str, Any]:
    """The whole status. A condition that says what it said before keeps the time since when it does.

    `told` is how far the bot is in a roll-out; None where it has no part in one.
    """
    pod = observed.pod
    verdict = judge(record, observed, now, settings=settings, placement=placement)
    old = observed.bot.status if observed.bot else {}
    fields: dict[str, Any] = {
        "phase": verdict.phase.value,
        "observedGeneration": observed.bot.generation if observed.bot else 0,
        "conditions": [
            *_conditions(record, verdict, pod, old, now, placement),
            *_updated(told, old, now),
            *_lingering(observed, old, now),
        ],
        "message": _cut(verdict.message),
        "halted": record.halt is not None,
        "update": told.word.value if told else None,
        "restarts": pod.restarts if pod else 0,
        "pod": pod.name if pod else None,
        "recoveries": kept_recoveries(record, old) or None,
        "node": (pod.node or None) if pod else None,
        "image": (pod.image or None) if pod else None,
        "configHash": record.figures.config_hash,
    }
    return {key: value for key, value in fields.items() if value is not None} | build_figures(record)


def build_figures(record: BotRecord) -> dict[str, Any]:
    """Those of `FIGURES` that are known."""
    row = record.row
    figures = {
        "balance": _number(row.current_balance),
        "totalPnl": _number(row.total_pnl),
        "openPosition": _position(record.figures.position),
        "lastHeartbeat": _time(row.last_heartbeat),
    }
    return {key: value for key, value in figures.items() if value is not None}


def essence(document: Mapping[str, Any]) -> tuple[Any, ...]:
    """All of a TradingBot's document that is worth a look at the bot: its figures only if another has written there."""
    meta, status = document.get("metadata") or {}, document.get("status") or {}
    told = {key: value for key, value in status.items() if key not in FIGURES}
    whose = [meta.get(key) for key in ("uid", "deletionTimestamp", "labels", "ownerReferences", "finalizers")]
    others = [(entry.get("manager"), entry.get("time")) for entry in entries(document) if not is_ours(entry)]
    return (*(repr(item) for item in whose), repr(document.get("spec")), repr(told), repr(others))


def condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """One condition of a status, or an empty mapping."""
    return next((item for item in status.get("conditions") or [] if item.get("type") == kind), {})


def name_taken(kind: str, bot_id: int) -> str:
    return f"the {kind} bot-{bot_id} exists and is not this operator's: it is left alone; rename or remove it"


def _conditions(
    record: BotRecord,
    verdict: Verdict,
    pod: ObservedPod | None,
    old: Mapping[str, Any],
    now: datetime,
    placement: Placement,
) -> list[dict[str, Any]]:
    ready = pod is not None and pod.ready
    runs = ready and verdict.phase is Phase.RUNNING and record.row.status == BotStatus.RUNNING
    trading, why, what = _trading(record, runs=runs)
    wrong, reason = (record.config_error, "Invalid") if record.config_error else (placement.refusal, "NotAllowed")
    keys = credentials.judge_credentials(record, pod, placement)
    not_ready = verdict.message if verdict.phase is not Phase.RUNNING or not ready else ""
    ready_reason = "PodReady" if ready else verdict.reason or verdict.phase
    return [
        _condition(old, now, "Ready", on=ready, reason=ready_reason, message=not_ready),
        _condition(old, now, "ConfigValid", on=not wrong, reason=reason if wrong else "Valid", message=wrong),
        _condition(old, now, "Trading", on=trading, reason=why, message=what),
        *([] if record.hold is None else [held_condition(old, now, record.hold.message)]),
        *(
            [_condition(old, now, credentials.CONDITION, on=keys.ready, reason=keys.reason, message=keys.message)]
            if keys
            else []
        ),
    ]


def held_condition(old: Mapping[str, Any], now: datetime, message: str) -> dict[str, Any]:
    """There only while it is true."""
    return _condition(old, now, REMOVAL_HELD, on=True, reason="SafetyBrake", message=message)


def _lingering(observed: Observed, old: Mapping[str, Any], now: datetime) -> list[dict[str, Any]]:
    """A condition that is there only while it is true: a pod that does not end."""
    text = lingering_pod(observed, now)
    return [_condition(old, now, POD_LINGERS, on=True, reason="NodeLost", message=text)] if text else []


def _updated(told: Told | None, old: Mapping[str, Any], now: datetime) -> list[dict[str, Any]]:
    return [] if told is None else [update_condition(told, condition(old, UPDATED), _time(now) or "")]


def _trading(record: BotRecord, *, runs: bool) -> tuple[bool, str, str]:
    """Whether the bot trades, the reason in one word, and in words where it does not."""
    if record.halt is not None:
        return False, HALTED, str(record.halt)
    if record.row.quarantined:
        return False, QUARANTINED, record.last_error
    return (True, "Trading", "") if runs else (False, "NotTrading", f"the row says {record.row.status}")


def _condition(
    old: Mapping[str, Any], now: datetime, kind: str, *, on: bool | None, reason: str, message: str
) -> dict[str, Any]:
    before = condition(old, kind)
    value = "Unknown" if on is None else str(on)
    since = before.get("lastTransitionTime") if before.get("status") == value else None
    return {
        "type": kind,
        "status": value,
        "reason": str(reason),
        "message": _cut(message),
        "lastTransitionTime": since or _time(now),
    }


def _cut(message: str) -> str:
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[: _LONGEST_MESSAGE - 1]}…"


def _position(position: OpenPosition | None) -> str | None:
    if position is None:
        return None
    price = "" if position.average_price is None else f" at {_number(position.average_price)}"
    return f"{position.direction} {_number(position.quantity)} {position.symbol}{price}"


def _number(value: Decimal | None) -> str | None:
    return None if value is None else format(value.normalize(), "f")


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
