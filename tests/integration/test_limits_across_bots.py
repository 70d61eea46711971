import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, update

from bot_core.models.limit import EVERYBODY, LimitScope
from bot_core.schema import bots, orders, positions, state, trades
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_core.store.journal import OrderState, move, write_intent
from bot_core.store.limits import LimitStore, reserve
from support.bots import a_document, insert_bot

DAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ACCOUNT = "binance:bot-keys"
HUNDRED = Decimal(100)


def an_order(bot_id: int, name: str = "", **changes: Any) -> dict[str, Any]:
    order = {
        "bot_id": bot_id,
        "client_order_id": name or f"tb{bot_id}-en-1",
        "epoch": 1,
        "purpose": "entry",
        "side": "buy",
        "type": "market",
        "symbol": "ETHUSDT",
        "quantity": Decimal(2),
        "price": Decimal(50),
        "account": ACCOUNT,
        "bar_time": NOON,
    }
    return order | changes


async def journal(database: Database, bot_id: int, name: str = "", **changes: Any) -> None:
    async with database.write() as connection:
        await write_intent(connection, an_order(bot_id, name, **changes))


async def hold(database: Database, bot_id: int, value: str, mode: str = "live", status: str = "open") -> None:
    values = {"bot_id": bot_id, "trade_type": mode, "symbol": "ETHUSDT", "direction": "long", "status": status}
    async with database.write() as connection:
        await connection.execute(insert(positions).values(**values, qty_open=Decimal(2), avg_price=Decimal(value) / 2))


async def close(database: Database, bot_id: int, net: str, at: datetime = NOON, mode: str = "live") -> None:
    values = {
        "bot_id": bot_id,
        "trade_type": mode,
        "entry_logic_name": "A",
        "exit_logic_name": "B",
        "symbol": "ETHUSDT",
        "interval": "1h",
        "direction": "long",
        "status": "closed",
        "exit_time": at,
        "net_pnl": Decimal(net),
    }
    async with database.write() as connection:
        await connection.execute(insert(trades).values(values))


async def trade_with(database: Database, bot_id: int, account: str) -> None:
    async with database.write() as connection:
        await connection.execute(insert(state).values(bot_id=bot_id, broker_account=account, updated_at=NOON))


async def ask(
    database: Database, bot_id: int, value: Decimal = HUNDRED, *, account: str = ACCOUNT, mode: str = "live"
) -> str | None:
    row = await BotStore(database, actor="test").get(bot_id)
    assert row is not None
    async with database.write() as connection:
        return await reserve(
            connection, bot_id=bot_id, user_id=row.user_id, account=account, mode=mode, value=value, day=DAY
        )


async def limited(database: Database, scope: LimitScope, target: object, mode: str = "live", **values: Any) -> None:
    await LimitStore(database).set(scope, str(target), mode, by="test", **values)


async def insert_bot_of(database: Database, email: str) -> tuple[int, int]:
    store = BotStore(database, actor="test")
    user_id = await store.user(email)
    return await store.insert(a_document(), user_id), user_id


async def test_without_limits_every_entry_passes(database: Database) -> None:
    assert await ask(database, await insert_bot(database), Decimal(10**9)) is None


async def test_an_entry_may_reach_the_limit_and_not_exceed_it(database: Database) -> None:
    first, second = await insert_bot(database), await insert_bot(database)
    await limited(database, LimitScope.ALL, EVERYBODY, max_exposure=Decimal(1000))
    await hold(database, first, "650.5")
    await hold(database, first, "700", status="closed")
    await journal(database, first)
    assert await ask(database, second, Decimal("249.5")) is None
    assert await ask(database, second, Decimal("249.50000001")) == (
        "max_exposure of all bots (live) is 1000: 750.5 is held or on its way, "
        "an entry of 249.50000001 would exceed it by 0.00000001"
    )


@pytest.mark.parametrize("state_", [*OrderState])
async def test_an_entry_counts_for_as_long_as_the_venue_may_act_on_it(database: Database, state_: OrderState) -> None:
    first, second = await insert_bot(database), await insert_bot(database)
    await limited(database, LimitScope.ALL, EVERYBODY, max_exposure=Decimal(150))
    await journal(database, first, limit_price=Decimal(40))
    async with database.write() as connection:
        await connection.execute(update(orders).values(state=state_, filled_quantity=Decimal(1)))
    works = state_ in {OrderState.INTENDED, OrderState.SUBMITTED, OrderState.UNKNOWN, OrderState.OPEN}
    refusal = await ask(database, second)
    assert (refusal is not None) is works
    assert not works or "80 is held or on its way" in str(refusal)  # at the limit price, and all of it


