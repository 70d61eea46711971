"""What a row must be told: of its document, of a stop, and of its pod's lasting trouble or unasked end. Pure.

A row is its bot's own while the bot speaks: what a young heartbeat contradicts is not written, and what the bot said of
its own end stands. `running` is written by the runtime alone, and takes away what is written here.
"""

from datetime import datetime, timedelta

from bot_core.models.bot import BotStatus, may_write
from bot_operator.actions import (
    Action,
    EmitEvent,
    WriteRowDisruption,
    WriteRowError,
    WriteRowRefusal,
    WriteRowStopped,
)
from bot_operator.lasting import lasting_trouble, own_words, recent_disruption, speaks
from bot_operator.observed import Observed, ObservedTradingBot
from bot_operator.placement import Placement
from bot_operator.record import BotRecord, Circumstances
from bot_operator.status import Phase, name_taken
from bot_operator.trouble import Disruption, Trouble, moment, reason_of

#: Words of a bot this much older than its end are not about that end.
_OLD_WORDS = timedelta(minutes=10)
#: Phases that a bot without any workload never has: one of them says that there was a pod.
_HAD_WORKLOAD = frozenset({Phase.PENDING, Phase.STARTING, Phase.RUNNING, Phase.STOPPING})


def plan_row(
    record: BotRecord, observed: Observed, bot: ObservedTradingBot, around: Circumstances, placement: Placement
) -> list[Action]:
    """What the row must be told. Before the status, whose phase is the only memory of a workload that is gone."""
    deployment = observed.deployment
    if deployment is not None and not deployment.ours:
        return plan_row_error(record, name_taken("Deployment", record.row.id), bot.uid, "NameTaken")
    if record.desired.run:
        running = deployment is not None
        refusal = _plan_refusal(record, placement, running=running)
        if record.config_error or (placement.refusal and not running):
            return [*_plan_invalid(record, placement, running=running), *refusal]
        return [*refusal, *_plan_report(record, observed, bot.uid, around)]
    gone = deployment is None and not observed.pods
    answer: list[Action] = [WriteRowStopped()] if gone and _stop_unanswered(record, bot) else []
    return [*_plan_refusal(record, placement, running=False), *answer]


def _stop_unanswered(record: BotRecord, bot: ObservedTradingBot) -> bool:
    if record.row.status == BotStatus.STOPPED:
        return False
    return record.row.status == BotStatus.STOPPING or bot.phase in _HAD_WORKLOAD


def _plan_invalid(record: BotRecord, placement: Placement, *, running: bool) -> list[Action]:
    """A document that no bot can run on, or that this cluster lets no bot start with."""
    error = record.config_error or ("" if running else placement.refusal)
    if not error:
        return []
    told = record.last_error == error
    shown = running or record.row.status == BotStatus.ERROR or not may_write(record.row.status, BotStatus.ERROR)
    return [] if told and shown else [WriteRowError(error, keep_status=running)]


def _plan_refusal(record: BotRecord, placement: Placement, *, running: bool) -> list[Action]:
    said = placement.refusal if running else ""
    return [] if record.refusal == said else [WriteRowRefusal(said)]


def plan_row_error(record: BotRecord, message: str, uid: str, reason: str) -> list[Action]:
    may = may_write(record.row.status, BotStatus.ERROR)
    told = record.last_error == message and (record.row.status == BotStatus.ERROR or not may)
    if told or not record.desired.run:
        return []  # `error` in the row of a stopped bot would ask for it to run
    return [WriteRowError(message), EmitEvent(reason, message, uid, warning=True)]


def _plan_report(record: BotRecord, observed: Observed, uid: str, around: Circumstances) -> list[Action]:
    """For a row that asks to run and whose document can: an invalid one tells of that alone."""
    settings, now = around.settings.trouble, around.now
    trouble = lasting_trouble(record, observed, now, settings)
    if trouble is not None:
        return [] if _known(record, trouble, now) else [WriteRowError(str(trouble), seen=record.row)]
    disruption = recent_disruption(observed, now, settings)
    if disruption is None or _told(record, disruption) or record.row.status == BotStatus.ERROR:
        return []  # a bot in error was told why, and starts again anyway
    pod = observed.pod
    ready = pod is not None and pod.ready
    if disruption.restarts and not ready:
        return []  # it is told once the bot is well again; until then it may yet become a trouble
    lives = ready or speaks(record, Trouble("", since=disruption.at), now)
    return [
        WriteRowDisruption(disruption, down=not lives, seen=record.row),
        EmitEvent("Disrupted", disruption.text, uid, warning=True),
    ]


def _known(record: BotRecord, trouble: Trouble, now: datetime) -> bool:
    shown = record.row.status == BotStatus.ERROR or not may_write(record.row.status, BotStatus.ERROR)
    if shown and reason_of(record.last_error) == trouble.reason:
        return True  # whose words may vary: one occurrence is told once
    return speaks(record, trouble, now) or record.row.quarantined or _own_words_stand(record, trouble)


def _own_words_stand(record: BotRecord, trouble: Trouble) -> bool:
    said = moment(record.row.extra_metadata.get("last_error_time"))
    fresh = said is not None and (trouble.since is None or trouble.since - said < _OLD_WORDS)
    return bool(own_words(record, trouble)) and fresh


def _told(record: BotRecord, disruption: Disruption) -> bool:
    told = record.row.extra_metadata.get("last_disruption")
    if not isinstance(told, dict):
        return False
    return (told.get("pod"), told.get("restarts")) == (disruption.pod, disruption.restarts)
