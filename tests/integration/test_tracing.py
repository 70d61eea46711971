import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sqlalchemy import select

from bot_core.schema import orders
from bot_core.store.database import Database
from bot_runtime import tracing
from support.bots import a_document, insert_bot
from support.service import Service

PACED = {"data_source": "generated", "interval": "1h", "seed": 3, "speed": 40}


class Receiver:
    """What an OpenTelemetry collector hears over HTTP."""

    def __init__(self) -> None:
        self.port = 0
        self.service = ""
        self.spans: list[dict[str, Any]] = []

    async def take(self, request: web.Request) -> web.Response:
        sent = ExportTraceServiceRequest.FromString(await request.read())
        for resource in sent.resource_spans:
            about = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            self.service = about["service.name"]
            for scope in resource.scope_spans:
                self.spans += [self._span(span) for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")

    @staticmethod
    def _span(span: Any) -> dict[str, Any]:
        about = {
            pair.key: pair.value.string_value if pair.value.HasField("string_value") else pair.value.int_value
            for pair in span.attributes
        }
        ids = {"trace": span.trace_id.hex(), "id": span.span_id.hex(), "parent": span.parent_span_id.hex()}
        times = {"began": span.start_time_unix_nano, "ended": span.end_time_unix_nano}
        return {"name": span.name, "about": about} | ids | times

    def of_order(self, name: str) -> list[dict[str, Any]]:
        ids = {span["trace"] for span in self.spans if span["about"].get("client_order_id") == name}
        return sorted((span for span in self.spans if span["trace"] in ids), key=lambda span: span["began"])


@asynccontextmanager
async def a_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/v1/traces", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def filled(database: Database) -> list[dict[str, Any]]:
    async with database.read() as connection:
        query = select(orders).where(orders.c.state == "filled").order_by(orders.c.id)
        return [dict(row) for row in (await connection.execute(query)).mappings()]


async def test_an_order_is_one_trace_from_signal_to_commit_whose_ids_follow_from_its_name(
    sqlite_url: str, tmp_path: Path
) -> None:
    database = Database(sqlite_url)
    bot_id = await insert_bot(database, a_document(data=PACED))
    async with a_receiver() as receiver:
        told = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with Service(tmp_path, sqlite_url, "serve", **told) as service:
            async with asyncio.timeout(60):
                while len(await filled(database)) < 4 or not any(s["name"] == "commit" for s in receiver.spans):
                    await asyncio.sleep(0.2)
            assert await asyncio.to_thread(service.stop) == 0
        order = (await filled(database))[-1]  # its spans were sent when the process ended, at the latest
        spans = receiver.of_order(order["client_order_id"])
        assert receiver.service == "tradingbot"
        assert [span["name"] for span in spans if span["name"] != "journal"] == ["signal", "send", "fill", "commit"]
        by_name = {span["name"]: span for span in spans}
        assert len({span["trace"] for span in spans}) == 1
        root = by_name["signal"]
        assert root["parent"] == ""
        assert {by_name[name]["parent"] for name in ("journal", "send", "fill")} == {root["id"]}
        assert by_name["commit"]["parent"] == by_name["fill"]["id"]
        assert by_name["journal"]["ended"] <= by_name["send"]["began"]
        assert by_name["commit"]["ended"] <= by_name["fill"]["ended"]
        assert {(span["about"]["bot_id"], span["about"]["correlation_id"]) for span in spans} == {
            (bot_id, order["correlation_id"])
        }
        # The ids are those of the order's name: another process would add to the same trace.
        trace_id, span_id = tracing._derived(order["client_order_id"])
        assert (root["trace"], root["id"]) == (f"{trace_id:032x}", f"{span_id:016x}")
    await database.aclose()


async def test_a_collector_that_is_not_there_stops_nothing(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    await insert_bot(database, a_document(data=PACED))
    with Service(tmp_path, sqlite_url, "serve", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9") as service:
        async with asyncio.timeout(60):
            while len(await filled(database)) < 2:
                await asyncio.sleep(0.2)
        began = time.monotonic()
        assert await asyncio.to_thread(service.stop) == 0
        assert time.monotonic() - began < 10
    await database.aclose()


def test_without_an_endpoint_a_span_is_the_same_nothing_each_time() -> None:
    assert not tracing.wanted({})
    assert tracing.wanted({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"})
    assert tracing.span("reconcile") is tracing.order_span("send", "tb7-en-1")
