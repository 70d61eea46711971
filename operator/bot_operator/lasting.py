"""Whether a trouble has lasted for long enough to be an error, and whether the bot itself says otherwise. Pure."""

from datetime import datetime, timedelta

from bot_core.models.bot import BotStatus
from bot_operator.observed import Observed
from bot_operator.record import BotRecord
from bot_operator.settings import TroubleSettings
from bot_operator.trouble import NOT_READY, Disruption, Patience, Trouble, reason_of

#: A heartbeat this young, and younger than the trouble, says that the bot runs, wherever that is.
_STILL_SPEAKS = timedelta(seconds=60)
#: The kubelet tells whole seconds, by another clock than the database's; a last beat may seem to follow its own end.
_CLOCKS_DIFFER = timedelta(seconds=5)
USUAL = TroubleSettings()


def lasting_trouble(
    record: BotRecord, observed: Observed, now: datetime, settings: TroubleSettings = USUAL
) -> Trouble | None:
    """The trouble that is an error by now: no transient one, and none of a bot that lives all the same."""
    trouble = trouble_of(observed)
    if trouble is None or (trouble.reason == NOT_READY and speaks(record, trouble, now)):
        return None
    waits = {Patience.NONE: 0.0, Patience.SOME: settings.grace_seconds, Patience.MUCH: settings.not_ready_seconds}
    if trouble.patience is Patience.NONE:
        return trouble
    over = trouble.since is not None and now - trouble.since >= timedelta(seconds=waits[trouble.patience])
    return trouble if over else None


def recent_disruption(observed: Observed, now: datetime, settings: TroubleSettings = USUAL) -> Disruption | None:
    """What lately ended the bot's process unasked, while that is still worth telling."""
    found = observed.disruption
    recent = found is not None and now - found.at < timedelta(seconds=settings.remember_seconds)
    return found if recent else None


def speaks(record: BotRecord, trouble: Trouble, now: datetime) -> bool:
    """Whether the bot's own heartbeat contradicts the trouble. Its row is then its own to write."""
    beat = record.row.last_heartbeat
    if beat is None or now - beat >= _STILL_SPEAKS:
        return False
    return trouble.since is None or beat > trouble.since + _CLOCKS_DIFFER


def trouble_of(observed: Observed) -> Trouble | None:
    pod = observed.pod
    of_deployment = observed.deployment.trouble if observed.deployment else None
    if pod is None or pod.over:
        return of_deployment or (pod.trouble if pod else None)
    return pod.trouble or (None if pod.ready else of_deployment)


def own_words(record: BotRecord, trouble: Trouble) -> str:
    """What the bot itself has said of its end, where it could and did; the cluster knows no more than that."""
    said = record.row.status == BotStatus.ERROR and trouble.ended_the_process
    return "" if not said or reason_of(record.last_error) else record.last_error
