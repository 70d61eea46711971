"""Every fault in every state of a trade, with a live bot as a process of its own at the stand-in exchange.

Afterwards venue and tables agree, and each client order id has exactly one order at the venue.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot_core.store.database import Database
from support.bots import insert_bot
from support.exchange.server import ExchangeProcess
from support.live_world import LiveWorld, a_live_document, disagreements
from support.postgres import PostgresServer

ORDER = "POST /api/v3/order"
FAULTS = ("kill_nine", "sigterm", "database_down", "exchange_down", "timeout_after_accept", "disconnect")
STATES = ("flat", "entry_intended", "entry_submitted", "partially_filled", "in_position", "exit_submitted")
AWAY_SECONDS = 3.0


@dataclass
class Cell:
    world: LiveWorld
    server: PostgresServer
    database: str
    bot_id: int
    service: Any

    def venue(self, action: str, **body: Any) -> None:
        self.world.exchange.admin(action, **body)

    def halt(self, *, flatten: bool = False) -> None:
        self.world.rows(
            "INSERT INTO bot_halts (scope, target_id, flatten, created_by, reason, created_at) "
            "VALUES ('bot', :bot, :flatten, 'test', 'test', now())",
            bot=self.bot_id,
            flatten=flatten,
        )

    def resume(self) -> None:
        self.world.rows("UPDATE bot_halts SET cleared_at = now() WHERE cleared_at IS NULL")

    def wait(self, condition: Callable[[], Any], what: str) -> None:
        self.world.wait(condition, what)

    def journal(self, **wanted: str) -> list[dict[str, Any]]:
        return self.world.orders(self.bot_id, **wanted)

    def at_venue(self, side: str, kind: str = "MARKET") -> bool:
        return any(o["side"] == side and o["type"] == kind for o in self.world.venue_orders(self.bot_id))


def reach_flat(cell: Cell) -> None:
    cell.wait(lambda: cell.service.bot(cell.bot_id).get("halted"), "a halted bot")


def reach_entry_intended(cell: Cell) -> None:
    cell.venue("fault", kind="error_before", endpoint=ORDER, times=None, status=429, code=-1003, message="too many")
    cell.resume()
    cell.wait(lambda: cell.journal(purpose="entry", state="intended"), "an entry that could not be sent")


def reach_entry_submitted(cell: Cell) -> None:
    cell.venue("fault", kind="timeout_after", endpoint=ORDER)
    cell.resume()
    cell.wait(lambda: cell.at_venue("BUY"), "an entry whose answer is outstanding")


def reach_partially_filled(cell: Cell) -> None:
    cell.venue("plan", parts=["0.4", "0.6"])
    cell.resume()
    cell.wait(
        lambda: [o for o in cell.journal(purpose="entry", state="open") if o["filled_quantity"]], "a partial fill"
    )


def reach_in_position(cell: Cell) -> None:
    cell.resume()
    cell.wait(lambda: cell.world.holds(cell.bot_id) and cell.at_venue("SELL", "STOP_LOSS"), "a protected position")


def reach_exit_submitted(cell: Cell) -> None:
    cell.venue("fault", kind="timeout_after", endpoint=ORDER, skip=2)  # the entry and its stop pass
    cell.resume()
    cell.wait(lambda: cell.at_venue("SELL"), "an exit whose answer is outstanding")


def kill_nine(cell: Cell) -> None:
    cell.service.kill()
    cell.service = cell.world.start()


def sigterm(cell: Cell) -> None:
    assert cell.service.stop(signal.SIGTERM) == 0
    cell.service = cell.world.start()


def database_down(cell: Cell) -> None:
    cell.server.execute(f"ALTER DATABASE {cell.database} ALLOW_CONNECTIONS false")
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
    cell.server.execute(f"{others}'{cell.database}'")
    time.sleep(AWAY_SECONDS)
    cell.server.execute(f"ALTER DATABASE {cell.database} ALLOW_CONNECTIONS true")
    cell.world.engine.dispose()


def exchange_down(cell: Cell) -> None:
    cell.venue("down", seconds=AWAY_SECONDS)
    time.sleep(AWAY_SECONDS + 0.5)


def timeout_after_accept(cell: Cell) -> None:
    cell.venue("fault", kind="timeout_after", endpoint=ORDER)


def disconnect(cell: Cell) -> None:
    cell.venue("fault", kind="reset_after", endpoint=ORDER)
    cell.venue("fault", kind="reset_before", endpoint="GET /api/v3/order")
    cell.world.market(drop=True)


def heal(cell: Cell) -> None:
    """Let a whole trade be made after the fault, whatever is planned; then end the trades and wait for quiet."""
    cell.venue("advance")
    cell.resume()
    wanted = len(cell.journal(purpose="exit", state="filled")) + 1
    cell.wait(lambda: len(cell.journal(purpose="exit", state="filled")) >= wanted, "another whole trade")
    cell.venue("clear")
    cell.halt(flatten=True)
    cell.wait(lambda: cell.service.bot(cell.bot_id).get("halted"), "a halted bot")
    working = ("intended", "submitted", "unknown", "open")
    cell.wait(
        lambda: not cell.world.holds(cell.bot_id) and not any(o["state"] in working for o in cell.journal()), "quiet"
    )


REACH = {state: globals()[f"reach_{state}"] for state in STATES}
STRIKE = {fault: globals()[fault] for fault in FAULTS}


def run_cell(folder: Path, postgres: PostgresServer, template: str, fault: str, state: str) -> list[str]:
    name = postgres.create_database(template)
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(postgres.drop_database, name)
        url = postgres.url(name)
        exchange = cleanup.enter_context(ExchangeProcess())
        world = LiveWorld(folder, url, exchange)
        cleanup.callback(world.close)
        cell = Cell(world, postgres, name, asyncio.run(_insert(url)), None)
        cell.halt()
        cell.service = world.start()
        cell.wait(lambda: cell.service.bot(cell.bot_id).get("phase") == "running", "a running bot")
        REACH[state](cell)
        refused = state == "entry_intended"
        if refused and fault in {"timeout_after_accept", "disconnect"}:
            cell.venue("clear")  # or the fault would never come to strike
        STRIKE[fault](cell)
        if refused and fault not in {"timeout_after_accept", "disconnect"}:
            cell.venue("clear")
        heal(cell)
        return disagreements(world, cell.bot_id)


async def _insert(url: str) -> int:
    database = Database(url)
    try:
        return await insert_bot(database, a_live_document())
    finally:
        await database.aclose()


@pytest.fixture(scope="module")
def outcomes(
    postgres: PostgresServer, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, str], "asyncio.Future[list[str]]"]]:
    """All cells, some at a time: most of a cell's time is waiting."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    with ThreadPoolExecutor(max_workers=6) as pool:
        yield {
            (fault, state): pool.submit(
                run_cell, tmp_path_factory.mktemp(f"{fault}-{state}"), postgres, migrated_template, fault, state
            )
            for fault in FAULTS
            for state in STATES
        }  # type: ignore[misc]
        pool.shutdown(cancel_futures=True)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("fault", FAULTS)
def test_venue_and_tables_agree_after(outcomes: Any, fault: str, state: str) -> None:
    assert outcomes[(fault, state)].result(timeout=600) == []
