"""Kopf's settings and its run. It must not know what the app does."""

import asyncio
import itertools
import logging
from collections.abc import Iterator

import kopf

from bot_core.models.errors import FatalError
from bot_operator.app import OperatorApp
from bot_operator.handlers.events import WATCHED, register_events
from bot_operator.handlers.lifecycle import register_lifecycle
from bot_operator.naming import owner_labels, selector


class Unwearying:
    """Seconds between attempts without an end: kopf's own would give up, and the process with it, after a minute."""

    def __iter__(self) -> Iterator[float]:
        yield from (1, 1, 2, 3, 5, 8, 13)
        yield from itertools.repeat(20)


async def run_operator(app: OperatorApp) -> None:
    """Run until SIGTERM or SIGINT. Raises FatalError when the app ended by itself."""
    quiet_kopf()
    registry, memo, stop = kopf.OperatorRegistry(), kopf.Memo(), asyncio.Event()
    register_lifecycle(registry, app, stop)
    register_events(registry, app)
    await kopf.operator(
        registry=registry,
        settings=build_settings(app),
        namespaces=[app.settings.namespace],
        standalone=True,
        stop_flag=stop,
        memo=memo,
    )
    ended: asyncio.Task[None] = memo.running
    if not ended.cancelled():
        raise FatalError("the operator ended by itself") from ended.exception()


def quiet_kopf() -> None:
    """Kopf tells of each event that it was handled, with all its settings; the app tells itself what matters."""
    objects = logging.getLogger("kopf.objects")
    objects.setLevel(max(logging.WARNING, objects.getEffectiveLevel()))
    objects.addFilter(_without_settings)


def _without_settings(record: logging.LogRecord) -> bool:
    record.__dict__.pop("settings", None)
    return True


def build_settings(app: OperatorApp) -> kopf.OperatorSettings:
    """No peering, no Events of kopf's own, no rights on the cluster's scope; the API server filters for us."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.networking.error_backoffs = Unwearying()
    for resource in WATCHED:
        settings.watching.label_selectors[resource] = selector(owner_labels(app.settings.release))
    return settings
