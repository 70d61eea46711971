"""The port below live feeds: one market of one venue, as the hub drives it. Sources are shared; they know no bot.

| member | duty |
|---|---|
| `key` | names the market: two bots with equal keys share one source |
| `continuous` | whether bars come around the clock; where not, silence is no fault while the venue answers |
| `connect` | check symbol and interval, read the clock: before anything else, and again after a TransientError |
| `clock_skew` | seconds that the venue's clock is ahead of ours, None where unknown |
| `now` | the venue's time as far as it is known: never later than the venue's own clock says |
| `closed_bars` | up to `limit` closed bars with time >= `start`, oldest first; empty: there are none from there on |
| `stream` | closed bars as they close, over one connection, or None where the venue has no stream: it is polled |
| `aclose` | let go of connections |

`connect` and `closed_bars` raise TransientError where the venue gave no answer or a passing error, and
InvalidBotError, saying what is allowed, for a symbol or interval that the venue does not have. A source tries once:
repeating is the hub's.

The iterator of `stream` ends or raises TransientError when its connection does; the hub asks for a new one, with
back-off, and fills gaps by `closed_bars`. So a stream may lose bars, repeat them or deliver them out of order.
"""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import NamedTuple, Protocol, TypeAlias

from bot_runtime.domain.bar import Bar
from bot_runtime.feeds.pacer import Pacer


class MarketKey(NamedTuple):
    """`venue` names host and transport, such as `binance` or `binance-testnet`; `interval` as documents spell it."""

    venue: str
    symbol: str
    interval: str

    def __str__(self) -> str:
        return f"{self.symbol} {self.interval} of {self.venue}"


class MarketSource(Protocol):
    @property
    def key(self) -> MarketKey: ...
    @property
    def continuous(self) -> bool: ...
    @property
    def clock_skew(self) -> float | None: ...
    def now(self) -> datetime: ...
    async def connect(self) -> None: ...
    async def closed_bars(self, start: datetime, limit: int) -> list[Bar]: ...
    def stream(self) -> AsyncIterator[Bar] | None: ...
    async def aclose(self) -> None: ...


#: Builds a source without asking the venue anything. The pacer is the one of the venue: sources without a limiter of
#: their own wait for it before each request.
SourceFactory: TypeAlias = Callable[[Pacer], MarketSource]