async def test_exits_and_stops_on_their_way_take_nothing(database: Database) -> None:
    first, second = await insert_bot(database), await insert_bot(database)
    await limited(database, LimitScope.ALL, EVERYBODY, max_exposure=Decimal(100))
    await journal(database, first, "exit", purpose="exit", side="sell")
    await journal(database, first, "stop", purpose="protective", side="sell")
    assert await ask(database, second) is None


async def test_the_bot_that_asks_again_for_the_same_entry_is_not_in_its_own_way(database: Database) -> None:
    bot_id = await insert_bot(database)
    await limited(database, LimitScope.ALL, EVERYBODY, max_exposure=HUNDRED)
    await journal(database, bot_id)
    assert await ask(database, bot_id) is None


async def test_paper_and_live_are_apart(database: Database) -> None:
    first, second = await insert_bot(database), await insert_bot(database)
    await limited(database, LimitScope.ALL, EVERYBODY, max_exposure=Decimal(150), max_daily_loss=Decimal(10))
    await hold(database, first, "1000", mode="paper")
    await journal(database, first, account="paper")
    await journal(database, first, "no account", account=None)
    await close(database, first, "-500", mode="paper")
    assert await ask(database, second) is None
    await limited(database, LimitScope.ALL, EVERYBODY, "paper", max_exposure=Decimal(150))
    assert "1200 is held or on its way" in str(await ask(database, second, account="paper", mode="paper"))


async def test_a_limit_of_a_user_counts_the_bots_of_that_user(database: Database) -> None:
    (mine, me), (_, _), (theirs, _) = [
        await insert_bot_of(database, mail) for mail in ("me@x.org", "me@x.org", "you@x.org")
    ]
    also_mine, _ = await insert_bot_of(database, "me@x.org")
    await limited(database, LimitScope.USER, me, max_exposure=Decimal(150), max_daily_loss=Decimal(50))
    await hold(database, theirs, "500")
    await close(database, theirs, "-500")
    assert await ask(database, mine) is None
    await hold(database, also_mine, "60")
    assert str(await ask(database, mine)).startswith(f"max_exposure of user {me} (live) is 150: 60 is held")
    assert await ask(database, theirs) is None


async def test_a_limit_of_an_account_counts_the_bots_that_trade_with_it(database: Database) -> None:
    (one, _), (two, _), (three, _) = [await insert_bot_of(database, f"{name}@x.org") for name in "abc"]
    for bot_id, account in ((one, ACCOUNT), (two, ACCOUNT), (three, "ibkr:gateway")):
        await trade_with(database, bot_id, account)
    await limited(database, LimitScope.ACCOUNT, ACCOUNT, max_exposure=Decimal(150))
    await hold(database, three, "500")
    await journal(database, three, account="ibkr:gateway")
    assert await ask(database, one) is None
    await journal(database, two)
    assert str(await ask(database, one)).startswith(f"max_exposure of account {ACCOUNT} (live) is 150: 100 is held")
    assert await ask(database, three, account="ibkr:gateway") is None


@pytest.mark.parametrize(
    ("results", "refusal"),
    [
        ([("-49.99", NOON)], None),
        (
            [("-40", NOON), ("-22.5", NOON)],
            "max_daily_loss of all bots (live) is 50: 62.5 was lost on 2026-03-02 (UTC), 12.5 beyond it",
        ),
        ([("-80", NOON), ("31", NOON)], None),
        ([("-80", NOON - timedelta(hours=12, seconds=1))], None),
        ([("-80", NOON + timedelta(hours=12))], None),
        (
            [("-50", NOON - timedelta(hours=12))],
            "max_daily_loss of all bots (live) is 50: 50 was lost on 2026-03-02 (UTC), 0 beyond it",
        ),
    ],
)
async def test_what_the_bots_lost_on_the_utc_day_ends_their_day(
    database: Database, results: list[tuple[str, datetime]], refusal: str | None
) -> None:
    first, second = await insert_bot(database), await insert_bot(database)
    await limited(database, LimitScope.ALL, EVERYBODY, max_daily_loss=Decimal(50))
    for net, at in results:
        await close(database, first, net, at)
    assert await ask(database, second) == refusal


