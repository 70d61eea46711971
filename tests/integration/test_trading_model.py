import asyncio
import shutil
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bot_core.models.halt import HaltScope
from bot_core.schema import orders
from bot_core.store import journal
from bot_core.store.database import Database
from bot_core.store.halts import HaltStore
from bot_core.store.journal import WORKING, OrderState
from bot_core.store.upgrade import upgrade
from bot_runtime import broker_manager
from bot_runtime.domain.order import OrderStatus, Purpose
from bot_runtime.engine import assembly, bookings, bot_engine, comparison, order_desk, restraint
from bot_runtime.engine.bookings import UnexplainedError
from bot_runtime.engine.bot_engine import BotEngine
from bot_runtime.engine.comparison import compare
from support.bookkeeper import Bookkeeping, bookkeeping
from support.bots import a_document, insert_bot
from support.postgres import PostgresServer
from support.processes import CURRENT, Fault, Process, ScriptedFeed, ScriptedGuard, ScriptedStrategy, World, all_rows
from support.scripted_venue import SETTLE_SECONDS, Clock, Reply, ScriptedVenue, VenueOrder

CASH = Decimal(10_000)
NEAR = Decimal("0.000001")
CANCELS = [r for r in Reply if r not in {Reply.SLOW_FLYING, Reply.CRASH_BEFORE, Reply.CRASH_FLYING, Reply.PAUSED}]
WHO = st.sampled_from("aaab")
STOPS = st.sampled_from([80, 70, 85, None])
REPLIES = st.lists(st.sampled_from([Reply.FILLED, Reply.FLYING, Reply.FLYING, *Reply]), max_size=2)
LOOKS = st.integers(0, 2)


def on_the_clock(clock: Clock) -> type[datetime]:
    return type("ScriptedDatetime", (datetime,), {"now": classmethod(lambda *_: clock.now)})


