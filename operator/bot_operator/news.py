"""Events for what a TradingBot's new status says otherwise than the old one. Pure."""

from bot_operator.actions import Action, EmitEvent
from bot_operator.manifests import Document
from bot_operator.observed import ObservedTradingBot
from bot_operator.standing import FAILURES, UPDATED
from bot_operator.status import HALTED, POD_LINGERS, Phase, condition
from bot_operator.trouble import reason_of


def status_events(bot: ObservedTradingBot, status: Document) -> list[Action]:
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
    lingers, before = condition(status, POD_LINGERS), condition(bot.status, POD_LINGERS)
    if lingers and lingers["message"] != before.get("message"):
        events.append(EmitEvent(POD_LINGERS, lingers["message"], bot.uid, warning=True))
    events += _events_of_update(bot, status)
    phase, message = status["phase"], status["message"]
    failed = phase == Phase.ERROR
    # The words of one trouble may vary: "0/3 nodes", "0/4 nodes".
    told, telling = str(bot.status.get("message", "")), reason_of(message)
    other = message != told and (not telling or telling != reason_of(told))
    if phase != bot.phase or (failed and other):
        events.append(EmitEvent(phase, message or f"the bot is {phase.lower()}", bot.uid, warning=failed))
    return events


def _events_of_update(bot: ObservedTradingBot, status: Document) -> list[Action]:
    now, before = condition(status, UPDATED), condition(bot.status, UPDATED)
    if now.get("status") == "True" and before.get("status") == "Unknown":
        return [EmitEvent("Updated", "its pod is of the new template", bot.uid)]
    if now.get("reason") in FAILURES and before.get("reason") not in FAILURES:
        return [EmitEvent("UpdateFailed", now["message"], bot.uid, warning=True)]
    return []
