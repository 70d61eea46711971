"""The equity curve of a run: what the account was worth at the close of each bar. Must not judge it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bot_runtime.domain.account import Account
from bot_runtime.indicators.base import Floats, Integers


class Holding(NamedTuple):
    """What an account held from the bar with the index `since` on."""

    since: int
    cash: float
    quantity: float

    @classmethod
    def of(cls, since: int, account: Account) -> "Holding":
        quantity = 0.0 if account.position is None else float(account.position.held)
        return cls(since, float(account.cash), quantity)


@dataclass(frozen=True, slots=True, eq=False)
class Equity:
    """One element a bar: `time` in epoch milliseconds, `close`, `value` in quote currency, `held` at the close.

    Bars before `first_bar` were not evaluated.
    """

    time: Integers
    close: Floats
    value: Floats
    held: npt.NDArray[np.bool_]
    first_bar: int = 0


def equity_of(time: Integers, close: Floats, holdings: Sequence[Holding], first_bar: int) -> Equity:
    """Spread holdings, ascending and the first from bar 0 on, over the bars: cash plus quantity at each close."""
    starts = [holding.since for holding in holdings]
    bars = np.diff([*starts, len(time)])
    cash = np.repeat(np.array([holding.cash for holding in holdings]), bars)
    quantity = np.repeat(np.array([holding.quantity for holding in holdings]), bars)
    return Equity(time, close, cash + quantity * close, quantity > 0, first_bar)