class Trading(RuleBasedStateMachine):
    """Two processes, one bot, a venue with manners; what the tables say is compared with a bookkeeper's sums."""

    def __init__(self, new_url: Callable[[], str]) -> None:
        super().__init__()
        self.patched = pytest.MonkeyPatch()
        self.runner = asyncio.Runner()
        self.url = new_url()
        self.unexplained = False
        self.late_and_open: set[str] = set()

    @initialize(base_fee=st.booleans(), limit_entries=st.booleans(), stop=st.booleans())
    def a_bot(self, *, base_fee: bool, limit_entries: bool, stop: bool) -> None:
        clock = Clock()
        self.venue = ScriptedVenue(clock, base_fee_rate=Decimal("0.001") if base_fee else Decimal(0))
        self.watcher = Database(self.url)
        document = a_document(trading={"order_type": "limit" if limit_entries else "market"})
        document["strategy"]["parameters"]["position_size"] = 0.5
        self.bot_id = self.run(insert_bot(self.watcher, document))
        self.world = World(self.url, self.bot_id, self.venue)
        self.world.stop = Decimal(80) if stop else None
        for module in (order_desk, bookings, comparison, bot_engine, restraint, journal):
            self.patched.setattr(module, "datetime", on_the_clock(clock))
        self.patched.setattr(broker_manager, "build_broker", lambda *_, **__: CURRENT[-1].broker())
        self.patched.setattr(assembly, "build_feed", lambda *_, **__: ScriptedFeed(self.world))
        self.patched.setattr(assembly, "build_strategy", lambda _config: ScriptedStrategy(self.world))
        self.patched.setattr(assembly, "RiskGuard", lambda *_, **__: ScriptedGuard(self.world))
        self.processes = {name: Process(self.world, f"process-{name}") for name in "ab"}
        self.processes["a"].other, self.processes["b"].other = self.processes["b"], self.processes["a"]
        self.run(self.processes["a"].start())

    def run(self, work: Awaitable[Any]) -> Any:
        return self.runner.run(work)

    # What processes do.

    @rule(who=WHO)
    def start(self, who: str) -> None:
        if self.processes[who].engine is None:
            self.step(self.processes[who], self.processes[who].start)

    @rule(who=WHO)
    def stand_still(self, who: str) -> None:
        self.run(self.processes[who].pause())

    @rule(who=WHO)
    def die(self, who: str) -> None:
        self.processes[who].crash()

    @rule(who=WHO, price=st.integers(90, 110), stop=STOPS, replies=REPLIES, looks=LOOKS)
    def take_a_bar_that_says_enter(self, who: str, **bar: Any) -> None:
        self.take_a_bar(who, "enter", **bar)

    @rule(who=WHO, price=st.integers(90, 110), stop=STOPS, replies=REPLIES, looks=LOOKS)
    def take_a_bar_that_says_exit(self, who: str, **bar: Any) -> None:
        self.take_a_bar(who, "exit", **bar)

    @rule(who=WHO, price=st.integers(90, 110), stop=STOPS, replies=REPLIES, looks=LOOKS)
    def take_a_bar_that_says_nothing(self, who: str, **bar: Any) -> None:
        self.take_a_bar(who, "", **bar)

    def take_a_bar(
        self, who: str, want: str, *, price: int, stop: int | None, replies: list[Reply], looks: int
    ) -> None:
        self.world.stop = None if stop is None else Decimal(stop)
        self.venue.submits.extend(replies)
        bar = self.world.next_bar(Decimal(price), want)
        self.act(who, lambda engine: engine.on_bar(bar))
        for _ in range(looks):
            self.venue.clock.pass_by(1)
            self.act(who, lambda engine: engine._desk.advance())

    @rule(who=WHO, times=st.integers(1, 2))
    def look_at_orders(self, who: str, times: int) -> None:
        for _ in range(times):
            self.act(who, lambda engine: engine._desk.advance())

    @rule(who=WHO)
    def compare_with_the_venue(self, who: str) -> None:
        self.act(who, lambda engine: engine._compare())

    @rule(who=WHO)
    def beat(self, who: str) -> None:
        self.act(who, lambda engine: engine._beat())

    @rule(who=WHO)
    def take_an_entry_back(self, who: str) -> None:
        async def withdraw(engine: BotEngine) -> None:
            pending = engine._kernel.pending
            if pending is not None and pending.purpose is Purpose.ENTRY:
                await engine._desk.withdraw(pending, "halted")

        self.act(who, withdraw)

    @rule(who=WHO, after=st.integers(0, 3), fault=st.sampled_from(Fault))
    def the_database_will_fail(self, who: str, after: int, fault: Fault) -> None:
        self.processes[who].database.faults = deque([None] * after + [fault])

    # What the venue does.

    @rule(replies=st.lists(st.sampled_from(CANCELS), min_size=1, max_size=2))
    def cancels_will_meet(self, replies: list[Reply]) -> None:
        self.venue.cancels = deque(replies)

    @precondition(lambda self: self.venue.open_orders)
    @rule(pick=st.integers(0, 3))
    def an_order_fills(self, pick: int) -> None:
        order = self.picked(pick)
        self.venue.fill(order, order.left)

    @precondition(lambda self: self.venue.open_orders)
    @rule(pick=st.integers(0, 3), part=st.sampled_from(["0.5", "0.3"]))
    def an_order_fills_in_part(self, pick: int, part: str) -> None:
        order = self.picked(pick)
        self.venue.fill(order, (order.left * Decimal(part)).quantize(Decimal("0.01")))

    @precondition(lambda self: self.venue.open_orders)
    @rule(pick=st.integers(0, 3))
    def the_venue_cancels(self, pick: int) -> None:
        self.venue.end(self.picked(pick))

    @precondition(lambda self: self.venue.flying)
    @rule(part=st.sampled_from(["0", "0.5", "1"]))
    def a_request_arrives(self, part: str) -> None:
        name, (intent, _) = next(iter(self.venue.flying.items()))
        self.venue.arrive(name, (intent.quantity * Decimal(part)).quantize(Decimal("0.01")))
        self.late_and_open |= self.venue.late & {name}

    @rule()
    def the_venue_goes_away(self) -> None:
        self.venue.away = True

    @rule(seconds=st.sampled_from([1, 6, 100]))
    def time_passes(self, seconds: int) -> None:
        self.venue.clock.pass_by(seconds)
        self.venue.away = False

    # What must hold.

    @invariant()
    def venue_and_tables_agree(self) -> None:
        assert self.venue.wrongs == []
        assert set(self.venue.orders) <= set(self.run(self.journaled())), "an order was sent before it was journaled"
        for process in self.processes.values():
            if process.engine is not None and not process.fenced and self.is_settled(process.engine):
                self.check_the_books()

    def teardown(self) -> None:
        try:
            if hasattr(self, "processes") and not self.unexplained:
                self.heal()
                self.check_the_books()
                assert self.venue.wrongs == []
        finally:
            self.patched.undo()
            for database in [p.database for p in getattr(self, "processes", {}).values()] + [self.watcher]:
                self.run(database.aclose())
            self.runner.close()

    def act(self, who: str, what: Callable[[BotEngine], Awaitable[Any]]) -> None:
        """Let a process do something; one that is gone comes back instead."""
        process = self.processes[who]
        self.step(process, process.start if process.engine is None else lambda: process.do(what))

    def step(self, process: Process, what: Callable[[], Awaitable[Any]]) -> None:
        """A fenced process changes nothing, whatever it tries. After what is unexplained nobody trades any more."""
        if self.unexplained:
            return
        fenced = process.engine is not None and process.fenced
        before = self.run(all_rows(self.watcher, self.bot_id)) if fenced else None
        try:
            self.run(what())
        except UnexplainedError:
            assert self.venue.late, "nothing at the venue is unexplained but what arrived late"
            self.unexplained = True
        if fenced:
            assert self.run(all_rows(self.watcher, self.bot_id)) == before, "a fenced process wrote"

    def picked(self, pick: int) -> VenueOrder:
        found = self.venue.open_orders
        return found[pick % len(found)]

    def is_settled(self, engine: BotEngine) -> bool:
        """Nothing is on its way, so the tables have no excuse. An order that came late is one until it was compared."""
        if self.unexplained or self.late_and_open or engine._kernel.pending is not None or engine._desk.unsure:
            return False
        stop = engine._kernel.protective
        resting = {order.intent.client_order_id for order in self.venue.open_orders}
        return resting == ({stop.client_order_id} if stop is not None else set())

    def heal(self) -> None:
        """Let every trouble end, start one process, and let it work until nothing moves any more."""
        self.venue.away = False
        self.venue.submits.clear()
        self.venue.cancels.clear()
        for name in list(self.venue.flying):
            self.venue.arrive(name)
        for process in self.processes.values():
            process.database.faults.clear()
            process.crash()
        self.run(self.processes["a"].expire())
        self.late_and_open.clear()
        process = self.processes["a"]
        for _ in range(12):
            self.venue.clock.pass_by(SETTLE_SECONDS + 1)
            for order in self.venue.open_orders:
                if order.intent.purpose is not Purpose.PROTECTIVE:
                    self.venue.fill(order, order.left)
            self.act("a", lambda engine: engine._desk.advance())
            self.act("a", lambda engine: compare(engine._desk))
            if self.unexplained:
                return
            if process.engine is not None and self.is_settled(process.engine):
                return
        pytest.fail(f"it does not come to rest: {process.engine and process.engine._desk.orders}, {self.venue}")

    async def journaled(self) -> dict[str, dict[str, Any]]:
        rows = await all_rows(self.watcher, self.bot_id)
        return {order["client_order_id"]: order for order in rows[orders.name]}

    def check_the_books(self) -> None:
        if self.unexplained:
            return
        rows = self.run(all_rows(self.watcher, self.bot_id))
        booked = {order["client_order_id"]: order["updated_at"] for order in rows["bot_orders"]}
        # One that came late counts from when it was adopted: it may have filled beside another position.
        in_turn = sorted(self.venue.orders, key=lambda name: (booked[name], name in self.venue.late))
        books = bookkeeping([self.venue.orders[name] for name in in_turn], CASH)
        self.check_money(rows, books)
        self.check_trades(rows, books)
        self.check_journal({order["client_order_id"]: order for order in rows["bot_orders"]})

    def check_money(self, rows: dict[str, Any], books: Bookkeeping) -> None:
        (bot,), (state,) = rows["bot"], rows["bot_state"]
        assert abs(Decimal(state["account"]["cash"]) - books.cash) < NEAR
        assert abs(bot["current_balance"] - books.balance) < NEAR
        assert abs(bot["total_pnl"] - books.realized) < NEAR
        held = state["account"]["position"]
        assert (held is None) is (books.open_deal is None)

    @staticmethod
    def check_trades(rows: dict[str, Any], books: Bookkeeping) -> None:
        found = rows["trading_trades"]
        assert [trade["status"] for trade in found] == ["closed" if deal.closed else "open" for deal in books.deals]
        for trade, position, deal in zip(found, rows["trading_positions"], books.deals, strict=True):
            assert trade["size"] == deal.bought
            assert abs(trade["entry_value"] - deal.paid) < NEAR
            assert position["status"] == trade["status"]
            assert position["qty_open"] == (0 if deal.closed else deal.held)
            if deal.closed:
                assert abs(trade["exit_value"] - deal.received) < NEAR
                assert abs(trade["net_pnl"] - deal.net) < NEAR

    def check_journal(self, journaled: dict[str, dict[str, Any]]) -> None:
        for name, order in self.venue.orders.items():
            row = journaled[name]
            if order.status is OrderStatus.OPEN:
                assert row["state"] == OrderState.OPEN
            else:
                assert row["state"] == (OrderState.FILLED if order.left == 0 else OrderState.CANCELED), name
                assert (row["filled_quantity"] or 0) == order.filled
        working = {name for name, row in journaled.items() if row["state"] in WORKING}
        assert working == {order.intent.client_order_id for order in self.venue.open_orders}


