"""One sequence each that would cost money, or leave it without protection."""

from collections import deque
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update

from bot_core.models.bot import BotStatus
from bot_core.models.halt import HaltScope
from bot_core.models.operation import OnStop
from bot_core.schema import bots, orders
from bot_core.store import journal
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.halts import HaltStore
from bot_runtime import broker_manager
from bot_runtime.domain.order import Purpose
from bot_runtime.engine import assembly, bot_engine, comparison, order_desk, restraint
from bot_runtime.engine.order_desk import UnexplainedError
from support.bots import a_document, insert_bot
from support.exchange.server import Exchange
from support.live_bot import insert_live_bot, live_bot, process_of, stand_at, use_exchange
from support.live_world import a_live_document
from support.processes import CURRENT, Fault, Process, ScriptedFeed, ScriptedGuard, ScriptedStrategy, World
from support.running import PACED, running
from support.scripted_venue import SETTLE_SECONDS, Clock, Reply, ScriptedBroker, ScriptedVenue, VenueOrder


def on_the_clock(clock: Clock) -> type[datetime]:
    return type("ScriptedDatetime", (datetime,), {"now": classmethod(lambda _cls, _tz=None: clock.now)})


class Guard(ScriptedGuard):
    reduced = ""


class Bench:
    """One process at a scripted venue, on bars of one hour and on a clock of its own."""

    def __init__(self, url: str, bot_id: int, venue: ScriptedVenue) -> None:
        self.venue, self.bot_id = venue, bot_id
        self.world = World(url, bot_id, venue)
        self.process = Process(self.world, "process-a")
        self.database = Database(url)

    @property
    def engine(self) -> Any:
        assert self.process.engine is not None
        return self.process.engine

    async def bar(self, want: str = "", price: int = 100) -> None:
        bar = self.world.next_bar(Decimal(price), want)
        await self.process.do(lambda engine: engine.on_bar(bar))

    async def enter(self) -> None:
        self.world.stop = Decimal(80)
        self.venue.submits = deque([Reply.FILLED])
        await self.bar("enter")
        assert self.engine._kernel.account.position is not None
        assert self.stops

    async def halt(self, *, flatten: bool = False) -> None:
        await HaltStore(self.database).halt(HaltScope.ALL, None, flatten=flatten, reason="", by="test")

    async def beat(self) -> None:
        await self.process.do(lambda engine: engine._beat())

    async def turn(self) -> None:
        await self.process.do(lambda engine: engine._due())

    @property
    def stops(self) -> list[VenueOrder]:
        return [o for o in self.venue.open_orders if o.intent.purpose is Purpose.PROTECTIVE]


