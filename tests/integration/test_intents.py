"""From a signal to the venue: one statement where nothing is in the way, and what is said where something is."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from bot_core.models.config import parse_config
from bot_core.models.errors import LeaseLostError
from bot_core.models.limit import LimitScope
from bot_core.schema import leases, orders, state
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.journal import OrderState
from bot_core.store.leases import LeaseStore
from bot_core.store.limits import LimitStore
from bot_runtime.domain.account import Account
from bot_runtime.domain.order import OrderIntent, OrderType, Purpose, Side, client_order_id
from bot_runtime.persistence.ledger import Ledger, Refused
from bot_runtime.persistence.snapshot import Snapshot
from support.bots import insert_bot
from support.counting_proxy import CountingProxy
from support.postgres import PostgresServer

AT = datetime(2024, 5, 1, tzinfo=UTC)
SNAPSHOT = Snapshot(AT, {"entry": {"state": {"n": 1}}}, Account(cash=Decimal(1000)), Decimal("1.5"))


async def a_ledger(database: Database) -> Ledger:
    bot_id = await insert_bot(database)
    row = await BotStore(database, actor="test").get(bot_id)
    store = LeaseStore(database, "pod:a")
    lease = await store.acquire(bot_id)
    assert row is not None
    assert lease is not None
    config = parse_config(row.config).config
    assert config is not None
    async with database.write() as connection:
        await connection.execute(insert(state).values(bot_id=bot_id, updated_at=AT))
    return Ledger(database, store, lease, row, config, "paper", "b-1")


def an_intent(ledger: Ledger, purpose: Purpose = Purpose.ENTRY, **changes: Any) -> OrderIntent:
    intent = OrderIntent(
        client_order_id=client_order_id(ledger.row.id, purpose, AT),
        purpose=purpose,
        side=Side.BUY if purpose is Purpose.ENTRY else Side.SELL,
        type=OrderType.MARKET,
        quantity=Decimal("2.5"),
        signal_time=AT,
        signal_price=Decimal("1.5"),
        reason="RSI",
    )
    return replace(intent, **changes)


async def journal(ledger: Ledger) -> list[tuple[str, str, Decimal, Decimal | None, int]]:
    columns = orders.c.client_order_id, orders.c.state, orders.c.quantity, orders.c.stop_price, orders.c.epoch
    async with ledger.database.read() as connection:
        return [tuple(row) for row in await connection.execute(select(*columns).order_by(orders.c.id))]


async def saved(ledger: Ledger) -> tuple[Any, ...]:
    async with ledger.database.read() as connection:
        return tuple((await connection.execute(select(state.c.cursor, state.c.rule_state))).one())


async def test_an_order_and_the_state_behind_it_are_journaled_together(database: Database) -> None:
    ledger = await a_ledger(database)
    intent = an_intent(ledger)
    assert await ledger.intend(intent, SNAPSHOT) == intent
    assert await journal(ledger) == [(intent.client_order_id, "intended", Decimal("2.5"), None, 1)]
    assert await saved(ledger) == (AT, SNAPSHOT.rule_state)
    assert await ledger.mark(intent.client_order_id, OrderState.OPEN, broker_order_id="7")
    assert not await ledger.mark(intent.client_order_id, OrderState.UNKNOWN)
    assert [one[1] for one in await journal(ledger)] == ["open"]


async def test_an_order_that_is_known_is_refused_and_one_that_came_to_nothing_gets_another_id(
    database: Database,
) -> None:
    ledger = await a_ledger(database)
    stop = an_intent(ledger, Purpose.PROTECTIVE, type=OrderType.STOP, stop_price=Decimal("1.25"))
    assert await ledger.intend(stop, SNAPSHOT) == stop
    refused = await ledger.intend(stop, replace(SNAPSHOT, rule_state={}))
    assert isinstance(refused, Refused)
    assert refused.known
    assert await saved(ledger) == (AT, SNAPSHOT.rule_state)
    assert await ledger.mark(stop.client_order_id, OrderState.CANCELED)
    again = await ledger.intend(stop, SNAPSHOT)
    assert isinstance(again, OrderIntent)
    assert again.client_order_id == f"{stop.client_order_id}-1"
    assert [one[1:4] for one in await journal(ledger)] == [
        ("canceled", Decimal("2.5"), Decimal("1.25")),
        ("intended", Decimal("2.5"), Decimal("1.25")),
    ]


@pytest.mark.parametrize("scope", LimitScope)
async def test_an_entry_is_measured_against_the_limits_that_concern_it_and_an_exit_is_not(
    database: Database, scope: LimitScope
) -> None:
    ledger = await a_ledger(database)
    target = {LimitScope.ALL: "", LimitScope.USER: str(ledger.row.user_id), LimitScope.ACCOUNT: "paper"}[scope]
    await LimitStore(database).set(scope, target, "paper", max_exposure=Decimal(1), by="ann")
    refused = await ledger.intend(an_intent(ledger), SNAPSHOT)
    assert isinstance(refused, Refused)
    assert not refused.known
    assert "max_exposure" in refused.reason
    assert await journal(ledger) == []
    assert isinstance(await ledger.intend(an_intent(ledger, Purpose.EXIT), SNAPSHOT), OrderIntent)


async def test_limits_of_others_do_not_concern_an_entry(database: Database) -> None:
    ledger = await a_ledger(database)
    store = LimitStore(database)
    await store.set(LimitScope.USER, str(ledger.row.user_id + 1), "paper", max_exposure=Decimal(1), by="ann")
    await store.set(LimitScope.ACCOUNT, "another", "paper", max_exposure=Decimal(1), by="ann")
    await store.set(LimitScope.ALL, "", "live", max_exposure=Decimal(1), by="ann")
    assert isinstance(await ledger.intend(an_intent(ledger), SNAPSHOT), OrderIntent)


async def test_a_process_that_lost_its_lease_journals_and_moves_nothing(database: Database) -> None:
    ledger = await a_ledger(database)
    stop = an_intent(ledger, Purpose.PROTECTIVE)
    await ledger.intend(stop, SNAPSHOT)
    await ledger.leases.release(ledger.lease)
    assert await LeaseStore(database, "pod:b").acquire(ledger.row.id) is not None
    with pytest.raises(LeaseLostError):
        await ledger.intend(an_intent(ledger), SNAPSHOT)
    with pytest.raises(LeaseLostError):
        await ledger.mark(stop.client_order_id, OrderState.OPEN)
    assert [one[1] for one in await journal(ledger)] == ["intended"]


async def test_a_bot_without_a_state_gets_one_with_its_first_order(database: Database) -> None:
    ledger = await a_ledger(database)
    async with database.write() as connection:
        await connection.execute(state.delete())
    assert isinstance(await ledger.intend(an_intent(ledger), SNAPSHOT), OrderIntent)
    assert await saved(ledger) == (AT, SNAPSHOT.rule_state)


@pytest.mark.postgres
async def test_journaling_and_moving_an_order_are_one_statement_and_one_round_trip_each(
    postgres: PostgresServer, postgres_url: str
) -> None:
    async with CountingProxy(postgres.port) as proxy:
        through = Database(postgres_url.replace(f":{postgres.port}/", f":{proxy.port}/"), pool_size=1)
        ledger = await a_ledger(through)
        for purpose in Purpose:
            intent = an_intent(ledger, purpose)
            before, said = proxy.round_trips, len(proxy.statements)
            await ledger.intend(intent, SNAPSHOT)
            assert (proxy.round_trips - before, len(proxy.statements) - said) == (1, 1), proxy.statements[said:]
            await ledger.mark(intent.client_order_id, OrderState.OPEN)
            assert (proxy.round_trips - before, len(proxy.statements) - said) == (2, 2), proxy.statements[said:]
        await through.aclose()


@pytest.mark.postgres
async def test_who_waits_for_a_lease_that_is_just_taken_journals_nothing(postgres_url: str) -> None:
    database = Database(postgres_url)
    ledger = await a_ledger(database)
    async with database.write() as connection:
        await connection.execute(update(leases).values(epoch=2, holder="pod:b"))
        journaling = asyncio.create_task(ledger.intend(an_intent(ledger), SNAPSHOT))
        done, _ = await asyncio.wait({journaling}, timeout=0.5)
        assert not done
    with pytest.raises(LeaseLostError):
        await journaling
    assert await journal(ledger) == []
    await database.aclose()
