"""Bars from Interactive Brokers' history, through TWS or IB Gateway and ib_async, polled. It trades nothing.

Shares: trades of the regular session; pairs of currencies: midpoints, without volume. Data needs the venue's market
data subscriptions. https://interactivebrokers.github.io/tws-api/historical_limitations.html
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from ib_async import IB, BarData, Contract

from bot_core.models.errors import InvalidBotError, TransientError
from bot_runtime.domain.bar import Bar
from bot_runtime.feeds.hub import MarketHub
from bot_runtime.feeds.intervals import canonical_interval, interval_seconds, is_closed
from bot_runtime.feeds.live_feed import LiveFeed
from bot_runtime.feeds.market_source import MarketKey
from bot_runtime.feeds.pacer import Pacer
from bot_runtime.feeds.venue_clock import VenueClock
from bot_runtime.venues.ibkr_contracts import find_contract, is_pair
from bot_runtime.venues.ibkr_session import Gateway, GatewayError, IbkrSession, open_session

PACE_SECONDS = 0.5  # six requests for one contract within two seconds are too many
HISTORY_SECONDS = 60.0
CLOCK_SECONDS = 300.0
_SIZES = {
    "1m": "1 min", "2m": "2 mins", "3m": "3 mins", "5m": "5 mins", "10m": "10 mins", "15m": "15 mins",
    "20m": "20 mins", "30m": "30 mins", "1h": "1 hour", "2h": "2 hours", "3h": "3 hours", "4h": "4 hours",
    "8h": "8 hours", "1d": "1 day", "1w": "1 week", "1M": "1 month",
}  # fmt: skip
_DAY_SECONDS = 86_400
_YEAR = 365
#: The longest span in days that is given at once, and how far back it is worth to look, for bars of at most so long.
_SPANS = ((120, 1, 180), (1200, 7, 2 * _YEAR), (_DAY_SECONDS - 1, 28, 5 * _YEAR), (10**9, _YEAR, 30 * _YEAR))
_NO_DATA = 162
_NO_SUCH_CONTRACT = 200
_NO_PERMISSION = frozenset({354, 10089, 10090, 10186})


def ibkr_feed(data: Mapping[str, Any], symbol: str, hub: MarketHub | None = None) -> LiveFeed:
    """Build a feed of a gateway's; of the row's own `host`, `port` and `client_id` only the last is heeded."""
    paper = bool(data.get("testnet"))
    gateway = Gateway.from_environment(paper=paper, client_id=data.get("client_id"))
    name = str(data.get("symbol") or symbol)
    key = MarketKey("ibkr-paper" if paper else "ibkr", name, canonical_interval(data.get("interval", "1h")))
    return LiveFeed(key, lambda pacer: IbkrSource(key, gateway, pacer), pace_seconds=PACE_SECONDS, hub=hub)


class IbkrSource:
    continuous = False

    def __init__(self, key: MarketKey, gateway: Gateway, pacer: Pacer) -> None:
        if key.interval not in _SIZES:
            allowed = ", ".join(_SIZES)
            raise InvalidBotError(f"data.interval: {key.interval!r} is no interval of ibkr; allowed: {allowed}")
        self.key = key
        self._gateway, self._pacer = gateway, pacer
        self._clock = VenueClock()
        self._session: IbkrSession | None = None
        self._contract: Contract | None = None

    @property
    def clock_skew(self) -> float | None:
        return self._clock.skew

    def now(self) -> datetime:
        return self._clock.now()

    async def connect(self) -> None:
        if self._session is None:
            self._session = open_session(self._gateway)
        self._contract, _ = await find_contract(self._session, self.key.symbol)
        await self._read_clock(self._session)

    async def closed_bars(self, start: datetime, limit: int) -> list[Bar]:
        if self._session is None or self._contract is None:
            await self.connect()
        assert self._session is not None  # noqa: S101 - connect has set both
        assert self._contract is not None  # noqa: S101
        await self._read_clock(self._session)
        now = self.now()
        at_once, reach = self._span()
        wanted = timedelta(days=min(at_once, max(1, limit * interval_seconds(self.key.interval) // _DAY_SECONDS + 1)))
        start = max(start, now - timedelta(days=reach))
        while True:
            asked, end = self.now(), min(now, start + wanted)
            rows = await self._history(self._session, self._contract, end, wanted.days)
            bars = sorted(bar for bar in map(self._bar, rows) if bar.time >= start)
            closed = [bar for bar in bars if is_closed(bar.time, self.key.interval, asked)]
            if closed or end >= now:
                return closed
            start = end

    def stream(self) -> AsyncIterator[Bar] | None:
        return None

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.aclose()

    def _span(self) -> tuple[int, int]:
        seconds = interval_seconds(self.key.interval)
        return next((at_once, reach) for most, at_once, reach in _SPANS if seconds <= most)

    async def _history(self, session: IbkrSession, contract: Contract, end: datetime, days: int) -> list[BarData]:
        """Ask for the bars of so many trading days before `end`."""
        await self._pacer.turn()
        ib = await session.ready()
        errors: dict[int, tuple[int, str]] = {}

        def heard(request: int, code: int, message: str, _contract: object) -> None:
            errors[request] = (code, message)

        ib.errorEvent += heard
        try:
            async with asyncio.timeout(HISTORY_SECONDS):
                bars = await self._asked(ib, contract, end, f"{days} D" if days < _YEAR else "1 Y")
        except (TimeoutError, ConnectionError) as error:
            raise GatewayError(f"{self.key}: no bars from the gateway at {session.gateway}") from error
        finally:
            ib.errorEvent -= heard
        self._judge(errors.get(bars.reqId))
        return list(bars)

    async def _asked(self, ib: IB, contract: Contract, end: datetime, duration: str) -> Any:
        return await ib.reqHistoricalDataAsync(
            contract,
            endDateTime=end.astimezone(UTC),
            durationStr=duration,
            barSizeSetting=_SIZES[self.key.interval],
            whatToShow="MIDPOINT" if is_pair(contract) else "TRADES",
            useRTH=not is_pair(contract),
            formatDate=2,
            timeout=0,
        )

    def _judge(self, error: tuple[int, str] | None) -> None:
        """ib_async gives no bars where the gateway refused: what it said decides what that means."""
        if error is None:
            return
        code, message = error
        if code == _NO_DATA and "no data" in message.lower():
            return
        reason = f"{self.key}: the gateway says: {message} ({code})"
        if code == _NO_SUCH_CONTRACT or code in _NO_PERMISSION:
            raise InvalidBotError(f"{reason}; allowed: a market whose data the account has subscribed to")
        raise TransientError(reason)

    async def _read_clock(self, session: IbkrSession) -> None:
        if self._clock.age is not None and self._clock.age < CLOCK_SECONDS:
            return
        asked = self._clock.mark()
        self._clock.read(await session.ask("time", lambda ib: ib.reqCurrentTimeAsync()), asked)

    def _bar(self, row: BarData) -> Bar:
        opened = row.date
        if not isinstance(opened, datetime):
            opened = datetime.combine(_day_of(opened, self.key.interval), datetime.min.time(), UTC)
        return Bar(opened.astimezone(UTC), row.open, row.high, row.low, row.close, max(0.0, float(row.volume)))


def _day_of(day: date, interval: str) -> date:
    """Weeks and months are dated by their last day of trading: return their Monday, or the first."""
    if interval == "1M":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if interval == "1w" else day
