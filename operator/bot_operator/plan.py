"""What to do next for one bot: from its row and what the cluster holds to a list of typed actions.

Pure: no client, no clock, no I/O. A plan is complete only together with the next: whoever applies one looks
again and plans again, until there is nothing left to do.
"""

from bot_core.models.bot import BotStatus, may_write
from bot_operator.actions import (
    Action,
    ApplyDeployment,
    ApplyTradingBot,
    DeleteDeployment,
    DeleteTradingBot,
    EmitEvent,
    PatchStatus,
    WriteRowError,
    WriteRowStopped,
)
from bot_operator.manifests import (
    Document,
    build_deployment,
    build_pod_template,
    build_status,
    build_tradingbot,
    template_hash,
)
from bot_operator.naming import Workload, object_name
from bot_operator.observed import Observed, ObservedTradingBot
from bot_operator.record import BotRecord, Circumstances
from bot_operator.rollout import UP_TO_DATE, Told, tell_update
from bot_operator.standing import FAILURES, UPDATED, stand, under_way_message
from bot_operator.status import FIGURES, HALTED, Phase, build_status_fields, condition, name_taken

#: Phases that a bot without any workload never has: one of them says that there was a pod.
_HAD_WORKLOAD = frozenset({Phase.PENDING, Phase.STARTING, Phase.RUNNING, Phase.STOPPING})


def plan_bot(record: BotRecord | None, observed: Observed, around: Circumstances) -> list[Action]:
    """The next steps for a bot; empty when all is as its row asks. `record` is None when there is no row."""
    if record is None:
        return _plan_removal(observed, around)
    bot = observed.bot
    if bot is not None and not bot.ours:
        return _plan_row_error(record, name_taken("TradingBot", record.row.id), bot.uid, "NameTaken")
    if bot is None or _differs(bot, build_tradingbot(record, around.settings)):
        # The rest needs its uid and generation: the next plan.
        return [ApplyTradingBot(build_tradingbot(record, around.settings))]
    if bot.deleting:
        return []  # its end is news, and then it is made again
    return [
        *_plan_row(record, observed, bot),
        *_plan_status(record, observed, bot, around),
        *_plan_workload(record, observed, bot, around),
    ]


def _plan_removal(observed: Observed, around: Circumstances) -> list[Action]:
    if around.table_empty:
        return []  # reading nothing is not an order to stop
    actions: list[Action] = []
    deployment, bot = observed.deployment, observed.bot
    if deployment is not None and deployment.ours and not deployment.deleting:
        actions.append(DeleteDeployment(deployment.uid, "its row is gone"))
    if bot is not None and bot.ours and not bot.deleting:
        actions.append(DeleteTradingBot(bot.uid, "its row is gone"))
    return actions


def _differs(bot: ObservedTradingBot, wanted: Document) -> bool:
    if bot.deleting:
        return False
    labels, spec = wanted["metadata"]["labels"], wanted["spec"]
    return any(bot.labels.get(key) != value for key, value in labels.items()) or any(
        bot.spec.get(key) != value for key, value in spec.items()
    )


def _plan_row(record: BotRecord, observed: Observed, bot: ObservedTradingBot) -> list[Action]:
    """What the row must be told. Before the status, whose phase is the only memory of a workload that is gone."""
    deployment = observed.deployment
    if deployment is not None and not deployment.ours:
        return _plan_row_error(record, name_taken("Deployment", record.row.id), bot.uid, "NameTaken")
    if record.desired.run:
        return _plan_invalid(record, running=deployment is not None)
    if deployment is None and not observed.pods and _stop_unanswered(record, bot):
        return [WriteRowStopped()]
    return []


def _stop_unanswered(record: BotRecord, bot: ObservedTradingBot) -> bool:
    if record.row.status == BotStatus.STOPPED:
        return False
    return record.row.status == BotStatus.STOPPING or bot.phase in _HAD_WORKLOAD


def _plan_invalid(record: BotRecord, *, running: bool) -> list[Action]:
    if record.parsed.config is not None:
        return []
    told = record.last_error == record.config_error
    shown = running or record.row.status == BotStatus.ERROR or not may_write(record.row.status, BotStatus.ERROR)
    return [] if told and shown else [WriteRowError(record.config_error, keep_status=running)]


