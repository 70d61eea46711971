"""How the safety brake shows on one bot: what a verdict means for it, and what its TradingBot then says.

Pure: no client, no clock, no I/O. What is held is decided by `bot_core.models.brake`, for operator and service alike.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot_core.models.brake import BrakeLimits, Level, Verdict
from bot_operator.actions import Action, EmitEvent, PatchStatus
from bot_operator.manifests import build_status
from bot_operator.naming import CONFIRM_SHRINK, object_name
from bot_operator.observed import ObservedTradingBot
from bot_operator.record import Hold
from bot_operator.settings import OperatorSettings
from bot_operator.status import REMOVAL_HELD, condition, held_condition


@dataclass(frozen=True, slots=True)
class Showing:
    """A verdict with the code that lets its bots go; empty where none could be shown."""

    verdict: Verdict
    code: str


def brake_limits(settings: OperatorSettings) -> BrakeLimits:
    return BrakeLimits(**settings.safety.model_dump())


def hold_of(showing: Showing, bot_id: int, settings: OperatorSettings) -> Hold | None:
    """What holds this bot's removal, or None. Of all that are held, the first tells of it by an Event."""
    verdict = showing.verdict
    if not verdict.holds(bot_id):
        return None
    return Hold(hold_message(showing, settings), first=bot_id == min(verdict.held, default=None))


def hold_message(showing: Showing, settings: OperatorSettings) -> str:
    """Why, and exactly what lets them go. The same on every bot."""
    verdict = showing.verdict
    until = (
        "until a second reading says the same, or at once by"
        if verdict.level is Level.WAITS
        else "until the rows are back, or a person lets them go by"
    )
    if not showing.code:
        return f"{verdict.why}; held until the rows are back (nobody can confirm: run `tradingbot db upgrade`)"
    first = object_name(min(verdict.held, default=0))
    return (
        f"{verdict.why}; held {until} `tradingbot confirm-shrink {showing.code}` or `kubectl annotate --overwrite "
        f"--namespace {settings.namespace} tradingbot {first} {CONFIRM_SHRINK}={showing.code}`"
    )


def plan_held(bot: ObservedTradingBot, hold: Hold, settings: OperatorSettings, now: datetime) -> list[Action]:
    """What a TradingBot says whose row is gone: all that it said, and that its removal is held."""
    before = condition(bot.status, REMOVAL_HELD)
    if before.get("message") == hold.message:
        return []
    others = [item for item in bot.status.get("conditions") or [] if item.get("type") != REMOVAL_HELD]
    status: dict[str, Any] = {**bot.status, "conditions": [*others, held_condition(bot.status, now, hold.message)]}
    name = str(bot.document["metadata"]["name"])  # its spec may be what somebody edited
    return [PatchStatus(build_status(name, settings, status)), *hold_events(bot, hold)]


def hold_events(bot: ObservedTradingBot, hold: Hold | None) -> list[Action]:
    """One Event for all that is held, whenever that is another set."""
    if hold is None or not hold.first or condition(bot.status, REMOVAL_HELD).get("message") == hold.message:
        return []
    return [EmitEvent(REMOVAL_HELD, hold.message, bot.uid, warning=True)]
