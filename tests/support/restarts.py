"""A kernel that is thrown away and built again from what it saved, time and again."""

import json
from collections.abc import Sequence

from bot_core.models.strategy import StrategyConfig
from bot_runtime.brokers.paper_venue import PaperVenue
from bot_runtime.domain.account import Account
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.order import fill_of
from bot_runtime.domain.trade import Trade
from bot_runtime.engine.kernel import Kernel
from bot_runtime.engine.outcomes import Closed
from bot_runtime.indicators.history import History
from bot_runtime.strategies.registry import build_sizing, build_strategy
from support.bars import CASH, COMMISSION

INTERVAL = 300


def trades_of_a_bot_that_is_restarted(config: StrategyConfig, bars: Sequence[Bar], *, every: int) -> list[Trade]:
    """Run bar by bar with a bounded history, restarting after each `every` bars."""
    capacity = build_strategy(config).warmup
    kernel, venue, trades = _kernel(config, Account(CASH), capacity), PaperVenue(COMMISSION), []
    for index, bar in enumerate(bars):
        if index and index % every == 0:
            old = kernel
            account = Account(old.account.cash, old.account.position, old.account.realized_pnl)
            kernel = _kernel(config, account, capacity)
            kernel.warm_up(bars[max(0, index - 2 * capacity) : index])
            kernel.history.bars_seen = index
            kernel.load_state(json.loads(json.dumps(old.dump_state())))
            kernel.pending = old.pending
        for fill in map(fill_of, venue.match(bar)):
            assert kernel.pending is not None
            result = kernel.on_fill(kernel.pending, fill)
            trades += [result.trade] if isinstance(result, Closed) else []
        intent = kernel.on_bar(bar)
        if intent is not None:
            venue.submit(intent)
    return trades


def _kernel(config: StrategyConfig, account: Account, capacity: int) -> Kernel:
    return Kernel(
        bot_id=7,
        strategy=build_strategy(config),
        account=account,
        position_size=build_sizing(config),
        history=History(INTERVAL, capacity),
    )
