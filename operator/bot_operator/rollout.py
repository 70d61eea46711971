"""How far a roll-out is, and which bots may be made anew now: from where each bot stands. Pure: no client, no clock.

The promise: never more bots are down for the roll-out's sake than there are places, and a change that breaks the first
bots reaches no others. It must not remember anything: the same fleet gives the same answer in another process.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bot_core.models.config import UpdatePolicy
from bot_operator.manifests import Document, fleet_revision
from bot_operator.naming import INSTANCE_LABEL, RESUME_ROLLOUT, object_name
from bot_operator.record import Circumstances
from bot_operator.settings import OperatorSettings, RolloutSettings
from bot_operator.standing import (
    UPDATED,
    Course,
    Reason,
    Stage,
    Standing,
    failed_message,
    under_way_message,
)

_MOST_NAMES = 10


class Update(StrEnum):
    """`status.update`: the column of `kubectl get tradingbots`."""

    CURRENT = "Current"
    UPDATING = "Updating"
    FAILED = "Failed"
    TURN = "Behind: waits for its turn"
    FLAT = "Behind: waits until flat"
    MANUAL = "Behind: manual"
    PAUSED = "Behind: roll-out paused"


_WAITING = {
    Reason.TURN: Update.TURN,
    Reason.FLAT: Update.FLAT,
    Reason.MANUAL: Update.MANUAL,
    Reason.PAUSED: Update.PAUSED,
}


@dataclass(frozen=True, slots=True)
class Rollout:
    """`permits` are the bots that may be made anew now; `paused` says in words why the others wait, else empty."""

    permits: frozenset[int] = frozenset()
    paused: str = ""
    failed: tuple[int, ...] = ()
    counts: Mapping[Update, int] = field(default_factory=dict)


def plan_rollout(standings: Collection[Standing], settings: OperatorSettings) -> Rollout:
    """The next step of the fleet."""
    rules = settings.rollout
    places = place_count(len(standings), rules)
    failed = sorted(it.bot_id for it in standings if it.blames)
    willing = sorted((it for it in standings if _waits(it) and it.willing), key=_impact)
    # Begun already, and their Deployment not yet applied, or wanted otherwise meanwhile.
    begun = frozenset(it.bot_id for it in standings if it.stage is Stage.UPDATING and it.behind)
    down = sum(1 for it in standings if it.down)
    stuck = sum(1 for it in standings if it.down and it.blames)
    paused = ""
    if willing and failed and (len(failed) >= rules.pause_after_failures or stuck >= places):
        paused = _paused(failed, len(standings), settings)
    permits = begun if paused else begun | _admitted(standings, willing, places - down, rules)
    counts = Counter(_word(it, paused) for it in standings)
    return Rollout(permits, paused, tuple(failed), {word: counts[word] for word in Update})


def nothing_to_roll(bots: int) -> Rollout:
    """What `plan_rollout` answers where all standings rest."""
    return Rollout(counts={word: bots if word is Update.CURRENT else 0 for word in Update})


def place_count(bots: int, rules: RolloutSettings) -> int:
    """How many bots may be down for the roll-out's sake at a time."""
    return max(1, int(bots * rules.max_unavailable_percent / 100))


def _admitted(
    standings: Collection[Standing], willing: list[Standing], free: int, rules: RolloutSettings
) -> frozenset[int]:
    again = frozenset(it.bot_id for it in willing if it.down)  # they are down already: that costs no place
    sound = [it for it in willing if not it.down and not it.broken]
    broken = [it for it in willing if not it.down and it.broken]
    moving = Counter(it.course is Course.MENDING for it in standings if it.stage is Stage.UPDATING)
    # A change that no bot has proved yet may break no more of them than pause the roll-out.
    failures = sum(1 for it in standings if it.blames)
    proved = sum(1 for it in standings if it.stage is Stage.CURRENT and it.healthy)
    untried = rules.pause_after_failures - failures + proved - moving[False] - len(again)
    mending = place_count(len(standings), rules) - moving[True]
    return again | _first(min(free, untried), sound) | _first(mending, broken)


def _first(count: int, standings: list[Standing]) -> frozenset[int]:
    return frozenset(it.bot_id for it in standings[: max(0, count)])


