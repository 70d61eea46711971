"""The brokers of this process: made, connected once, known by account, closed.

Each bot has a broker of its own, so that one bot's trouble stays its own; what brokers of one account share lies below
them, in `venues`: connections and rate limiters. It decides nothing about orders.
"""

import asyncio
from contextlib import suppress
from typing import Any

import structlog

from bot_core.models.config import BotConfig
from bot_core.models.figures import iso_utc
from bot_runtime.brokers.registry import build_broker
from bot_runtime.brokers.watched import WatchedBroker
from bot_runtime.domain.market import MarketRules

_log = structlog.get_logger(__name__)
_CLOSE_SECONDS = 3.0


class BrokerManager:
    """At most one broker a bot. One that failed to connect stays known, with its trouble, until `forget`."""

    def __init__(self) -> None:
        self._brokers: dict[int, WatchedBroker] = {}

    async def connect(
        self, bot_id: int, config: BotConfig, *, interval_seconds: float
    ) -> tuple[WatchedBroker, MarketRules]:
        """Make a bot's broker and connect it. The caller closes it; `aclose` closes what nobody did.

        Raises InvalidBotError for what only a change of the row mends, TransientError for what time may.
        """
        before = self._brokers.pop(bot_id, None)
        if before is not None and before.connected:
            _log.warning("broker_left_open", bot_id=bot_id, account=_account(before))
            await before.aclose()
        broker = WatchedBroker(build_broker(config, interval_seconds=interval_seconds))
        self._brokers[bot_id] = broker
        try:
            rules = await broker.connect()
        except BaseException:
            await broker.aclose()
            raise
        return broker, rules

    def forget(self, bot_id: int) -> None:
        """The bot has ended. A broker that is still open stays known, for `aclose` to close it."""
        broker = self._brokers.get(bot_id)
        if broker is not None and not broker.connected:
            del self._brokers[bot_id]

    async def aclose(self) -> None:
        """Close what bots that were cut short have left open."""
        left = {bot_id: broker for bot_id, broker in self._brokers.items() if broker.connected}
        self._brokers.clear()
        for bot_id, broker in left.items():
            _log.warning("broker_left_open", bot_id=bot_id, account=_account(broker))
            with suppress(Exception):  # the process ends anyway
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await broker.aclose()

    def summary(self) -> list[dict[str, Any]]:
        """How the venues are, one entry an account, as `/status` shows it."""
        accounts: dict[str, dict[int, WatchedBroker]] = {}
        for bot_id, broker in sorted(self._brokers.items()):
            accounts.setdefault(_account(broker), {})[bot_id] = broker
        return [_summary(account, brokers) for account, brokers in sorted(accounts.items())]


def _summary(account: str, brokers: dict[int, WatchedBroker]) -> dict[str, Any]:
    skews: list[float] = [skew for broker in brokers.values() if (skew := broker.clock_skew) is not None]
    widest = max(skews, key=abs, default=None)
    answers = [broker.answered_at for broker in brokers.values() if broker.answered_at is not None]
    return {
        "account": account,
        "live": any(broker.live for broker in brokers.values()),
        "bots": list(brokers),
        "connected": sum(broker.connected for broker in brokers.values()),
        "trouble": {str(bot_id): broker.trouble for bot_id, broker in brokers.items() if broker.trouble},
        "clock_skew_seconds": None if widest is None else round(widest, 3),
        "last_answer": iso_utc(max(answers)) if answers else None,
    }


def _account(broker: WatchedBroker) -> str:
    try:
        return broker.account
    except Exception:  # noqa: BLE001  # a plugin may know its account only once it is connected
        return "unknown"
