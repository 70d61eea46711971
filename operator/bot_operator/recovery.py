"""Whether a bot has fallen silent although its pod claims to work, and what is to be done then. Pure: time is given.

Silence is what the operator has seen itself: the same heartbeat, of the same ready container, at each look for so long,
with no failed read between. So no two clocks are compared, and whatever made the operator blind made nobody silent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bot_core.models.bot import BotStatus
from bot_operator.observed import Observed, ObservedPod
from bot_operator.record import BotRecord
from bot_operator.settings import OperatorSettings, RecoverySettings

#: The runtime's own defaults, where the chart's `bot.env` does not say otherwise.
_BEAT_SECONDS, _LEASE_SECONDS = 10.0, 30.0
#: Reads of a busy database may be so many seconds apart.
_SHORTEST_GAP = 30.0
#: How long a pod may outlive the time at which it was to be killed, before somebody is told: seconds.
_LINGER_SECONDS = 60.0
#: The reason of the condition `Trading` of a bot in quarantine.
QUARANTINED = "Quarantined"


def beat_seconds(settings: OperatorSettings) -> float:
    """Seconds between two heartbeats of the bots that these settings make pods for."""
    named = {str(item.get("name")): item for item in settings.bot.env}
    lease = _number(named.get("TRADINGBOT_LEASE_SECONDS"), _LEASE_SECONDS, _LEASE_SECONDS)
    # By reference its value can't be known here: the longest that is allowed is assumed.
    return _number(named.get("TRADINGBOT_HEARTBEAT_SECONDS"), min(_BEAT_SECONDS, lease / 3), lease / 3)


def silence_seconds(settings: OperatorSettings) -> float:
    """After so long without a heartbeat a bot has fallen silent."""
    return settings.recovery.missed_heartbeats * beat_seconds(settings)


def claims_to_work(record: BotRecord, observed: Observed) -> bool:
    """Whether the row says `running` and the pod is ready: only then is a heartbeat due.

    A pod whose database, venue or lease is away is not ready, and is left alone for as long as that takes. So is the
    pod of a bot that the safety brake holds.
    """
    row, pod = record.row, observed.pod
    if not record.asked.run or record.hold is not None or row.status != BotStatus.RUNNING or pod is None:
        return False
    return pod.ready and pod.started and not pod.failing


def _made_anew(observed: Observed) -> bool:
    """Whether a Deployment of ours stays that would make another pod, and this one is of its template as it is now."""
    return observed.runs and observed.deployment is not None and observed.deployment.rolled


@dataclass(frozen=True, slots=True)
class _Sighting:
    """One heartbeat of one container; `since` is when this very combination was first seen."""

    pod: str
    restarts: int
    beat: datetime | None
    since: float


class HeartbeatWatch:
    """Remembers since when each heartbeat has not changed. Times are seconds on one clock that never goes back.

    Lost with the process: then each bot has its whole time again.
    """

    def __init__(self, settings: OperatorSettings) -> None:
        self._settings = settings.recovery
        self.limit = silence_seconds(settings)
        # Who looks away for longer (a machine that was suspended) has not seen a silence.
        self._longest_gap = max(self.limit / 2, 3 * settings.status_seconds, _SHORTEST_GAP)
        self._looked = float("-inf")
        self._seen: dict[int, _Sighting] = {}

    def look(self, bot_id: int, record: BotRecord | None, observed: Observed, now: float) -> None:
        """Note a bot whose row and objects were just read."""
        self._notice_gap(now)
        pod = observed.pod
        if record is None or pod is None or not claims_to_work(record, observed):
            self._seen.pop(bot_id, None)
            return
        old = self._seen.get(bot_id)
        new = _Sighting(pod.name, pod.restarts, record.row.last_heartbeat, now)
        if old is None or (old.pod, old.restarts, old.beat) != (new.pod, new.restarts, new.beat):
            self._seen[bot_id] = new

    def heard(self, records: Mapping[int, BotRecord], now: float) -> None:
        """Note all rows that were just read, without a look at the cluster."""
        self._notice_gap(now)
        for bot_id, old in list(self._seen.items()):
            record = records.get(bot_id)
            if record is None or record.row.status != BotStatus.RUNNING:
                del self._seen[bot_id]
            elif record.row.last_heartbeat != old.beat:
                self._seen[bot_id] = _Sighting(old.pod, old.restarts, record.row.last_heartbeat, now)

    def _notice_gap(self, now: float) -> None:
        if now - self._looked > self._longest_gap:
            self.blind()
        self._looked = now

    def blind(self) -> None:
        """A read failed: who could not be seen was not silent, and each bot has its whole time again."""
        self._seen.clear()

    def silent_for(self, bot_id: int, now: float) -> float:
        """Seconds without a heartbeat that are the bot's own fault; 0 while so many are late that they are not."""
        seen = self._seen.get(bot_id)
        silent = 0.0 if seen is None else now - seen.since
        return 0.0 if silent >= self.limit and self.held(now) else silent

    def overdue(self, now: float) -> list[int]:
        """The bots that have fallen silent and are not held."""
        if not self._settings.enabled:
            return []
        silent = self._silent(now, self.limit)
        return [] if silent and self.held(now) else silent

    def held(self, now: float) -> int:
        """How many silent bots are left alone, since too many are late at once: that is no fault of the bots.

        Late at half the time already: what all have in common does not reach all in the same second.
        """
        late, most = len(self._silent(now, self.limit / 2)), len(self._seen) * self._settings.hold_above_percent / 100
        return len(self._silent(now, self.limit)) if late >= self._settings.hold_min_bots and late > most else 0

    def _silent(self, now: float, seconds: float) -> list[int]:
        return sorted(bot_id for bot_id, seen in self._seen.items() if now - seen.since >= seconds)


