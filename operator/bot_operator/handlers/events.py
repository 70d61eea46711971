"""Cluster events on what is ours wake the bot that they name. What an event says beyond that is never relied on."""

from collections.abc import Callable, Mapping
from typing import Any

import kopf

from bot_operator.naming import GROUP, VERSION, owner_labels
from bot_operator.status import essence

TRADINGBOTS = (GROUP, VERSION, "tradingbots")
WATCHED = (TRADINGBOTS, ("apps", "v1", "deployments"), ("", "v1", "pods"))


Wake = Callable[[Mapping[str, str], str], None]


def register_events(registry: kopf.OperatorRegistry, release: str, wake: Wake) -> None:
    """`wake` gets an object's labels and its name: either may be what somebody has edited."""

    async def changed(labels: Mapping[str, str], name: str | None, **_: object) -> None:
        wake(labels, name or "")

    async def bot_changed(
        labels: Mapping[str, str], name: str | None, body: Mapping[str, Any], memo: kopf.Memo, **_: object
    ) -> None:
        # A TradingBot changes with each heartbeat, by our own hand: that is no reason to look at the bot.
        seen, memo.essence = memo.get("essence"), essence(body)
        if memo.essence != seen:
            wake(labels, name or "")

    ours = owner_labels(release)
    for resource in WATCHED:
        handler = bot_changed if resource == TRADINGBOTS else changed
        kopf.on.event(*resource, labels=ours, registry=registry)(handler)
