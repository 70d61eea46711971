"""What to do next for one bot: from its row and what the cluster holds to a list of typed actions.

Pure: no client, no clock, no I/O. A plan is complete only together with the next: whoever applies one looks
again and plans again, until there is nothing left to do.
"""

from collections.abc import Sequence
from dataclasses import replace

from bot_core.models.bot import BotStatus
from bot_operator.actions import (
    Action,
    ApplyDeployment,
    ApplyTradingBot,
    DeletePod,
    DeleteTradingBot,
    EmitEvent,
    NoteRow,
    PatchStatus,
    QuarantineRow,
    RestoreDeployment,
    RestoreStatus,
    RestoreTradingBot,
)
from bot_operator.adoption import plan_end
from bot_operator.brake import hold_events, plan_held
from bot_operator.credentials import explained
from bot_operator.drift import Drift, find_drift, foreign_status, keeping_template, template_outdated
from bot_operator.manifests import Document, build_deployment, build_status, build_tradingbot
from bot_operator.naming import TEMPLATE_HASH, Workload, object_name
from bot_operator.news import status_events
from bot_operator.observed import Observed, ObservedDeployment, ObservedTradingBot
from bot_operator.placement import Placement, place
from bot_operator.record import BotRecord, Circumstances, Hold
from bot_operator.recovery import plan_recovery
from bot_operator.reports import plan_row, plan_row_error
from bot_operator.rollout import UP_TO_DATE, Told, tell_update
from bot_operator.standing import UPDATED, Standing, stand, under_way_message
from bot_operator.status import FIGURES, build_status_fields, condition, name_taken

#: An Event is short; the log line has them all.
_MOST_FIELDS = 8


def plan_bot(record: BotRecord | None, observed: Observed, around: Circumstances) -> list[Action]:
    """The next steps for a bot; empty when all is as its row asks. `record` is None when there is no row."""
    if record is None:
        return _plan_removal(observed, around) if around.hold is None else _plan_held(observed, around.hold, around)
    bot = observed.bot
    if bot is not None and not bot.ours:
        return plan_row_error(record, name_taken("TradingBot", record.row.id), bot.uid, "NameTaken")
    if bot is not None and bot.deleting:
        return []  # its end is news, and then it is made again
    first = _plan_tradingbot(bot, build_tradingbot(record, around.settings))
    if bot is None or first:
        return first  # the rest needs its uid and generation: the next plan
    placement = _place(record, observed, around)
    observed = explained(observed, placement)
    standing = stand(record, observed, around.settings, around.now)
    told = _told(bot, standing, placement, around, made_now=observed.deployment is None and record.desired.run)
    status = build_status_fields(
        record, observed, around.now, settings=around.settings.trouble, placement=placement, told=told
    )
    workload = _plan_workload(record, observed, bot, around, placement)
    if record.row.status != BotStatus.ERROR and is_first_start(workload, observed):
        return workload  # it runs before anything is told of it, which the next plan does
    return _plan_recovery(record, observed, bot, around, standing, status) or [
        *plan_row(record, observed, bot, around, placement),
        *_plan_status(record, bot, around, status),
        *workload,
    ]


def is_first_start(actions: Sequence[Action], observed: Observed) -> bool:
    """Whether a plan is nothing but to make the Deployment of a bot of which nothing was told yet."""
    untold = observed.bot is not None and not observed.bot.phase and observed.deployment is None
    return untold and len(actions) == 1 and isinstance(actions[0], ApplyDeployment)


def _plan_recovery(
    record: BotRecord,
    observed: Observed,
    bot: ObservedTradingBot,
    around: Circumstances,
    standing: Standing | None,
    status: Document,
) -> list[Action]:
    """The database first: what does not take a write now is no database in which a heartbeat can be missed."""
    if standing is not None and standing.behind and _may_update(around):
        return []  # its pod is made anew in this very plan
    found = plan_recovery(record, observed, around.silent_for, around.settings, around.now)
    if found is None:
        return []
    end = DeletePod(found.pod.name, found.pod.uid, found.message)
    lost = EmitEvent("HeartbeatLost", found.message, bot.uid, warning=True)
    if found.quarantine:
        row = QuarantineRow(found.message, around.settings.recovery.max_recoveries)
        return [row, EmitEvent("Quarantined", found.message, bot.uid, warning=True), end]
    status = status | {"recoveries": list(found.times)}
    remembered = PatchStatus(build_status(object_name(record.row.id), around.settings, status))
    return [NoteRow("heartbeat_lost", found.message), lost, remembered, end]


