from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bot_runtime.domain.account import Account
from bot_runtime.domain.market import MarketRules
from bot_runtime.domain.order import Fill, OrderIntent, OrderType, Purpose, Side
from bot_runtime.domain.position import Direction, Position
from bot_runtime.persistence.snapshot import balance_of, dump_account, load_account

_AMOUNTS = st.decimals(min_value=Decimal("1e-18"), max_value=10**9, allow_nan=False, allow_infinity=False)


@given(cash=_AMOUNTS, price=_AMOUNTS, quantity=_AMOUNTS)
def test_an_account_comes_back_exactly_however_small_its_prices(
    cash: Decimal, price: Decimal, quantity: Decimal
) -> None:
    at = datetime(2024, 1, 1, 12, 30, 1, 250, tzinfo=UTC)
    position = Position(Direction.LONG, quantity, price, at, at, Decimal("0.1"), "a reason")
    account = Account(cash=cash, position=position, realized_pnl=-cash)
    assert load_account(dump_account(account)) == account


def test_the_balance_counts_the_position_at_its_cost() -> None:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    position = Position(Direction.LONG, Decimal(2), Decimal(50), at, at, Decimal("0.1"), "")
    assert balance_of(Account(cash=Decimal("899.9"), position=position)) == Decimal("999.9")
    assert balance_of(Account(cash=Decimal(5))) == Decimal(5)


@given(
    bought=st.integers(1, 10**6),
    price=st.integers(1, 10**5),
    exits=st.lists(st.tuples(st.integers(1, 10**5), st.integers(1, 10**6)), min_size=1, max_size=4),
    least=st.sampled_from([0, 10, 1000]),
)
def test_the_balance_of_a_flat_account_is_the_opening_one_and_what_was_realised_whatever_is_left_over(
    bought: int, price: int, exits: list[tuple[int, int]], least: int
) -> None:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    unit, opening = Decimal("0.00001"), Decimal(10**7)
    market = MarketRules(quantity_step=10 * unit, min_notional=Decimal(least))
    intent = OrderIntent("x", Purpose.EXIT, Side.SELL, OrderType.MARKET, Decimal(1), at, Decimal(1), "a test")
    account = Account(opening)
    account.open(intent, Fill("x", at, Decimal(price), bought * unit, Decimal("1.23")))
    for paid, quantity in exits:
        if account.position is not None:
            sold = min(quantity * unit, account.position.held)
            account.close(intent, Fill("x", at, Decimal(paid), sold, Decimal("0.5")), market)
    if account.position is None:
        assert abs(balance_of(account) - opening - account.realized_pnl) <= Decimal("1e-8")
    else:
        assert market.sells(account.position.held, Decimal(exits[-1][0]))
