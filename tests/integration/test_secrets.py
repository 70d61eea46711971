"""Planted secrets, and every place where people and programs look: none of them may ever be there."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import MetaData, select

from support.exchange.server import API_KEY, API_SECRET, ExchangeProcess
from support.live_bot import insert_live_bot
from support.live_world import LiveWorld, a_live_document
from support.postgres import PostgresServer
from support.service import Service

ORDER = "POST /api/v3/order"
WRONG_SECRET = "planted-wrong-secret-Lm81"


@pytest.fixture(params=["json", "text"])
def world(request: pytest.FixtureRequest, postgres_url: str, tmp_path: Path) -> Iterator[LiveWorld]:
    tests = str(Path(__file__).parents[1])
    leaks = {"LEAKS": str(tmp_path), "PYTHONPATH": tests}
    logs = {"LOG_LEVEL": "DEBUG", "LOG_FORMAT": str(request.param)}
    with ExchangeProcess() as exchange:
        world = LiveWorld(tmp_path, postgres_url, exchange, **leaks, **logs)
        try:
            yield world
        finally:
            world.close()


class Search:
    """`look` after each thing that happens: some of what can be seen is there for a moment only."""

    def __init__(self, world: LiveWorld, bot_id: int, secrets: list[str]) -> None:
        self.world, self.bot_id = world, bot_id
        self.secrets = {text for secret in secrets for text in (secret, quote(secret, safe=""))}
        self.found: list[str] = []
        self.events: set[str] = set()

    def see(self, where: str, text: str) -> None:
        assert text
        self.found += [f"{secret} in {where}" for secret in self.secrets if secret in text]

    def look(self, service: Service) -> None:
        for path in ("/status", "/metrics", "/healthz", "/readyz"):
            self.see(path, str(service.get(path)[1]))
        self.see("ps", Path(f"/proc/{service.process.pid}/cmdline").read_text())

    def look_at_all_that_stays(self) -> None:
        for service in self.world.services:
            self.see(service.log.name, service.log.read_text())
        tables = MetaData()
        tables.reflect(self.world.engine)
        with self.world.engine.begin() as connection:
            for table in tables.sorted_tables:
                for row in connection.execute(select(table)).mappings():
                    self.see(table.name, json.dumps(dict(row), default=str))
        for command in (["bots", "show"], ["bots", "events"], ["bots", "trades"]):
            self.see(" ".join(command), self.command_line(*command, str(self.bot_id)))
        self.see("bots list", self.command_line("bots", "list"))

    def command_line(self, *arguments: str) -> str:
        environment = os.environ | {"DATABASE_URL": self.world.url} | self.world.environment
        command = [sys.executable, "-m", "bot_runtime", *arguments]
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.postgres
def test_planted_secrets_are_found_nowhere(world: LiveWorld, postgres: PostgresServer) -> None:
    bot_id = asyncio.run(insert_live_bot(world.url, a_live_document(hold_bars=2)))
    search = Search(world, bot_id, [API_KEY, API_SECRET, WRONG_SECRET, postgres.password])
    service = world.start(module="support.leaky_bot")
    world.wait(lambda: world.orders(bot_id, purpose="exit", state="filled"), "a whole trade")
    search.look(service)
    for fault in FAULTS:
        world.exchange.admin("fault", **fault)
        world.wait(lambda: not world.exchange.state()["faults"], f"a request that meets {fault}")
        search.look(service)
        world.wait(lambda: goes_on(world, service, bot_id), f"a bot that goes on after {fault}")
    for name in ("sign", "loop"):
        leak = world.folder / name
        leak.touch()
        world.wait(lambda leak=leak: not leak.exists(), f"an error in {name}")
        world.wait(lambda: goes_on(world, service, bot_id), "a bot that goes on")
        search.look(service)
    a_refused_key(world, search, service, bot_id)
    a_key_that_is_wrong(world, search, bot_id)
    search.look_at_all_that_stays()
    assert search.found == []
    assert_all_of_it_happened(world, bot_id)


#: What each comes to in the end is the matter of other tests.
FAULTS = [
    {"kind": "error_before", "endpoint": ORDER, "status": 400, "code": -2010, "message": "Account has no balance."},
    {"kind": "error_before", "endpoint": ORDER, "status": 400, "code": -1022, "message": "Signature is not valid."},
    {"kind": "error_before", "endpoint": ORDER, "status": 503},
    {"kind": "malformed_after", "endpoint": ORDER},
    {"kind": "reset_before", "endpoint": ORDER},
    {"kind": "timeout_after", "endpoint": ORDER},
    {"kind": "reset_before", "endpoint": "GET /api/v3/order"},
    {"kind": "error_before", "endpoint": "GET /api/v3/allOrders", "status": 500},
]


def goes_on(world: LiveWorld, service: Service, bot_id: int) -> bool:
    """Whether the bot trades; one that gave up is started again."""
    if status(world, bot_id) == "error":
        world.rows("UPDATE trading_bots SET status = 'starting' WHERE id = :bot", bot=bot_id)
    bot = service.bot(bot_id)
    return bool(bot.get("phase") == "running" and not bot["venue_trouble"])


def a_refused_key(world: LiveWorld, search: Search, service: Service, bot_id: int) -> None:
    """The venue refuses a key that was good a moment ago, which it does to those that ask too much as well."""
    refusal = {"status": 401, "code": -2015, "message": "Invalid API-key, IP, or permissions for action."}
    world.exchange.admin("fault", kind="error_before", endpoint="*", times=None, **refusal)
    world.wait(
        lambda: service.bot(bot_id)["venue_trouble"] or status(world, bot_id) == "error", "a bot that tells of it"
    )
    search.look(service)
    world.exchange.admin("clear")
    assert service.stop() == 0


def a_key_that_is_wrong(world: LiveWorld, search: Search, bot_id: int) -> None:
    world.environment["BOT_KEYS_API_SECRET"] = WRONG_SECRET
    world.rows("UPDATE trading_bots SET status = 'starting' WHERE id = :bot", bot=bot_id)
    service = world.start(module="support.leaky_bot")
    world.wait(lambda: service.bot(bot_id).get("phase") == "error", "a bot with a wrong key")
    search.look(service)
    assert service.stop() == 0


def status(world: LiveWorld, bot_id: int) -> str:
    return str(world.rows("SELECT status FROM trading_bots WHERE id = :bot", bot=bot_id)[0]["status"])


def assert_all_of_it_happened(world: LiveWorld, bot_id: int) -> None:
    """Else there would have been nothing to find."""
    told = "\n".join(str(row) for row in world.rows("SELECT kind, message FROM bot_events WHERE bot_id = :b", b=bot_id))
    logs = "\n".join(service.log.read_text() for service in world.services)
    assert "X-MBX-APIKEY" in told
    assert "Account has no balance" in told
    assert "refused the key" in told
    assert "Traceback (most recent call last)" in logs
    assert "leaky_bot.py" in logs
    assert "***" in logs
    assert world.rows("SELECT id FROM msg_messages WHERE message_type = 'error'")