def _plan_held(observed: Observed, hold: Hold, around: Circumstances) -> list[Action]:
    """Its row is gone and its removal is held: it stays as it is, and is put back as it was where that is known."""
    bot = observed.bot
    if bot is None or not bot.ours or bot.deleting:
        return []
    kept: list[Action] = []
    # What a person had stopped before its row went is no matter of the brake's.
    if around.last is not None and (observed.deployment is not None or around.last.asked.run):
        last = replace(around.last, hold=hold)
        kept = _plan_workload(last, observed, bot, around, _place(last, observed, around))
    return [*plan_held(bot, hold, around.settings, around.now), *kept]


def _place(record: BotRecord, observed: Observed, around: Circumstances) -> Placement:
    return place(record, observed.deployment.placement if observed.deployment else None, around.settings)


def _plan_removal(observed: Observed, around: Circumstances) -> list[Action]:
    actions = plan_end(observed, around.settings, "its row is gone")
    bot = observed.bot
    if bot is not None and bot.ours and not bot.deleting:
        actions.append(DeleteTradingBot(bot.uid, "its row is gone"))
    return actions


def _plan_tradingbot(bot: ObservedTradingBot | None, manifest: Document) -> list[Action]:
    if bot is None:
        return [ApplyTradingBot(manifest)]
    drift = find_drift(bot.document, manifest)
    if drift.edited:
        return [RestoreTradingBot(manifest, drift.fields), _restored("TradingBot", drift.fields, bot.uid)]
    return [ApplyTradingBot(manifest)] if drift else []


def _restored(kind: str, fields: tuple[str, ...], uid: str) -> EmitEvent:
    """Names of fields only: an edit may have brought a secret in."""
    more = f" and {len(fields) - _MOST_FIELDS} more" if len(fields) > _MOST_FIELDS else ""
    return EmitEvent("Restored", f"put back in the {kind}: {', '.join(fields[:_MOST_FIELDS])}{more}", uid)


def _plan_status(record: BotRecord, bot: ObservedTradingBot, around: Circumstances, status: Document) -> list[Action]:
    edited = foreign_status(bot.document, status)
    if edited:
        restore = RestoreStatus(build_status(object_name(record.row.id), around.settings, status), edited)
        return [restore, _restored("TradingBot", edited, bot.uid)]
    if all(status.get(key) == bot.status.get(key) for key in (status.keys() | bot.status.keys()) - FIGURES):
        return []
    patch = PatchStatus(build_status(object_name(record.row.id), around.settings, status))
    return [patch, *status_events(bot, status), *hold_events(bot, record.hold)]


def _told(
    bot: ObservedTradingBot, standing: Standing | None, placement: Placement, around: Circumstances, *, made_now: bool
) -> Told | None:
    if made_now and placement.shape is not None:
        return UP_TO_DATE
    return None if standing is None else tell_update(standing, around, condition(bot.status, UPDATED))


def _plan_workload(  # a table: one line, one case
    record: BotRecord, observed: Observed, bot: ObservedTradingBot, around: Circumstances, placement: Placement
) -> list[Action]:
    deployment = observed.deployment
    if deployment is not None and (not deployment.ours or deployment.deleting):
        return []
    if not record.desired.run:
        return plan_end(observed, around.settings, record.desired.reason)
    if placement.shape is None:
        return []  # nothing that may run, or a pod whose shape can't be told any more: it is left as it is
    workload = Workload.of([record.row.id])
    manifest = build_deployment(workload, around.settings, placement.shape, owner_uid=bot.uid)
    if deployment is None or deployment.adopts:
        return [ApplyDeployment(manifest)]
    return _plan_drift(deployment, manifest, bot, around)


def _plan_drift(
    deployment: ObservedDeployment, manifest: Document, bot: ObservedTradingBot, around: Circumstances
) -> list[Action]:
    """An edit is put back at once; a change of our own that makes the pod anew may have to wait."""
    drift = find_drift(deployment.document, manifest)
    updated = template_outdated(drift)
    if updated and not _may_update(around) and not drift.edited_template:
        return _plan_around(deployment, manifest, bot, drift)
    wanted = manifest["metadata"]["annotations"][TEMPLATE_HASH]
    told: list[Action] = [EmitEvent("Updating", under_way_message(wanted), bot.uid)] if updated else []
    if drift.edited:
        # Of an edited pod template nothing can wait any more: the edit itself has ended the pod.
        restored = _restored("Deployment", drift.fields, bot.uid)
        return [RestoreDeployment(manifest, drift.fields), restored, *told]
    return [ApplyDeployment(manifest), *told] if drift else []


def _may_update(around: Circumstances) -> bool:
    """Whether the bot's pod may be made anew now for a change of our own."""
    return around.may_roll


def _plan_around(
    deployment: ObservedDeployment, manifest: Document, bot: ObservedTradingBot, drift: Drift
) -> list[Action]:
    """Put back what was edited around a pod that has to wait for its update."""
    if not drift.edited:
        return []
    kept = keeping_template(deployment.document, manifest)
    return [RestoreDeployment(kept, drift.fields), _restored("Deployment", drift.fields, bot.uid)]
