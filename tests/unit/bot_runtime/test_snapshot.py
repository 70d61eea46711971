from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bot_runtime.domain.account import Account
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
