"""What a row must be told of its pod: a trouble that lasts, and a process that ended unasked. Pure.

A row is its bot's own while the bot speaks: what a young heartbeat contradicts is not written, and what the bot said of
its own end stands. `running` is written by the runtime alone, and takes away what is written here.
"""

from datetime import datetime, timedelta

from bot_core.models.bot import BotStatus, may_write
from bot_operator.actions import Action, EmitEvent, WriteRowDisruption, WriteRowError
from bot_operator.observed import Observed
from bot_operator.record import BotRecord, Circumstances
from bot_operator.status import lasting_trouble, own_words, recent_disruption, speaks
from bot_operator.trouble import Disruption, Trouble, moment, reason_of

#: Words of a bot this much older than its end are not about that end.
_OLD_WORDS = timedelta(minutes=10)


def plan_report(record: BotRecord, observed: Observed, uid: str, around: Circumstances) -> list[Action]:
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