@pytest.fixture
async def bench(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[Bench]:
    clock = Clock()
    venue = ScriptedVenue(clock)
    database = Database(sqlite_url)
    document = a_document(trading={"order_type": getattr(request, "param", "market")})
    document["strategy"]["parameters"]["position_size"] = 0.5
    bot_id = await insert_bot(database, document)
    found = Bench(sqlite_url, bot_id, venue)
    for module in (order_desk, comparison, bot_engine, restraint, journal):
        monkeypatch.setattr(module, "datetime", on_the_clock(clock))
    monkeypatch.setattr(broker_manager, "build_broker", lambda *_, **__: CURRENT[-1].broker())
    monkeypatch.setattr(assembly, "build_feed", lambda *_, **__: ScriptedFeed(found.world))
    monkeypatch.setattr(assembly, "build_strategy", lambda _config: ScriptedStrategy(found.world))
    monkeypatch.setattr(assembly, "RiskGuard", lambda *_, **__: Guard(found.world))
    await found.process.start()
    yield found
    await database.aclose()
    await found.database.aclose()
    found.process.database.faults.clear()
    await found.process.database.aclose()


async def test_a_halted_bot_sends_no_entry_again(bench: Bench) -> None:
    bench.venue.submits = deque([Reply.FLYING])
    await bench.bar("enter")
    bench.venue.flying.clear()  # the request was lost on its way
    await bench.halt()
    await bench.beat()  # the halt is known, and obeyed as far as can be: the entry may still arrive
    assert bench.engine._board.halted
    bench.venue.clock.pass_by(SETTLE_SECONDS + 1)
    bench.venue.submits = deque([Reply.FILLED])
    await bench.process.do(lambda engine: engine._desk.advance())  # the next look, long before the next heartbeat
    assert not bench.venue.orders, "a halted bot bought"


async def test_a_restarted_bot_that_is_halted_sends_no_entry_of_the_last_process(bench: Bench) -> None:
    bench.venue.submits = deque([Reply.CRASH_BEFORE])
    await bench.bar("enter")
    assert bench.process.engine is None
    await bench.halt()
    await bench.process.start()
    assert bench.engine._board.halted
    bench.venue.clock.pass_by(SETTLE_SECONDS + 1)
    await bench.turn()
    assert not bench.venue.orders, "a halted bot bought"


async def test_a_bot_that_is_being_stopped_sends_no_entry_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.venue.submits = deque([Reply.FLYING])
    await bench.bar("enter")
    bench.venue.flying.clear()
    find = ScriptedBroker.find

    async def slow(self: ScriptedBroker, name: str) -> Any:
        bench.venue.clock.pass_by(2)  # the answer takes its time
        return await find(self, name)

    monkeypatch.setattr(ScriptedBroker, "find", slow)
    bench.venue.clock.pass_by(SETTLE_SECONDS - 1)
    await bench.process.do(lambda engine: engine.wind_down(OnStop.CANCEL))
    assert not bench.venue.orders, "a bot that is being stopped bought"


async def test_a_database_that_goes_away_costs_no_position_its_stop(bench: Bench) -> None:
    await bench.enter()
    bench.process.database.faults = deque([Fault.AWAY_BEFORE] * 1000)
    bench.world.stop = Decimal(85)  # the trailing stop moves up
    await bench.bar(price=106)
    assert bench.stops, "the stop was withdrawn, and nothing replaces it until the database is back"


async def test_a_stop_that_the_venue_refuses_does_not_cost_the_one_that_rests(bench: Bench) -> None:
    await bench.enter()
    bench.world.stop = Decimal(85)
    bench.venue.submits = deque([Reply.REJECTED])  # such as: it would trigger immediately
    await bench.bar(price=106)
    await bench.turn()
    exits = [o for o in bench.venue.orders.values() if o.intent.purpose is Purpose.EXIT]
    assert bench.stops or exits, "neither stop nor exit until the next bar"


async def test_an_exit_of_a_halt_that_is_rejected_leaves_the_position_protected(bench: Bench) -> None:
    await bench.enter()
    await bench.halt(flatten=True)
    bench.venue.submits = deque([Reply.REJECTED])
    await bench.beat()
    await bench.turn()
    assert bench.engine._kernel.account.position is not None
    assert bench.stops, "a rejected exit left the position without a stop until the next bar"


async def test_an_exit_of_a_halt_is_tried_for_as_long_as_the_venue_rejects_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restraint, "_LONGEST_TRY", 0.0)
    await bench.enter()
    await bench.halt(flatten=True)
    for _ in range(60):  # heartbeats
        bench.venue.submits = deque([Reply.REJECTED])
        await bench.beat()
        bench.venue.submits.clear()
    bench.venue.submits = deque([Reply.FILLED])
    await bench.beat()
    assert bench.engine._kernel.account.position is None


@pytest.mark.parametrize("bench", ["limit"], indirect=True)
async def test_a_halt_that_withdraws_a_part_filled_entry_protects_the_part(bench: Bench) -> None:
    bench.world.stop = Decimal(80)
    bench.venue.submits = deque([Reply.PART])
    await bench.bar("enter")
    await bench.halt()
    await bench.beat()
    await bench.turn()
    assert bench.engine._kernel.account.position is not None
    assert bench.stops, "what had filled stays without a stop until the next bar"


async def test_a_fill_that_the_comparison_finds_is_protected(bench: Bench) -> None:
    bench.world.stop = Decimal(80)
    bench.venue.submits = deque([Reply.DONE])
    await bench.bar("enter")
    (entry,) = bench.venue.open_orders
    bench.venue.fill(entry, entry.left)
    await bench.process.do(lambda engine: engine._compare())
    await bench.turn()
    assert bench.engine._kernel.account.position is not None
    assert bench.stops, "a position stays without a stop until the next bar"