@dataclass(frozen=True)
class Recovery:
    """What is done about a silent bot: its pod is deleted, and with `quarantine` the next one does not trade.

    `times` are all recoveries that still count, this one included.
    """

    pod: ObservedPod
    message: str
    times: tuple[str, ...]
    quarantine: bool = False


def plan_recovery(
    record: BotRecord, observed: Observed, silent_for: float, settings: OperatorSettings, now: datetime
) -> Recovery | None:
    """The remedy for a bot that has been silent for so many seconds; None where there is nothing to mend."""
    policy, pod = settings.recovery, observed.pod
    if not policy.enabled or silent_for < silence_seconds(settings):
        return None
    if pod is None or not _made_anew(observed) or not claims_to_work(record, observed):
        return None
    status = observed.bot.status if observed.bot else {}
    before = _recent(kept_recoveries(record, status), policy, now)
    said = f"no heartbeat for {silent_for:.0f} s although its pod {pod.name} is ready"
    if len(before) < policy.max_recoveries:
        return Recovery(pod, f"{said}: the pod is deleted, a new one goes on", (*before, _text(now)))
    return Recovery(pod, _quarantine_message(said, policy, record.row.id), tuple(before), quarantine=True)


def _quarantine_message(said: str, policy: RecoverySettings, bot_id: int) -> str:
    return (
        f"quarantined: {said}, and {policy.max_recoveries} new pods within {policy.within_seconds / 60:g} min did not"
        " mend it. Nobody trades or watches its position; stops that rest at the venue stay. Look at the log of its"
        f" pod and at what it writes to, then `tradingbot bots start {bot_id}`, or change its document"
    )


def kept_recoveries(record: BotRecord, status: Mapping[str, Any]) -> list[str]:
    """The recoveries that a status remembers. Whoever healed a quarantine vouched for the bot: it begins anew."""
    trading: Mapping[str, Any] = next(
        (item for item in status.get("conditions") or [] if item.get("type") == "Trading"), {}
    )
    if trading.get("reason") == QUARANTINED and not record.row.quarantined:
        return []
    return [str(time) for time in status.get("recoveries") or []]


def _recent(times: list[str], policy: RecoverySettings, now: datetime) -> list[str]:
    since = now - timedelta(seconds=policy.within_seconds)
    return [time for time in times if (at := _time(time)) is not None and at > since]


def lingering_pod(observed: Observed, now: datetime) -> str:
    """In words, a pod that is still there long after it was to be killed; empty where there is none.

    Its node does not answer. It is never removed from here: only a person knows that the machine is off.
    """
    for pod in observed.pods:
        due = _time(pod.end_due)
        if pod.deleting and due is not None and now - due > timedelta(seconds=_LINGER_SECONDS):
            return (
                f"the pod {pod.name} was to end at {pod.end_due} and is still there: its node does not answer. A new"
                " pod trades once the lease of the old one has lapsed. When the node is certainly off:"
                f" kubectl delete pod {pod.name} --force --grace-period=0"
            )
    return ""


def _number(variable: Mapping[str, Any] | None, default: float, unknown: float) -> float:
    if variable is None:
        return default
    try:
        value = float(str(variable["value"]))
    except (KeyError, ValueError):
        return unknown
    return value if value > 0 else default


def _text(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
