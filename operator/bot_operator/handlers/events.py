"""Cluster events on what is ours wake the bot that they name. It must not read the object beyond its labels."""

from collections.abc import Callable, Mapping

import kopf

from bot_operator.naming import GROUP, VERSION, owner_labels

WATCHED = ((GROUP, VERSION, "tradingbots"), ("apps", "v1", "deployments"), ("", "v1", "pods"))


def register_events(registry: kopf.OperatorRegistry, release: str, wake: Callable[[Mapping[str, str]], None]) -> None:
    async def changed(labels: Mapping[str, str], **_: object) -> None:
        wake(labels)

    ours = owner_labels(release)
    for group, version, plural in WATCHED:
        kopf.on.event(group, version, plural, labels=ours, registry=registry)(changed)