@pytest.fixture
def trading(sqlite_copies: Callable[[], str]) -> Iterator[Trading]:
    machine = Trading(sqlite_copies)
    machine.a_bot(base_fee=False, limit_entries=False, stop=False)
    yield machine
    machine.unexplained = True  # what is left is not to be healed
    machine.teardown()


def bar(want: str, *replies: Reply, looks: int = 0) -> dict[str, Any]:
    return {"want": want, "price": 100, "stop": None, "replies": list(replies), "looks": looks}


def test_an_entry_that_did_not_leave_is_not_sent_while_the_bot_is_halted(trading: Trading) -> None:
    trading.take_a_bar("a", **bar("enter", Reply.NOT_SENT))
    trading.venue.away = True
    trading.run(HaltStore(trading.watcher).halt(HaltScope.ALL, None, flatten=False, reason="panic", by="me"))
    trading.beat("a")
    trading.venue.away = False
    trading.look_at_orders("a", times=1)
    assert not trading.venue.orders


def test_an_entry_that_was_cut_short_is_not_sent_by_the_next_process_while_the_bot_is_halted(trading: Trading) -> None:
    trading.take_a_bar("a", **bar("enter", Reply.CRASH_BEFORE))
    trading.run(HaltStore(trading.watcher).halt(HaltScope.ALL, None, flatten=False, reason="panic", by="me"))
    trading.start("a")
    trading.venue.clock.pass_by(SETTLE_SECONDS + 1)
    trading.look_at_orders("a", times=1)
    assert not trading.venue.orders


