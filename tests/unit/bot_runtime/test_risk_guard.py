import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot_core.models.operation import SchedulingConfig
from bot_core.models.risk import RiskConfig, TradingConfig
from bot_runtime.domain.account import Account
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.position import Direction, Position
from bot_runtime.domain.trade import Trade
from bot_runtime.risk.guard import RiskGuard
from bot_runtime.risk.refusal import Refusal

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CASH = Decimal(10_000)


def a_guard(risk: dict[str, Any] | None = None, trading: dict[str, Any] | None = None, **more: Any) -> RiskGuard:
    scheduling = SchedulingConfig.model_validate(more.pop("scheduling", {}))
    return RiskGuard(
        RiskConfig.model_validate(risk or {}), TradingConfig.model_validate(trading or {}), scheduling, CASH, **more
    )


def a_position(price: str = "100", quantity: str = "1", at: datetime = NOON) -> Position:
    return Position(Direction.LONG, Decimal(quantity), Decimal(price), at, at, Decimal(0), "signal")


def a_trade(net: str, at: datetime = NOON) -> Trade:
    exit_price = Decimal(1000) + Decimal(net)
    return Trade(
        Direction.LONG, Decimal(1), at, at, Decimal(1000), "signal", at, exit_price, "atr_stop", commission=Decimal(0)
    )


def a_bar(close: float, at: datetime = NOON) -> Bar:
    return Bar(at, close, close, close, close, 1.0)


def holding(position: Position, cash: Decimal = CASH) -> Account:
    return Account(cash - position.quantity * position.entry_price, position)


def book(guard: RiskGuard, account: Account, net: str, at: datetime = NOON) -> None:
    """One trade from entry to exit."""
    guard.opened(a_position(at=at))
    account.cash += Decimal(net)
    guard.closed(a_trade(net, at), account)


def closes(guard: RiskGuard, position: Position, *prices: float) -> list[str | None]:
    """What the guard says on each close, in the order in which the kernel asks."""
    account = holding(position)
    told = []
    for price in prices:
        guard.on_bar(a_bar(price), account)
        told.append(guard.exit(a_bar(price), position))
    return told


@pytest.mark.parametrize(
    ("risk", "price", "close", "expected"),
    [
        ({"stop_loss_pct": 5}, "100", 95.01, None),
        ({"stop_loss_pct": 5}, "100", 95.0, "stop_loss"),
        ({"stop_loss_pct": 10}, "1", 0.9, "stop_loss"),  # not 0.90000000000000002220
        ({"stop_loss_pct": 5, "stop_loss_enabled": True}, "100", 94.0, "stop_loss"),
        ({"stop_loss_pct": 5, "stop_loss_enabled": False}, "100", 1.0, None),
        ({"stop_loss_enabled": True}, "100", 1.0, None),
        ({"stop_loss_pct": 0}, "100", 100.0, "stop_loss"),
        ({"stop_loss_pct": 0}, "100", 100.01, None),
        ({"stop_loss_pct": 100}, "100", 0.01, None),
        ({"take_profit_pct": 10}, "100", 109.99, None),
        ({"take_profit_pct": 10}, "100", 110.0, "take_profit"),
        ({"take_profit_pct": 10}, "0.1", 0.11, "take_profit"),
        ({"take_profit_pct": 10, "take_profit_enabled": False}, "100", 500.0, None),
        ({"trailing_stop": True, "trailing_stop_pct": 2}, "100", 98.0, "trailing_stop"),
        ({"trailing_stop": True, "trailing_stop_pct": 2}, "100", 98.01, None),
        ({"trailing_stop": False, "trailing_stop_pct": 2}, "100", 50.0, None),
        ({"trailing_stop": True}, "100", 50.0, None),
        ({"trailing_stop": True, "trailing_stop_pct": 2, "trailing_stop_activation_pct": 3}, "100", 50.0, None),
        ({"trailing_stop": True, "trailing_stop_pct": 2, "stop_loss_pct": 1}, "100", 98.5, "stop_loss"),
    ],
)
def test_a_position_is_left_on_the_close_that_reaches_its_price(
    risk: dict[str, Any], price: str, close: float, expected: str | None
) -> None:
    guard = a_guard(risk)
    position = a_position(price)
    guard.opened(position)
    assert closes(guard, position, close) == [expected]