def _waits(it: Standing) -> bool:
    return it.behind and it.stage in {Stage.BEHIND, Stage.FAILED}


def _impact(it: Standing) -> tuple[bool, bool, bool, bool, int]:
    """What is asked for by a person first, then what does least harm; always in the same order."""
    return (it.stage is Stage.FAILED, not it.asked, it.live, not it.flat, it.bot_id)


def _paused(failed: list[int], of: int, settings: OperatorSettings) -> str:
    revision = fleet_revision(settings)
    names = [object_name(bot_id) for bot_id in failed]
    shown = " ".join(names[:_MOST_NAMES])
    which = f"--selector={INSTANCE_LABEL}={settings.release}" if len(names) > _MOST_NAMES else shown
    return (
        f"{len(names)} of {of} bots failed on revision {revision} ({shown}{' …' if len(names) > _MOST_NAMES else ''}):"
        " change it or roll it back, or go on all the same with: kubectl annotate tradingbots"
        f" --namespace={settings.namespace} {which} {RESUME_ROLLOUT}={revision} --overwrite"
    )


def _word(it: Standing, paused: str) -> Update:
    match it.stage:
        case Stage.CURRENT:
            return Update.CURRENT
        case Stage.UPDATING:
            return Update.UPDATING
        case Stage.FAILED:
            return Update.FAILED
        case Stage.BEHIND:
            return _WAITING[_waiting_for(it, paused)]


def _waiting_for(it: Standing, paused: str) -> Reason:
    if it.willing:
        return Reason.PAUSED if paused else Reason.TURN
    return Reason.MANUAL if it.policy is UpdatePolicy.MANUAL else Reason.FLAT


@dataclass(frozen=True, slots=True)
class Told:
    """What a TradingBot says of its update: the column, and the condition without its time."""

    word: Update
    status: str
    reason: str
    message: str = ""


UP_TO_DATE = Told(Update.CURRENT, "True", Reason.CURRENT)


def tell_update(it: Standing, around: Circumstances, old: Mapping[str, Any]) -> Told:
    """What is told of one bot, whose pod is made anew right after that where its turn has come (`may_roll`)."""
    if it.stage is Stage.UPDATING or (around.may_roll and _waits(it)):
        return Told(Update.UPDATING, "Unknown", it.course, under_way_message(it.wanted))
    if it.stage is Stage.CURRENT:
        late = "it came up in the end, after it had counted as a failure" if it.reason is Reason.RECOVERED else ""
        return Told(Update.CURRENT, "True", it.reason, late)
    if it.stage is Stage.FAILED:
        # What it failed on must not become what is wanted by now: that has not been tried.
        failed = failed_message(it.wanted, it.failure) if it.tried else str(old.get("message", ""))
        return Told(Update.FAILED, "False", it.reason, failed)
    reason = _waiting_for(it, around.rollout_paused or "")
    before = Reason(old["reason"]) if old.get("reason") in _WAITING else reason
    if reason is Reason.TURN and around.rollout_paused is None:
        # Whether the roll-out is paused is not known before the first sweep of this process.
        return Told(_WAITING[before], "False", before, str(old.get("message", "")))
    return Told(_WAITING[reason], "False", reason, _explained(reason, around.rollout_paused or ""))


def _explained(reason: Reason, paused: str) -> str:
    match reason:
        case Reason.PAUSED:
            return f"the roll-out is paused: {paused}"
        case Reason.FLAT:
            return "update_policy is when_flat: its pod is made anew once it has neither a position nor an order"
        case Reason.MANUAL:
            return "update_policy is manual: its pod is made anew by `tradingbot bots restart`, or at the next start"
        case _:
            return "its pod is made anew when it is its turn"


def update_condition(told: Told, old: Mapping[str, Any], at: str) -> Document:
    """The condition `Updated`. An update of another template than before is a new one, and so has a new time."""
    again = told.status == "Unknown" and told.message != old.get("message")
    kept = old.get("lastTransitionTime") if old.get("status") == told.status and not again else None
    condition = {"type": UPDATED, "status": told.status, "reason": str(told.reason), "message": told.message}
    return condition | {"lastTransitionTime": kept or at}