async def test_every_limit_that_applies_must_allow_it(database: Database) -> None:
    bot_id, user_id = await insert_bot_of(database, "me@x.org")
    await limited(database, LimitScope.ALL, EVERYBODY, max_exposure=Decimal(1000))
    await limited(database, LimitScope.USER, user_id, max_exposure=Decimal(500))
    await limited(database, LimitScope.ACCOUNT, ACCOUNT, max_exposure=Decimal(50))
    assert str(await ask(database, bot_id)).startswith(f"max_exposure of account {ACCOUNT}")
    assert await LimitStore(database).clear(LimitScope.ACCOUNT, ACCOUNT, "live")
    assert await ask(database, bot_id) is None
    assert str(await ask(database, bot_id, Decimal(600))).startswith("max_exposure of user")


async def test_limits_are_set_changed_listed_and_cleared(database: Database) -> None:
    store = LimitStore(database)
    await store.set(LimitScope.ALL, EVERYBODY, "live", max_exposure=HUNDRED, by="anna")
    await store.set(LimitScope.ALL, EVERYBODY, "live", max_daily_loss=Decimal(7), by="bert")
    (limit,) = await store.all()
    assert (limit.max_exposure, limit.max_daily_loss, limit.updated_by) == (HUNDRED, Decimal(7), "bert")
    assert await store.clear(LimitScope.ALL, EVERYBODY, "live")
    assert not await store.clear(LimitScope.ALL, EVERYBODY, "live")
    assert await store.all() == []


async def test_of_many_that_ask_at_once_no_more_pass_than_the_limits_allow(database_url: str) -> None:
    pools = [Database(database_url, pool_size=10) for _ in range(2)]  # as if they were two processes
    try:
        rows = [await insert_bot_of(pools[0], f"{number % 2}@x.org") for number in range(20)]
        # Several limits at once, of different bots: whoever takes them in another order than others would deadlock.
        await limited(pools[0], LimitScope.USER, rows[1][1], max_exposure=Decimal(10_000))
        await limited(pools[0], LimitScope.ALL, EVERYBODY, max_exposure=Decimal(500))
        await limited(pools[0], LimitScope.USER, rows[0][1], max_exposure=Decimal(10_000))
        await limited(pools[0], LimitScope.ACCOUNT, ACCOUNT, max_exposure=Decimal(10_000))

        async def enter(number: int) -> str | None:
            bot_id, user_id = rows[number]
            async with pools[number % 2].write() as connection:
                refusal = await reserve(
                    connection, bot_id=bot_id, user_id=user_id, account=ACCOUNT, mode="live", value=HUNDRED, day=DAY
                )
                if refusal is None:
                    await write_intent(connection, an_order(bot_id))
                return refusal

        answers = await asyncio.gather(*(enter(number) for number in range(20)))
        assert answers.count(None) == 5
        assert all("would exceed it by 100" in text for text in answers if text)
        async with pools[0].write() as connection:
            await move(connection, f"tb{rows[answers.index(None)][0]}-en-1", OrderState.CANCELED)
        late = [await enter(number) for number, answer in enumerate(answers) if answer]
        assert late.count(None) == 1
    finally:
        for pool in pools:
            await pool.aclose()


async def test_a_rolled_back_entry_takes_nothing(database: Database) -> None:
    first, second = await insert_bot(database), await insert_bot(database)
    await limited(database, LimitScope.ALL, EVERYBODY, max_exposure=HUNDRED)

    async def fails() -> None:
        async with database.write() as connection:
            row = {"bot_id": first, "user_id": 1, "account": ACCOUNT, "mode": "live", "value": HUNDRED, "day": DAY}
            assert await reserve(connection, **row) is None
            await write_intent(connection, an_order(first))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails()
    assert await ask(database, second) is None


async def test_a_bot_that_is_deleted_takes_its_exposure_with_it(database: Database) -> None:
    first, second = await insert_bot(database), await insert_bot(database)
    await limited(database, LimitScope.ALL, EVERYBODY, max_exposure=HUNDRED)
    await hold(database, first, "100")
    assert await ask(database, second) is not None
    async with database.write() as connection:
        await connection.execute(bots.delete().where(bots.c.id == first))
    assert await ask(database, second) is None