@pytest.mark.parametrize(
    ("activation", "prices", "expected"),
    [
        (None, [110.0, 104.51, 104.5], [None, None, "trailing_stop"]),
        (10, [109.99, 104.0, 110.0, 104.5], [None, None, None, "trailing_stop"]),
        (10, [110.0, 95.1, 95.0], [None, "trailing_stop", "trailing_stop"]),
        (20, [119.0, 96.0, 95.0], [None, None, "stop_loss"]),
    ],
)
def test_the_trailing_stop_follows_the_highest_close_once_it_is_active(
    activation: int | None, prices: list[float], expected: list[str | None]
) -> None:
    risk = {
        "stop_loss_pct": 5,
        "trailing_stop": True,
        "trailing_stop_pct": 5,
        "trailing_stop_activation_pct": activation,
    }
    guard = a_guard(risk)
    position = a_position()
    guard.opened(position)
    assert closes(guard, position, *prices) == expected


def test_the_protective_stop_is_the_higher_of_both_and_only_ever_rises() -> None:
    guard = a_guard({"stop_loss_pct": 3, "trailing_stop": True, "trailing_stop_pct": 5})
    position = a_position()
    guard.opened(position)
    seen = []
    for close in (100.0, 102.0, 104.0, 101.0, 120.0, 90.0):
        guard.on_bar(a_bar(close), holding(position))
        seen.append((guard.stop_price(position), guard.stop_reason(position)))
    assert seen == [
        (Decimal("97.00"), "stop_loss"),
        (Decimal("97.00"), "stop_loss"),
        (Decimal("98.80"), "trailing_stop"),
        (Decimal("98.80"), "trailing_stop"),
        (Decimal("114.00"), "trailing_stop"),
        (Decimal("114.00"), "trailing_stop"),
    ]


def test_no_protective_stop_is_wanted_where_none_can_rest() -> None:
    position = a_position()
    assert a_guard({"take_profit_pct": 5}).stop_price(position) is None
    assert a_guard({"stop_loss_pct": 100}).stop_price(position) is None
    assert (
        a_guard({"trailing_stop": True, "trailing_stop_pct": 5, "trailing_stop_activation_pct": 1}).stop_price(position)
        is None
    )


def test_the_next_position_has_a_high_of_its_own() -> None:
    guard = a_guard({"trailing_stop": True, "trailing_stop_pct": 10})
    first, second = a_position(), a_position("100", at=NOON + timedelta(hours=1))
    guard.opened(first)
    assert closes(guard, first, 200.0, 180.0) == [None, "trailing_stop"]
    guard.closed(a_trade("80"), Account(CASH))
    guard.opened(second)
    assert closes(guard, second, 100.0, 95.0, 90.0) == [None, None, "trailing_stop"]


def test_a_partial_exit_keeps_the_high() -> None:
    guard = a_guard({"trailing_stop": True, "trailing_stop_pct": 10})
    position = a_position(quantity="2")
    guard.opened(position)
    closes(guard, position, 200.0)
    rest = replace(position, exited=Decimal(1), exit_value=Decimal(180))
    assert closes(guard, rest, 181.0, 180.0) == [None, "trailing_stop"]