def _plan_row_error(record: BotRecord, message: str, uid: str, reason: str) -> list[Action]:
    may = may_write(record.row.status, BotStatus.ERROR)
    told = record.last_error == message and (record.row.status == BotStatus.ERROR or not may)
    if told or not record.desired.run:
        return []  # `error` in the row of a stopped bot would ask for it to run
    return [WriteRowError(message), EmitEvent(reason, message, uid, warning=True)]


def _plan_status(record: BotRecord, observed: Observed, bot: ObservedTradingBot, around: Circumstances) -> list[Action]:
    status = build_status_fields(record, observed, around.now, _told(record, observed, bot, around))
    changed = {key for key in status.keys() | bot.status.keys() if status.get(key) != bot.status.get(key)}
    figures_only = changed <= FIGURES
    if not changed or (figures_only and not around.figures_due):
        return []
    patch = PatchStatus(build_status(object_name(record.row.id), around.settings, status), figures_only)
    return [patch, *_events_of(bot, status)]


def _told(record: BotRecord, observed: Observed, bot: ObservedTradingBot, around: Circumstances) -> Told | None:
    if observed.deployment is None and record.desired.run and record.parsed.config is not None:
        return UP_TO_DATE  # it is made in this very plan
    standing = stand(record, observed, around.settings, around.now)
    return None if standing is None else tell_update(standing, around, condition(bot.status, UPDATED))


def _events_of(bot: ObservedTradingBot, status: Document) -> list[Action]:
    """Events for what the new status says otherwise than the old one."""
    events: list[Action] = []
    valid, before = condition(status, "ConfigValid"), condition(bot.status, "ConfigValid")
    if valid["status"] == "False" and valid["message"] != before.get("message"):
        events.append(EmitEvent("ConfigInvalid", valid["message"], bot.uid, warning=True))
    if valid["status"] == "True" and before.get("status") == "False":
        events.append(EmitEvent("ConfigValid", "the document is valid again", bot.uid))
    halted, was = (condition(item, "Trading").get("reason") == HALTED for item in (status, bot.status))
    if halted and not was:
        events.append(EmitEvent(HALTED, condition(status, "Trading")["message"], bot.uid, warning=True))
    if was and not halted:
        events.append(EmitEvent("Resumed", "no halt stands any more", bot.uid))
    events += _events_of_update(bot, status)
    phase, message = status["phase"], status["message"]
    failed = phase == Phase.ERROR
    if phase != bot.phase or (failed and message != bot.status.get("message")):
        events.append(EmitEvent(phase, message or f"the bot is {phase.lower()}", bot.uid, warning=failed))
    return events


def _events_of_update(bot: ObservedTradingBot, status: Document) -> list[Action]:
    now, before = condition(status, UPDATED), condition(bot.status, UPDATED)
    if now.get("status") == "True" and before.get("status") == "Unknown":
        return [EmitEvent("Updated", "its pod is of the new template", bot.uid)]
    if now.get("reason") in FAILURES and before.get("reason") not in FAILURES:
        return [EmitEvent("UpdateFailed", now["message"], bot.uid, warning=True)]
    return []


def _plan_workload(
    record: BotRecord, observed: Observed, bot: ObservedTradingBot, around: Circumstances
) -> list[Action]:
    deployment = observed.deployment
    if deployment is not None and (not deployment.ours or deployment.deleting):
        return []
    if not record.desired.run:
        return [DeleteDeployment(deployment.uid, record.desired.reason)] if deployment else []
    workload = Workload.of([record.row.id])
    manifest = build_deployment(workload, around.settings, owner_uid=bot.uid)
    if deployment is None:
        return [ApplyDeployment(manifest)] if record.parsed.config is not None else []
    wanted = template_hash(build_pod_template(workload, around.settings))
    if deployment.template_hash != wanted:
        roll: list[Action] = [ApplyDeployment(manifest), EmitEvent("Updating", under_way_message(wanted), bot.uid)]
        return roll if around.may_roll else []
    if deployment.replicas != 1 or deployment.owner_uid != bot.uid:
        return [ApplyDeployment(manifest), EmitEvent("Restored", "an edited Deployment was put back", bot.uid)]
    return []
