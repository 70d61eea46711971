"""What becomes of a changed document while a bot runs: applied now, when flat, or at the next start. Pure.

A position and an order belong to a market and an account: what names another one waits until there is neither.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, assert_never

from bot_core.models.broker import BrokerConfig
from bot_core.models.config import BotConfig, UpdatePolicy
from bot_core.models.feed import FeedConfig

#: How bars are delivered, not which: these may change below an open position.
_PACE = frozenset(
    {"lookback_bars", "simulate_realtime", "realtime_interval", "retry_interval", "polling_interval", "speed", "bars"}
)
#: What tells one account from another, beside type and mode; adapters' own keys are extras of the section.
_ACCOUNT = ("testnet", "sandbox", "exchange", "account", "account_id", "host", "port")


class When(StrEnum):
    NOW = "now"
    FLAT = "flat"
    NEXT_START = "next_start"


@dataclass(frozen=True, slots=True)
class ReloadPlan:
    """`reason` says why a change is held where it is; empty for one that is applied now."""

    when: When
    reason: str = ""


def plan_reload(old: BotConfig, new: BotConfig) -> ReloadPlan:
    """What becomes of a document that changed while its bot runs, by the new document's own policy."""
    if new.update_policy is UpdatePolicy.MANUAL:
        return ReloadPlan(When.NEXT_START, "update_policy is manual: it is applied at the next start")
    return plan_start(old, new)


def plan_start(old: BotConfig, new: BotConfig) -> ReloadPlan:
    """The same where the bot is built anyway. Another market or account waits whatever the policy says."""
    moves = moved(old, new)
    if moves:
        return ReloadPlan(When.FLAT, f"{', '.join(moves)} can change only without a position and without an order")
    match new.update_policy:
        case UpdatePolicy.NOW | UpdatePolicy.MANUAL:
            return ReloadPlan(When.NOW)
        case UpdatePolicy.WHEN_FLAT:
            return ReloadPlan(When.FLAT, "update_policy is when_flat: it is applied as soon as the bot is flat")
        case _:
            assert_never(new.update_policy)


def moved(old: BotConfig, new: BotConfig) -> tuple[str, ...]:
    """The paths of what names another market or another account; none: positions and rule state keep their meaning."""
    return (*moved_market(old, new), *_moved_account(old, new))


def moved_market(old: BotConfig, new: BotConfig) -> tuple[str, ...]:
    symbol = ("symbol",) if old.symbol != new.symbol else ()
    return (*symbol, *_differences("data", _market(old.data), _market(new.data)))


def _moved_account(old: BotConfig, new: BotConfig) -> tuple[str, ...]:
    keys = ("credentials_secret",) if old.credentials_secret != new.credentials_secret else ()
    return (*_differences("broker", _account(old.broker), _account(new.broker)), *keys)


def _market(data: FeedConfig) -> dict[str, Any]:
    return {name: value for name, value in data.model_dump().items() if name not in _PACE | data.inert}


def _account(broker: BrokerConfig) -> dict[str, Any]:
    values = broker.model_dump()
    return {name: values.get(name) for name in ("type", "trading_mode", *_ACCOUNT)}


def _differences(section: str, old: dict[str, Any], new: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"{section}.{name}" for name in sorted({**old, **new}) if old.get(name) != new.get(name))