async def test_one_question_without_an_answer_is_no_order_that_has_vanished(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Venues answer from replicas: just after a good answer, an order may be unknown for a second."""
    await bench.enter()
    find = ScriptedBroker.find
    answers = deque([None])

    async def lagging(self: ScriptedBroker, name: str) -> Any:
        return answers.popleft() if answers else await find(self, name)

    monkeypatch.setattr(ScriptedBroker, "find", lagging)
    try:
        await bench.process.do(lambda engine: engine._desk.advance())
    except UnexplainedError as error:
        pytest.fail(f"a healthy bot ends: {error}")


async def test_what_was_not_to_be_adopted_is_said_again_at_the_next_start(bench: Bench) -> None:
    bench.venue.submits = deque([Reply.FLYING])
    await bench.bar("enter")
    bench.venue.clock.pass_by(100)
    await bench.process.do(lambda engine: engine._desk.advance())  # given up: too late
    await bench.enter()
    name = next(iter(bench.venue.flying))
    bench.venue.arrive(name, Decimal(10))
    with pytest.raises(UnexplainedError):
        await bench.process.do(lambda engine: engine._compare())
    database = bench.database
    async with database.read() as connection:
        state = await connection.scalar(select(orders.c.state).where(orders.c.client_order_id == name))
    assert state == "canceled", f"the journal was changed for an order that was not adopted: {state}"
    with pytest.raises(UnexplainedError):
        await bench.process.start()


async def test_an_exit_that_a_part_filled_stop_overtook_sells_the_rest(bench: Bench) -> None:
    await bench.enter()
    bench.venue.cancels = deque([Reply.PART])  # half of the stop fills before its cancel arrives
    await bench.bar("exit")
    await bench.turn()
    kernel = bench.engine._kernel
    exits = [o for o in bench.venue.orders.values() if o.intent.purpose is Purpose.EXIT]
    assert kernel.account.position is None or exits, "the exit signal is lost for what is left"


@pytest.mark.parametrize("simulation", [{"partial_fill_probability": 1.0}, {"latency_ms": 500}])
async def test_a_paper_bot_with_an_imperfect_venue_can_be_flattened(
    sqlite_url: str, simulation: dict[str, Any]
) -> None:
    database = Database(sqlite_url)
    document = a_document(
        data=PACED,
        on_stop="flatten",
        broker={"type": "paper", "trading_mode": "paper", "cash": 10000.0, "simulation": simulation},
    )
    document["strategy"]["parameters"]["exit_logic"] = {"name": "TimeBasedExitMixin", "params": {"x_max_bars": 10000}}
    bot_id = await insert_bot(database, document)
    async with running(sqlite_url, drain_seconds=0.5) as seen:

        async def holds() -> bool:
            board = seen.fleet.bots.get(bot_id)
            return board is not None and board.to_json().get("position") is not None

        await seen.until(holds, "a position")
        await BotStore(database, actor="test").request(bot_id, BotStatus.STOPPING)
        seen.manager.wake()

        async def stopped() -> bool:
            return (await seen.row(bot_id)).status == "stopped"

        await seen.until(stopped, "the stop", 6)
    await database.aclose()


async def test_a_stop_is_by_the_policy_of_the_document_that_asks_for_it(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_bot(sqlite_url, monkeypatch, document=a_live_document(hold_bars=10_000, on_stop="cancel")) as bot:
        await bot.protected()
        async with bot.database.write() as connection:
            document = await connection.scalar(select(bots.c.config).where(bots.c.id == bot.bot_id))
            values = {"config": {**document, "enabled": False, "on_stop": "flatten"}}
            await connection.execute(update(bots).where(bots.c.id == bot.bot_id).values(values))
        bot.seen.manager.wake()
        await bot.seen.until_status(bot.bot_id, "stopped")
        assert await bot.closed_trades(), "the row said flatten, the position is kept"


async def test_a_stop_of_a_row_that_turned_invalid_is_by_the_last_good_document(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Exchange() as exchange:
        use_exchange(exchange, monkeypatch)
        stand_at(exchange, 50_000)
        bot_id = await insert_live_bot(sqlite_url, a_live_document(hold_bars=10_000, on_stop="flatten"))
        async with process_of(sqlite_url, exchange, bot_id) as bot:
            await bot.protected()
            await bot.seen.manager._instances[bot_id].kill()
        database = Database(sqlite_url)
        async with database.write() as connection:
            document = await connection.scalar(select(bots.c.config).where(bots.c.id == bot_id))
            values = {"config": {**document, "symbol": 7, "data": "nonsense"}, "status": "stopping"}
            await connection.execute(update(bots).where(bots.c.id == bot_id).values(values))
        await database.aclose()
        async with process_of(sqlite_url, exchange, bot_id) as bot:
            await bot.seen.until_status(bot_id, "stopped")
            assert not await bot.open_positions(), "it says stopped, and the position was never flattened"


async def test_a_comparison_does_not_ask_for_the_fills_of_every_order_of_the_day(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_bot(sqlite_url, monkeypatch, document=a_live_document(hold_bars=1)) as bot:
        await bot.until(lambda: len(bot.at_venue("SELL", kind="MARKET", status="FILLED")) >= 2, "some trades", 90)
        await HaltStore(bot.database).halt(HaltScope.ALL, None, flatten=True, reason="", by="test")
        await bot.until(lambda: bot.board["halted"], "a halt")

        async def flat() -> bool:
            return not await bot.open_positions()

        await bot.until(flat, "a flat bot")
        listed = bot.exchange.requests.count("GET /api/v3/allOrders")
        fills = bot.exchange.requests.count("GET /api/v3/myTrades")
        await bot.until(lambda: bot.exchange.requests.count("GET /api/v3/allOrders") >= listed + 3, "comparisons")
        asked = bot.exchange.requests.count("GET /api/v3/myTrades") - fills
        assert asked <= 3, f"{asked} questions for fills by 3 comparisons of a bot that stands still"