@pytest.mark.parametrize(
    ("risk", "trading", "quantity", "admitted", "limit"),
    [
        ({"max_position_size": 1000}, {}, "10", "10", ""),
        ({"max_position_size": 1000}, {}, "10.00000001", "10", "max_position_size"),
        ({"max_position_size": 333}, {}, "10", "3.33", "max_position_size"),
        ({"max_position_size": 1}, {}, "10", "0.01", "max_position_size"),
        ({}, {"max_exposure": 1.0}, "100", "100", ""),
        ({}, {"max_exposure": 0.5}, "50", "50", ""),
        ({}, {"max_exposure": 0.5}, "60", "50", "max_exposure"),
        ({}, {"max_exposure": 2}, "100", "100", ""),
        ({"max_portfolio_risk": 0.02, "stop_loss_pct": 5}, {}, "40", "40", ""),
        ({"max_portfolio_risk": 0.02, "stop_loss_pct": 5}, {}, "41", "40", "max_portfolio_risk"),
        ({"max_portfolio_risk": 0.02}, {}, "100", "100", ""),
        ({"max_portfolio_risk": 0.02, "stop_loss_pct": 0}, {}, "100", "100", ""),
        ({"max_portfolio_risk": 0.02, "trailing_stop": True, "trailing_stop_pct": 4}, {}, "60", "50", "max_portfolio"),
        ({"max_position_size": 2000}, {"max_exposure": 0.1}, "60", "10", "max_exposure"),
        ({}, {"max_positions": 1}, "60", "60", ""),
    ],
)
def test_an_entry_is_reduced_to_what_the_strictest_limit_allows(
    risk: dict[str, Any], trading: dict[str, Any], quantity: str, admitted: str, limit: str
) -> None:
    guard = a_guard(risk, trading)
    assert guard.admit(Decimal(quantity), Decimal(100), NOON, Account(CASH)) == Decimal(admitted)
    assert guard.reduced.startswith(limit)
    assert bool(guard.reduced) == bool(limit)


@pytest.mark.parametrize(
    ("risk", "trading", "message"),
    [
        (
            {"max_position_size": 0},
            {},
            "max_position_size 0 allows an entry of 0;",
        ),
        (
            {},
            {"max_exposure": 0},
            "max_exposure 0 of equity 10000 allows an entry of 0;",
        ),
    ],
)
def test_an_entry_of_which_nothing_is_left_is_refused(
    risk: dict[str, Any], trading: dict[str, Any], message: str
) -> None:
    refusal = a_guard(risk, trading).admit(Decimal(1), Decimal(100), NOON, Account(CASH))
    assert isinstance(refusal, Refusal)
    assert str(refusal) == f"{message} this one is worth 100, 100 more, and what is allowed buys nothing at 100"


def test_buying_power_leaves_room_for_the_commission_and_is_asked_for_by_name() -> None:
    everything = (Decimal(100), Decimal(100), NOON, Account(CASH))
    assert a_guard().admit(*everything) == 100
    guard = a_guard(buying_power=True, commission=Decimal("0.001"))
    admitted = guard.admit(*everything)
    assert admitted == Decimal("99.90009990")
    assert Decimal(100) * admitted * Decimal("1.001") <= CASH
    assert guard.reduced == (
        "free cash of 10000 less commission allows an entry of 9990.00999001; "
        "this one is worth 10000, 9.99000999 more: 100 reduced to 99.9000999"
    )


def test_a_bot_holds_one_position_whatever_max_positions_says() -> None:
    refusal = a_guard({}, {"max_positions": 3}).admit(Decimal(1), Decimal(100), NOON, holding(a_position()))
    assert refusal == Refusal("max_positions", "a bot holds one position at a time, and it is open")


def admits(guard: RiskGuard, account: Account, at: datetime = NOON) -> str:
    """The limit that refuses a small entry, or nothing."""
    answer = guard.admit(Decimal("0.1"), Decimal(100), at, account)
    return answer.limit if isinstance(answer, Refusal) else ""


