"""OpenTelemetry traces as an option: one trace an order, from signal to commit, and one a comparison with the venue.

Nothing is imported and nothing is measured unless an endpoint is named in the environment. The id of an order's trace
is derived from its client order id, so that what happens to the order after a restart, or in another process, is in the
same trace. Spans are exported by a thread of the library; bots never wait for it.
"""

import asyncio
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import structlog
from structlog.contextvars import get_contextvars

from bot_core.logs import masked
from bot_core.models.errors import first_line

_log = structlog.get_logger(__name__)
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NOTHING: AbstractContextManager[None] = nullcontext()
_LAST_SECONDS = 3.0
_LOOK_SECONDS = 0.05
_BOUND = ("bot_id", "correlation_id")
#: The OpenTelemetry tracer while there is one. Its ids are drawn by `_Order.ids`.
_tracer: Any = None


def wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment names where traces are to be sent."""
    return any(environment.get(name) for name in _ENDPOINTS)


def span(name: str, **attributes: str) -> AbstractContextManager[Any]:
    """Measure a block, under whatever span is open. Costs next to nothing where there is no tracing."""
    return _NOTHING if _tracer is None else _span(name, attributes, None)


def order_span(name: str, client_order_id: str, **attributes: str) -> AbstractContextManager[Any]:
    """Measure something that is done about an order, in the order's own trace."""
    if _tracer is None:
        return _NOTHING
    return _span(name, attributes | {"client_order_id": client_order_id}, _context_of(client_order_id))


def order_journaled(client_order_id: str, began: int, **attributes: str) -> None:
    """Begin the trace of an order that is in the journal by now: the signal at `began` (of `now`), then the journal."""
    if _tracer is None:
        return
    from opentelemetry.context import Context  # noqa: PLC0415  # only where there is tracing

    about = _attributes(attributes | {"client_order_id": client_order_id})
    ended = now()
    _ids.next_root = client_order_id
    try:
        root = _tracer.start_span("signal", context=Context(), start_time=began, attributes=about)
    finally:
        _ids.next_root = None
    journal = _tracer.start_span("journal", context=_context_of(client_order_id), start_time=began, attributes=about)
    journal.end(ended)
    root.end(ended)


def now() -> int:
    """Nanoseconds since 1970, which is what spans begin and end at."""
    return time.time_ns()


class Tracing:
    """A companion: sets tracing up, and sends what is left when the process ends."""

    name = "tracing"

    async def run(self, stop: asyncio.Event) -> None:
        global _tracer  # noqa: PLW0603  # a process has one tracer, and code that traces must find it cheaply
        try:
            provider = await asyncio.to_thread(_provider)
        except ImportError as error:
            _log.error(
                "no_tracing", error=str(error), remedy="install tradingbot-operator[otel], or unset the endpoint"
            )
            return
        _tracer = provider.get_tracer("tradingbot", version("tradingbot-operator"))
        _log.info("tracing")
        try:
            await stop.wait()
        finally:
            _tracer = None
            await _sent(provider)


async def _sent(provider: Any) -> None:
    """Send what is left. A collector that hangs keeps no process from ending: the thread is left behind."""
    sending = threading.Thread(target=provider.shutdown, name="last-spans", daemon=True)
    sending.start()
    until = time.monotonic() + _LAST_SECONDS
    while sending.is_alive() and time.monotonic() < until:  # noqa: ASYNC110  # the end of a thread is no event
        await asyncio.sleep(_LOOK_SECONDS)
    if sending.is_alive():
        _log.warning("spans_lost", message="the collector did not take the last ones in time", seconds=_LAST_SECONDS)


class _Ids:
    """Ids of traces and spans: derived for the first span of an order, drawn for all others."""

    next_root: str | None = None

    def __init__(self) -> None:
        self.draw: Any = None

    def generate_span_id(self) -> int:
        return int(self.draw.generate_span_id() if self.next_root is None else _derived(self.next_root)[1])

    def generate_trace_id(self) -> int:
        return int(self.draw.generate_trace_id() if self.next_root is None else _derived(self.next_root)[0])

    def is_trace_id_random(self) -> bool:
        return True  # a hash is as evenly spread as a random number, which is what samplers ask for


_ids = _Ids()


def _provider() -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  # an extra
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415

    _ids.draw = RandomIdGenerator()
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "tradingbot"}
    resource = Resource.create(named | {"service.version": version("tradingbot-operator")})
    provider = TracerProvider(resource=resource, id_generator=_ids, shutdown_on_exit=False)  # type: ignore[arg-type]
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


@contextmanager
def _span(name: str, attributes: Mapping[str, str], context: Any) -> Iterator[Any]:
    # Not the library's own record of exceptions: their text is masked first.
    opened = _tracer.start_as_current_span(
        name,
        context=context,
        attributes=_attributes(attributes),
        record_exception=False,
        set_status_on_exception=False,
    )
    with opened as current:
        try:
            yield current
        except Exception as error:
            from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415  # only where there is tracing

            current.set_status(Status(StatusCode.ERROR, masked(f"{type(error).__name__}: {first_line(error)}")))
            raise


def _attributes(given: Mapping[str, str]) -> dict[str, Any]:
    bound = get_contextvars()
    return {name: bound[name] for name in _BOUND if name in bound} | {key: masked(text) for key, text in given.items()}


def _context_of(client_order_id: str) -> Any:
    """The context of the first span of an order, wherever and whenever that was made."""
    from opentelemetry.trace import (  # noqa: PLC0415  # only where there is tracing
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    trace_id, span_id = _derived(client_order_id)
    first = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return set_span_in_context(NonRecordingSpan(first))


def _derived(client_order_id: str) -> tuple[int, int]:
    digest = sha256(client_order_id.encode()).digest()
    return int.from_bytes(digest[:16]) or 1, int.from_bytes(digest[16:24]) or 1
