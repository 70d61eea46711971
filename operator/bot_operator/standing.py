"""Where one bot stands in a roll-out: current, behind, under way or failed. Pure: no client, no clock, no I/O.

The memory is the condition `Updated` of the TradingBot, written before the pod is touched: False is behind, Unknown is
under way since `lastTransitionTime`, True is current. So an operator that starts anew knows what the last one began.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from bot_core.models.bot import RESTARTED_AT, BotStatus
from bot_core.models.config import UpdatePolicy
from bot_operator.lasting import lasting_trouble
from bot_operator.manifests import build_pod_template, fleet_revision, template_hash, update_policy
from bot_operator.naming import RESUME_ROLLOUT, Workload
from bot_operator.observed import Observed, ObservedDeployment
from bot_operator.placement import place
from bot_operator.record import BotRecord
from bot_operator.settings import OperatorSettings, TroubleSettings
from bot_operator.trouble import FAILED_CREATE, NOT_PROGRESSING, condition

UPDATED = "Updated"
_SHORT = 12


class Stage(StrEnum):
    CURRENT = "current"
    BEHIND = "behind"
    UPDATING = "updating"
    FAILED = "failed"


class Course(StrEnum):
    """What an update is for, and so what it costs and whom its failure blames; the reason while it is under way."""

    ROLL_OUT = "RollOut"  # the fleet's own change: takes a place, and its failure counts
    OWN_CHANGE = "OwnChange"  # the row's own: takes a place, and its failure is the row's matter
    MENDING = "Mending"  # of a bot that did not run: costs no availability, and proves nothing when it fails


class Reason(StrEnum):
    """Of the condition while no update is under way."""

    CURRENT = "Current"
    RECOVERED = "Recovered"
    TURN = "WaitsForTurn"
    FLAT = "WaitsUntilFlat"
    MANUAL = "Manual"
    PAUSED = "RolloutPaused"
    FAILED = "Failed"
    FAILED_ALONE = "FailedAlone"


FAILURES = frozenset({Reason.FAILED, Reason.FAILED_ALONE})


@dataclass(frozen=True, slots=True)
class Standing:
    """One bot that should run and has a Deployment. `behind`: that one is not of the wanted template.

    `reason` is what the condition says of a bot that is neither behind nor under way; `failure` says in words why an
    update failed, and `tried` that it did so on what is wanted now. `healthy`: its pod is Ready and its row says
    running. `broken`: it does not run, whatever comes.
    """

    bot_id: int
    stage: Stage
    wanted: str
    behind: bool = False
    reason: Reason = Reason.CURRENT
    course: Course = Course.ROLL_OUT
    policy: UpdatePolicy = UpdatePolicy.NOW
    healthy: bool = True
    broken: bool = False
    flat: bool = True
    live: bool = False
    asked: bool = False
    forgiven: bool = False
    tried: bool = True
    failure: str = ""

    @property
    def willing(self) -> bool:
        """Whether the bot's own policy lets its pod be made anew now. A person's restart is such a word."""
        if self.down:
            return True  # what a roll-out has broken a roll-out may mend
        match self.policy:
            case UpdatePolicy.MANUAL:
                return self.asked
            case UpdatePolicy.WHEN_FLAT:
                # A bot that does not run can't become flat by itself.
                return self.flat or self.asked or self.broken
            case UpdatePolicy.NOW:
                return True

    @property
    def blames(self) -> bool:
        """Whether it speaks against the fleet's change: it failed on it, also when it came up in the end."""
        return self.reason in {Reason.FAILED, Reason.RECOVERED} and self.tried and not self.forgiven

    @property
    def rests(self) -> bool:
        """Whether a roll-out has nothing to decide of it, and nothing of others by it."""
        return self.stage is Stage.CURRENT and not self.blames

    @property
    def down(self) -> bool:
        """Whether it is down for the roll-out's sake, or as good as."""
        if self.stage is Stage.UPDATING:
            return self.course is not Course.MENDING
        failed = self.stage is Stage.FAILED and self.reason is Reason.FAILED
        return failed and not self.healthy and not self.forgiven


def stand(record: BotRecord, observed: Observed, settings: OperatorSettings, now: datetime) -> Standing | None:
    """None for a bot that has no part in a roll-out.

    It should not run, or there is nothing to make anew, or its pod is left as it is: the safety brake holds it, or no
    shape can be told for it.
    """
    deployment, bot = observed.deployment, observed.bot
    if bot is None or not bot.ours or bot.deleting or not record.asked.run or record.hold is not None:
        return None
    if deployment is None or not deployment.ours or deployment.deleting or deployment.adopts:
        return None
    shape = place(record, deployment.placement, settings).shape
    if shape is None:
        return None
    wanted = template_hash(build_pod_template(Workload.of([record.row.id]), settings, shape))
    old = condition(bot.status, UPDATED)
    revision = fleet_revision(settings)
    failing = _failing(record, observed, deployment, settings.trouble, now)
    broken = _broken(record, observed, failing)
    own = deployment.revision == revision
    standing = Standing(
        bot_id=record.row.id,
        stage=Stage.CURRENT,
        wanted=wanted,
        behind=deployment.template_hash != wanted,
        course=Course.MENDING if broken else Course.OWN_CHANGE if own else Course.ROLL_OUT,
        policy=update_policy(record),
        healthy=_healthy(record, observed, deployment),
        broken=broken,
        flat=record.figures.flat,
        live=record.parsed.config is not None and record.parsed.config.broker.trading_mode == "live",
        asked=_asked(record, old),
        forgiven=bot.annotations.get(RESUME_ROLLOUT) == revision,
    )
    patience = timedelta(seconds=settings.rollout.ready_seconds)
    return _judged(standing, old, patience, now, failing=failing, runs=_runs(observed, deployment))