def test_entries_are_counted_by_the_utc_day_of_their_fill() -> None:
    guard, account = a_guard({"max_daily_trades": 2}), Account(CASH)
    late = NOON.replace(hour=23, minute=55)
    book(guard, account, "1")
    assert admits(guard, account) == ""
    book(guard, account, "1")
    refusal = guard.admit(Decimal(1), Decimal(100), late, account)
    assert str(refusal) == (
        "max_daily_trades is 2: 2 entries were made on 2026-03-02 (UTC), one more would be 1 too many"
    )
    midnight = late + timedelta(minutes=5)
    assert admits(guard, account, midnight) == ""
    book(guard, account, "1", midnight)
    # A bar that began before midnight is evaluated after a fill of the new day: it does not bring the old day back.
    assert admits(guard, account, late) == ""
    book(guard, account, "1", midnight)
    assert admits(guard, account, midnight) == "max_daily_trades"


@pytest.mark.parametrize(
    ("limit", "results", "refused"),
    [
        (50, ["-49.99"], False),
        (50, ["-50"], True),
        (50, ["-80", "30.01"], False),
        (50, ["-80", "30"], True),
        (0, [], False),
        (0, ["1"], False),
        (0, ["-0.01"], True),
    ],
)
def test_a_net_loss_of_the_day_that_reaches_its_limit_ends_the_day(
    limit: int, results: list[str], refused: bool
) -> None:
    guard, account = a_guard({"max_daily_loss": limit}), Account(CASH)
    for net in results:
        book(guard, account, net)
    assert admits(guard, account) == ("max_daily_loss" if refused else "")
    assert admits(guard, account, NOON + timedelta(hours=12)) == ""


def test_the_refusal_after_a_daily_loss_says_by_how_much() -> None:
    guard, account = a_guard({"max_daily_loss": 50}), Account(CASH)
    book(guard, account, "-61.2")
    assert str(guard.admit(Decimal(1), Decimal(100), NOON, account)) == (
        "max_daily_loss is 50: 61.2 was lost on 2026-03-02 (UTC), 11.2 beyond it; no entry for the rest of the day"
    )


def test_a_drawdown_counts_from_the_highest_equity_and_stands_until_the_limit_is_raised() -> None:
    guard, account = a_guard({}, {"max_drawdown_pct": 20}), Account(CASH)
    book(guard, account, "2500")
    book(guard, account, "-2499.99")
    assert admits(guard, account) == ""
    book(guard, account, "-0.01")
    tomorrow = NOON + timedelta(days=30)
    assert admits(guard, account, tomorrow) == "max_drawdown_pct"
    book(guard, account, "-125")
    assert str(guard.admit(Decimal(1), Decimal(100), tomorrow, account)) == (
        "max_drawdown_pct is 20: equity 9875 is 21.00 % below its peak of 12500, 1.00 % beyond it; "
        "no entry until the limit is raised"
    )
    raised = a_guard({}, {"max_drawdown_pct": 25})
    raised.load_state(guard.dump_state())
    assert admits(raised, account, tomorrow) == ""


def test_an_open_position_counts_at_its_cost_in_the_drawdown() -> None:
    guard = a_guard({}, {"max_drawdown_pct": 1})
    half_sold = replace(a_position("1000", "8"), exited=Decimal(4), exit_value=Decimal(4000))
    guard.closed(a_trade("100"), Account(CASH + 100 - 4000, half_sold))
    assert guard.dump_state()["peak"] == "10100"


