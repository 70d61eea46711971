"""Cluster events on what is ours wake the bot that they name. It must not read the object beyond its labels."""

from collections.abc import Mapping

import kopf

from bot_operator.app import OperatorApp
from bot_operator.naming import GROUP, VERSION, owner_labels

WATCHED = ((GROUP, VERSION, "tradingbots"), ("apps", "v1", "deployments"), ("", "v1", "pods"))


def register_events(registry: kopf.OperatorRegistry, app: OperatorApp) -> None:
    async def changed(labels: Mapping[str, str], name: str | None, **_: object) -> None:
        app.wake(labels, name or "")

    ours = owner_labels(app.settings.release)
    for group, version, plural in WATCHED:
        kopf.on.event(group, version, plural, labels=ours, registry=registry)(changed)
