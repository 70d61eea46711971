"""What the process tells over HTTP, and to whom."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot_core.store.database import Database
from bot_runtime.engine.board import FleetBoard
from bot_runtime.engine.progress import Progress
from bot_runtime.health import HealthServer
from support.bots import a_document, insert_bot
from support.postgres import free_port
from support.running import PACED, new_bot
from support.service import Service
from support.waiting import wait_until

TOKEN = "planted-token-Zq7"
LONG = "x" * 20_000
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[HealthServer]:
    values = {"unready": lambda: "bot 7: why", "host": "127.0.0.1", "port": 0, "stall_seconds": 60.0} | options
    server = HealthServer(FleetBoard(), Progress(), **values)
    await server.start()
    try:
        yield server
    finally:
        await server.aclose()


async def get(server: HealthServer, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, Any, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{server.port}{path}", headers=headers) as answer,
    ):
        text = answer.content_type != "application/json"
        return answer.status, await (answer.text() if text else answer.json()), answer.headers


async def test_with_a_token_states_and_figures_need_it_and_probes_tell_no_reason_without() -> None:
    async with serving(token=TOKEN) as server:
        for path in ("/status", "/metrics"):
            status, body, headers = await get(server, path)
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
            assert body == {"error": "needs `Authorization: Bearer TOKEN`"}
            assert (await get(server, path, BEARER))[0] == 200
            assert (await get(server, path, {"Authorization": f"bearer  {TOKEN} "}))[0] == 200
        assert (await get(server, "/healthz"))[:2] == (200, {"alive": True})
        assert (await get(server, "/readyz"))[:2] == (503, {"ready": False})
        assert (await get(server, "/readyz", BEARER))[1] == {"ready": False, "reason": "bot 7: why"}
        assert (await get(server, "/healthz", BEARER))[1] == {
            "alive": True,
            "stalled": {},
            "event_loop_blocked_seconds": 0.0,
        }


@pytest.mark.parametrize(
    "given",
    [f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer", "Bearer ", "", "Bearer \xe9\xff"],
)
async def test_what_is_not_the_token_opens_nothing(given: str) -> None:
    async with serving(token=TOKEN) as server:
        status, body, _ = await get(server, "/status", {"Authorization": given})
        assert status == 401
        assert TOKEN not in str(body)


async def test_without_a_token_web_pages_are_told_nothing_by_origin_or_by_a_name_that_points_here() -> None:
    async with serving() as server:
        assert (await get(server, "/status"))[0] == 200
        assert (await get(server, "/status", {"Host": f"localhost:{server.port}"}))[0] == 200
        assert (await get(server, "/status", {"Host": "[::1]:8080"}))[0] == 200
        for path in ("/status", "/metrics"):
            for header in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example:8080"}):
                status, body, _ = await get(server, path, header)
                assert status == 403
                assert "TRADINGBOT_HTTP_TOKEN" in body["error"]
        assert (await get(server, "/readyz", {"Host": "evil.example"}))[:2] == (503, {"ready": False})
    async with serving(host="0.0.0.0") as server:  # a pod is known by names that it can't know
        assert (await get(server, "/metrics", {"Host": "bot-7.trading.svc:8080"}))[0] == 200
        assert (await get(server, "/metrics", {"Origin": "https://evil.example"}))[0] == 403
    async with serving(token=TOKEN) as server:
        assert (await get(server, "/status", BEARER | {"Host": "bots.example.com", "Origin": "https://a.b"}))[0] == 200


async def test_answers_name_no_server_and_show_no_stack() -> None:
    def failing() -> Any:
        raise RuntimeError("inside of the process")

    async with serving(facts=failing) as server:
        asyncio.get_running_loop().set_debug(True)
        status, body, headers = await get(server, "/status")
        assert (status, body) == (500, {"error": "failed; the log says why"})
        assert headers["Cache-Control"] == "no-store"
        end = "Host: localhost\r\nConnection: close\r\n\r\n"
        lines = (
            "GET /nowhere HTTP/1.1",
            "POST /status HTTP/1.1",
            "rubbish",
            "GET /\xff HTTP/9",
            "GET / HTTP/1.1\r\nX:" + LONG,
        )
        answers = [str(headers), *[await raw(server, f"{line}\r\n{end}") for line in lines]]
    assert all(answers)
    for answer in answers:
        assert "aiohttp" not in answer
        assert "Python" not in answer
        assert "Traceback" not in answer
        assert "inside of the process" not in answer


async def raw(server: HealthServer, request: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request.encode("latin-1"))
    try:
        return (await asyncio.wait_for(reader.read(), 5)).decode("latin-1")
    finally:
        writer.close()


SECRETS = {
    "api_key": "planted-key-Kf93",
    "api_secret": "planted-secret-Kf93",
    "password": "planted-password-Kf93",
    "token": "planted-token-Kf93",
}


async def test_status_and_metrics_show_no_secret_wherever_a_row_holds_one(sqlite_url: str, tmp_path: Path) -> None:
    told = " ".join(f"{name}={value}" for name, value in SECRETS.items())
    url = "https://user:planted-in-url-Kf93@example.com"
    planted = {"broker": {"type": "paper", "trading_mode": "paper"} | SECRETS, "data": PACED | SECRETS}
    notifications = {"telegram": SECRETS, "webhook": url, "position_opened": True}
    named = await new_bot(sqlite_url, name=f"bot {told} {url}", notifications=notifications, **planted)
    values = {"symbol": f"x {told}", "strategy": {"type": told, "parameters": SECRETS | {"entry_logic": told}}}
    broken = await new_bot(sqlite_url, **values)
    database = Database(sqlite_url)
    described = await insert_bot(database, {key: value for key, value in a_document().items() if key != "name"})
    async with database.write() as connection:
        await connection.exec_driver_sql(
            "UPDATE trading_bots SET description = ?, extra_metadata = ? WHERE id = ?",
            (f"about {told} {url}", f'{{"last_error": "{told}", "token": "{SECRETS["token"]}"}}', described),
        )
    await database.aclose()
    with Service(tmp_path, sqlite_url, "serve") as service:
        service.wait_for_phase(named, "running")
        service.wait_for_phase(broken, "error")
        wait_until(lambda: service.bot(described).get("bars"), 20, "bars of the third bot")
        seen = "".join(str(service.get(path)[1]) for path in ("/status", "/metrics", "/readyz", "/healthz"))
        assert "bot api_key=***" in seen
        assert "about api_key=***" in seen
        assert service.stop() == 0
    everything = seen + service.log.read_text()
    assert [secret for secret in [*SECRETS.values(), "planted-in-url-Kf93"] if secret in everything] == []


async def test_serve_listens_on_this_machine_only_unless_told_otherwise_and_then_warns(
    sqlite_url: str, tmp_path: Path
) -> None:
    with Service(tmp_path, sqlite_url, "serve", HOST="") as service:
        wait_until(lambda: service.get("/readyz")[0] == 200, 30, "readiness", tell=service.log.read_text)
        assert listening(service.port) == {"127.0.0.1"}
        assert "http_open_to_all" not in service.log.read_text()
        shown = service.get("/status")[1]
        assert shown["version"]
        assert shown["started_at"].endswith("Z")
        assert (shown["database"]["state"], shown["halts"], shown["brokers"]) == ("up", [], [])
        assert set(shown["by_phase"].values()) == {0}
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    with (
        Service(tmp_path, sqlite_url, "serve", "--host", "0.0.0.0", HOST="127.0.0.1") as open_to_all,
        Service(tmp_path, sqlite_url, "serve", HOST="0.0.0.0", TRADINGBOT_HTTP_TOKEN_FILE=str(file)) as closed,
    ):
        for service in (open_to_all, closed):
            wait_until(lambda s=service: s.get("/readyz")[0] == 200, 30, "readiness", tell=service.log.read_text)
            assert listening(service.port) == {"0.0.0.0"}
        assert "http_open_to_all" in open_to_all.log.read_text()
        assert "http_open_to_all" not in closed.log.read_text()
        assert (open_to_all.get("/status")[0], closed.get("/status")[0]) == (200, 401)
        assert TOKEN not in closed.log.read_text()


def listening(port: int) -> set[str]:
    """The addresses that this machine listens on at this port."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    local = [fields[1].partition(":") for fields in lines if fields[3] == "0A"]
    found = [address for address, _, number in local if int(number, 16) == port]
    return {socket.inet_ntoa(bytes.fromhex(address)[::-1]) for address in found}


def test_a_free_port_is_listened_on_by_nobody() -> None:
    assert listening(free_port()) == set()