@pytest.mark.parametrize(
    ("risk", "trading", "scheduling", "watches", "limits_entries"),
    [
        ({}, {}, {}, False, False),
        ({"stop_loss_enabled": True, "trailing_stop": True}, {"max_positions": 1, "leverage": 1}, {}, False, False),
        ({"stop_loss_pct": 5}, {}, {}, True, False),
        ({"stop_loss_pct": 5, "stop_loss_enabled": False}, {}, {}, False, False),
        ({"take_profit_pct": 5}, {}, {}, True, False),
        ({"trailing_stop": True, "trailing_stop_pct": 5}, {}, {}, True, False),
        ({"max_daily_trades": 5}, {}, {}, False, True),
        ({"max_daily_loss": 0}, {}, {}, False, True),
        ({"max_portfolio_risk": 0.5}, {}, {}, False, True),
        ({"max_position_size": 5}, {}, {}, False, True),
        ({}, {"max_exposure": 1}, {}, False, True),
        ({}, {"max_drawdown_pct": 0}, {}, False, True),
        ({}, {}, {"enabled": True}, False, True),
        ({}, {}, {"enabled": False, "start_time": "09:00"}, False, False),
    ],
)
def test_a_guard_with_nothing_to_guard_need_not_be_asked(
    risk: dict[str, Any], trading: dict[str, Any], scheduling: dict[str, Any], watches: bool, limits_entries: bool
) -> None:
    guard = a_guard(risk, trading, scheduling=scheduling)
    assert (guard.watches, guard.limits_entries) == (watches, limits_entries)


def test_entries_outside_the_window_are_refused_with_the_window() -> None:
    guard = a_guard(
        scheduling={"enabled": True, "start_time": "09:00", "end_time": "12:00", "trading_days": ["monday"]}
    )
    assert admits(guard, Account(CASH), NOON - timedelta(minutes=1)) == ""
    assert str(guard.admit(Decimal(1), Decimal(1), NOON, Account(CASH))) == (
        "scheduling allows entries on monday from 09:00 to 12:00 UTC only"
    )


RULES: dict[str, Any] = {
    "stop_loss_pct": 20,
    "trailing_stop": True,
    "trailing_stop_pct": 10,
    "max_daily_trades": 2,
    "max_daily_loss": 100,
}


def test_a_guard_goes_on_after_a_restart_at_any_point_as_if_it_had_not_stopped() -> None:
    def restarted(guard: RiskGuard) -> RiskGuard:
        new = a_guard(RULES, {"max_drawdown_pct": 30})
        new.load_state(json.loads(json.dumps(guard.dump_state())))
        assert new.dump_state() == guard.dump_state()
        return new

    def run(step: Any) -> list[Any]:
        guard, account, told = step(a_guard(RULES, {"max_drawdown_pct": 30})), Account(CASH), []
        for hour, net in ((0, "-60.123456789"), (2, "-39.9"), (14, "5")):
            at = NOON + timedelta(hours=hour)
            told.append(guard.admit(Decimal(1), Decimal(100), at, account))
            position = a_position("100.000000001", at=at)
            guard = step(guard)
            guard.opened(position)
            for close in (100.0, 130.30000000000001, 120.0, 117.0):
                guard = step(guard)
                guard.on_bar(a_bar(close, at), holding(position))
                guard = step(guard)
                told += [guard.exit(a_bar(close, at), position), guard.stop_price(position)]
            account.cash += Decimal(net)
            guard.closed(a_trade(net, at), account)
            guard = step(guard)
            told.append(str(guard.admit(Decimal(1), Decimal(100), at, account)))
        return [*told, guard.dump_state()]

    undisturbed = run(lambda guard: guard)
    assert undisturbed == run(restarted)
    assert any("max_daily_loss" in str(told) or "max_daily_trades" in str(told) for told in undisturbed)


def test_a_bot_that_ran_before_there_was_a_guard_begins_with_its_open_position() -> None:
    guard = a_guard({"trailing_stop": True, "trailing_stop_pct": 10})
    guard.load_state({})
    position = a_position()
    assert closes(guard, position, 200.0, 181.0, 180.0) == [None, None, "trailing_stop"]


def test_the_high_of_another_position_is_not_taken_over() -> None:
    guard = a_guard({"trailing_stop": True, "trailing_stop_pct": 10})
    guard.opened(a_position())
    closes(guard, a_position(), 500.0)
    new = a_guard({"trailing_stop": True, "trailing_stop_pct": 10})
    new.load_state(guard.dump_state())
    assert new.stop_price(a_position(at=NOON + timedelta(days=1))) == 90