def under_way_message(wanted: str) -> str:
    return f"its pod is made anew from template {wanted[:_SHORT]}"


def failed_message(wanted: str, why: str) -> str:
    return f"{under_way_message(wanted)}, and fails: {why}"


def _judged(
    it: Standing, old: Mapping[str, Any], patience: timedelta, now: datetime, *, failing: str, runs: bool
) -> Standing:
    same = str(old.get("message", "")).startswith(under_way_message(it.wanted))
    if old.get("status") == "Unknown":
        course = Course(old["reason"]) if old.get("reason") in set(Course) else Course.ROLL_OUT
        why = "" if it.behind else failing
        if same and not why and now - _since(old, now) > patience:
            why = f"not ready after {patience.total_seconds():.0f} s"
        return _under_way(it, course, why, same=same, runs=runs)
    failed = old.get("reason") in FAILURES
    reason = Reason(old["reason"]) if failed else Reason.CURRENT
    if failed and not it.healthy:
        course = Course.ROLL_OUT if reason is Reason.FAILED else it.course
        return replace(it, stage=Stage.FAILED, reason=reason, course=course, tried=same, failure=_why(old))
    if it.behind:
        # One whose Deployment was refused runs on as before, and is tried again after all others.
        refused = failed and same
        return (
            replace(it, stage=Stage.FAILED, reason=reason, failure=_why(old))
            if refused
            else replace(it, stage=Stage.BEHIND)
        )
    recovered = reason is Reason.FAILED or old.get("reason") == Reason.RECOVERED
    return replace(it, reason=Reason.RECOVERED if recovered else Reason.CURRENT)


def _under_way(it: Standing, course: Course, why: str, *, same: bool, runs: bool) -> Standing:
    """`why` it has failed, in words; empty while it may come up."""
    if it.healthy and not it.behind:
        return it
    if it.behind and not same and it.healthy:
        return replace(it, stage=Stage.BEHIND)  # what was wanted has changed, and it runs on what was wanted before
    mended = course is Course.MENDING and not it.behind and (bool(why) or runs)
    if mended:
        return it
    if not why:
        return replace(it, stage=Stage.UPDATING, course=course)
    reason = Reason.FAILED if course is Course.ROLL_OUT else Reason.FAILED_ALONE
    return replace(it, stage=Stage.FAILED, reason=reason, course=course, failure=why)


def _healthy(record: BotRecord, observed: Observed, deployment: ObservedDeployment) -> bool:
    return _runs(observed, deployment) and record.row.status == BotStatus.RUNNING


def _runs(observed: Observed, deployment: ObservedDeployment) -> bool:
    """Whether the pod of the Deployment as it is now is Ready; while the cluster has not seen a change, none is."""
    pod = observed.pod
    return deployment.rolled and pod is not None and pod.ready and not pod.failing


def _failing(
    record: BotRecord, observed: Observed, deployment: ObservedDeployment, settings: TroubleSettings, now: datetime
) -> str:
    """Why the pod of the Deployment as it is now can't come up; empty while it may."""
    trouble = lasting_trouble(record, observed, now, settings)
    # That the Deployment does not get on may be of the template before; the roll-out has a time of its own for that.
    if trouble is None or not deployment.seen or trouble.reason == NOT_PROGRESSING:
        return ""
    return str(trouble) if deployment.rolled or trouble.reason == FAILED_CREATE else ""


def _broken(record: BotRecord, observed: Observed, failing: str) -> bool:
    """Whether the bot does not run and won't by waiting. One that lost its venue for a while is not broken."""
    pod = observed.pod
    if record.row.status == BotStatus.ERROR or pod is None:
        return True
    return bool(failing) or pod.failing or not pod.started


def _asked(record: BotRecord, old: Mapping[str, Any]) -> bool:
    """Whether a person restarts the bot now, or did since it is behind: the runtime's answer may be quicker than us."""
    if record.desired.restart:
        return True
    try:
        at = datetime.fromisoformat(str(record.row.extra_metadata.get(RESTARTED_AT)))
        return old.get("status") == "False" and at > _since(old, at)
    except (ValueError, TypeError):
        return False


def _since(old: Mapping[str, Any], default: datetime) -> datetime:
    try:
        return datetime.fromisoformat(str(old.get("lastTransitionTime")))
    except ValueError:
        return default


def _why(old: Mapping[str, Any]) -> str:
    return str(old.get("message", "")).partition("fails: ")[2]