def test_a_fill_that_shows_after_its_order_was_booked_as_canceled_is_not_booked_but_told(trading: Trading) -> None:
    trading.take_a_bar("a", **bar("enter", Reply.FILLED))
    trading.take_a_bar("a", **bar("exit"))
    (_, order) = trading.venue.orders.values()
    trading.venue.fill(order, Decimal(10))
    trading.venue.end(order)
    trading.look_at_orders("a", times=1)
    trading.venue.fill(order, Decimal(5))
    trading.venue.late.add(order.intent.client_order_id)
    trading.compare_with_the_venue("a")
    assert trading.unexplained


def test_a_late_fill_that_does_not_fit_is_refused_in_the_same_words_at_every_start(trading: Trading) -> None:
    trading.take_a_bar("a", **bar("enter", Reply.FLYING))
    name = next(iter(trading.venue.flying))
    trading.venue.clock.pass_by(100)
    trading.look_at_orders("a", times=1)
    trading.take_a_bar("a", **bar("enter", Reply.FILLED))
    trading.venue.arrive(name, Decimal(1))
    trading.venue.end(trading.venue.orders[name])
    trading.compare_with_the_venue("a")
    assert trading.unexplained
    with pytest.raises(UnexplainedError, match="appeared late at the venue"):
        trading.run(trading.processes["a"].start())


def check(new_url: Callable[[], str], *, examples: int, steps: int) -> None:
    options = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        print_blob=False,
    )
    run_state_machine_as_test(lambda: Trading(new_url), settings=options)


@pytest.fixture
def sqlite_copies(tmp_path: Path) -> Iterator[Callable[[], str]]:
    empty = tmp_path / "empty.db"
    upgrade(f"sqlite:///{empty}")
    made: list[Path] = []

    def copy() -> str:
        for old in made:
            for file in tmp_path.glob(f"{old.name}*"):
                file.unlink()
        made[:] = [tmp_path / "bots.db"]
        shutil.copy(empty, made[0])
        return f"sqlite:///{made[0]}"

    return copy


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_whatever_happens_tables_and_venue_agree_in_the_end(sqlite_copies: Callable[[], str]) -> None:
    check(sqlite_copies, examples=60, steps=40)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_whatever_happens_tables_and_venue_agree_in_the_end_on_postgresql(
    postgres: PostgresServer, migrated_template: str
) -> None:
    made: list[str] = []

    def clone() -> str:
        made.append(postgres.create_database(migrated_template))
        return postgres.url(made[-1])

    try:
        check(clone, examples=10, steps=30)
    finally:
        for name in made:
            postgres.drop_database(name)
