"""Kopf's settings and its run, again and again. It must not know what the app does.

What kopf says are hints, so its end costs nothing but haste: the sweeps go on, and it is started anew.
"""

import asyncio
import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping

import kopf
import structlog

from bot_core.models.errors import first_line
from bot_core.store.listen import backoff_seconds
from bot_operator.app import OperatorApp
from bot_operator.handlers.events import WATCHED, Wake, register_events
from bot_operator.handlers.login import register_login
from bot_operator.handlers.memory import NoMemory
from bot_operator.naming import owner_labels, selector
from bot_operator.settings import OperatorSettings

_LONG = 300.0
_END_SECONDS = 5.0
_log = structlog.get_logger(__name__)


class Unwearying:
    """Seconds between attempts without an end: kopf's own would give up, and the process with it, after a minute.

    Kopf asks for the next pause before each attempt: each but the first says that one has failed.
    """

    def __init__(self, on_failure: Callable[[], None] = lambda: None) -> None:
        self._on_failure = on_failure

    def __iter__(self) -> Iterator[float]:
        yield 1
        for pause in itertools.chain((1, 2, 3, 5, 8, 13), itertools.repeat(20)):
            self._on_failure()
            yield pause


async def watch_cluster(app: OperatorApp) -> None:
    """Keep kopf running until cancelled, whatever ends it."""
    quiet_kopf()
    loop, failures = asyncio.get_running_loop(), 0
    while True:
        began = loop.time()
        error = await _one_run(app)
        failures = 1 if loop.time() - began > _LONG else failures + 1
        app.metrics.watch_restarted("watcher")
        _log.warning("watching_ended", error=first_line(error) if error else "it ended by itself", retry=failures)
        await asyncio.sleep(backoff_seconds(failures))
        app.watcher.wake(None)  # what happened meanwhile was not seen


async def _one_run(app: OperatorApp) -> BaseException | None:
    """Run kopf in a thread until it ends, or until cancelled; what it ended by."""
    loop, stop = asyncio.get_running_loop(), threading.Event()
    ended: asyncio.Future[BaseException | None] = loop.create_future()

    def wake(labels: Mapping[str, str], name: str) -> None:
        _call(loop, app.wake, dict(labels), name)

    def live() -> None:
        error: BaseException | None = None
        try:
            asyncio.run(_kopf(app, stop, wake))
        except BaseException as caught:  # noqa: BLE001  # told, and started anew
            error = caught
        _call(loop, _settle, ended, error)

    threading.Thread(target=live, name="kopf", daemon=True).start()
    try:
        return await asyncio.shield(ended)
    finally:
        stop.set()
        if not ended.done():
            await asyncio.wait([ended], timeout=_END_SECONDS)


async def _kopf(app: OperatorApp, stop: threading.Event, wake: Wake) -> None:
    registry = kopf.OperatorRegistry()
    register_login(registry)
    register_events(registry, app.settings.release, wake)
    try:
        await kopf.operator(
            registry=registry,
            settings=build_settings(app.settings, lambda: app.metrics.watch_restarted("request")),
            namespaces=[app.settings.namespace],
            standalone=True,
            stop_flag=stop,
        )
    finally:
        stop.set()  # a thread of kopf's waits for it
        await connections_ended()


async def connections_ended(limit: float = 2) -> bool:
    """Wait, `limit` seconds at most, for this loop's TLS connections: aiohttp says "closed" some time before they are.

    Those that outlive their loop stay open until the process ends.
    """
    loop = asyncio.get_running_loop()
    transports: Mapping[int, asyncio.BaseTransport] = getattr(loop, "_transports", {})  # asyncio has no other list
    until = loop.time() + limit
    while any(item.get_extra_info("socket").fileno() >= 0 for item in list(transports.values())):
        if loop.time() >= until:
            return False
        await asyncio.sleep(0.01)
    return True


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: object) -> None:
    """Call in the loop of the app, if it still turns."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)


def _settle(ended: "asyncio.Future[BaseException | None]", error: BaseException | None) -> None:
    if not ended.done():
        ended.set_result(error)


def quiet_kopf() -> None:
    """Kopf tells of each event that it was handled, with all its settings; the app tells itself what matters."""
    objects = logging.getLogger("kopf.objects")
    objects.setLevel(max(logging.WARNING, objects.getEffectiveLevel()))
    objects.addFilter(_without_settings)
    # It wonders why it runs in a thread.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)


def _without_settings(record: logging.LogRecord) -> bool:
    record.__dict__.pop("settings", None)
    return True


def build_settings(settings: OperatorSettings, on_failure: Callable[[], None]) -> kopf.OperatorSettings:
    """No peering, no Events of kopf's own, no rights on the cluster's scope; the API server filters for us."""
    ours = kopf.OperatorSettings()
    ours.posting.enabled = False
    ours.scanning.disabled = True
    ours.persistence.diffbase_storage = NoMemory()
    ours.networking.error_backoffs = Unwearying(on_failure)
    ours.process.ultimate_exiting_timeout = None  # it would kill the process
    for resource in WATCHED:
        ours.watching.label_selectors[resource] = selector(owner_labels(settings.release))
    return ours
