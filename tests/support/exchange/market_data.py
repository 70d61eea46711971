"""Bars of the stand-in, by REST and WebSocket, in Binance's shapes. Any bar follows from its time alone.

The venue's clock rules: a bar is closed when that says so. `hold` stops the clock, `advance` moves it on and sends
the events that fall due; a clock that is not held sends them by itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp import WSMsgType, web

from bot_runtime.domain.bar import EPOCH, Bar, epoch_ms, from_epoch_ms
from bot_runtime.feeds.intervals import bars_apart, interval_seconds, next_open, open_of, shifted
from bot_runtime.feeds.synthetic import SyntheticMarket
from support.exchange.markets import VenueError
from support.exchange.venue import Venue

INTERVALS = ["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"]
_LISTED = datetime(2015, 1, 1, tzinfo=UTC)
_MOST = 1000
_USUAL = 500
_PUMP_SECONDS = 0.05
_KNOWN: WeakKeyDictionary[Venue, "MarketData"] = WeakKeyDictionary()


@dataclass(eq=False)
class Socket:
    """One connection; `wrapped` where events come with their stream's name, as at /stream."""

    connection: web.WebSocketResponse
    wrapped: bool
    streams: set[str] = field(default_factory=set)


def market_data_of(venue: Venue) -> "MarketData":
    """Return the market data of a venue; the same one after the venue's server was started again."""
    return _KNOWN.setdefault(venue, MarketData(venue))


class MarketData:
    """Faults: `silent` sends nothing, `refusing` opens no socket, `skip_closed` loses so many closing events,
    `repeat` sends each closing event twice, and the one before once more; `drop` cuts every socket.

    With `moves_prices` the venue's price of a market that is subscribed to is the close of its newest bar.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._scripts: dict[tuple[str, str], dict[datetime, Bar]] = {}
        self._markets: dict[tuple[str, str], SyntheticMarket] = {}
        self._sent: dict[str, datetime] = {}
        self._pumping = asyncio.Lock()
        self.listed = _LISTED
        self.sockets: list[Socket] = []
        self.sockets_opened = 0
        self.subscriptions: list[str] = []
        self.silent = self.refusing = self.repeat = self.moves_prices = False
        self.skip_closed = 0

    @property
    def now(self) -> datetime:
        return from_epoch_ms(self._venue.now())

    def hold(self, time: datetime) -> None:
        """Stop the venue's clock at a time."""
        milliseconds = epoch_ms(time)
        self._venue.now = lambda: milliseconds  # type: ignore[method-assign]

    async def advance(self, seconds: float) -> None:
        """Move a clock that is held, and send what falls due, in order."""
        self.hold(from_epoch_ms(self._venue.now() + int(seconds * 1000)))
        await self.pump()

    def script(self, symbol: str, interval: str, bars: list[Bar]) -> None:
        """Give these bars instead of made-up ones."""
        self._scripts.setdefault((symbol, interval), {}).update({bar.time: bar for bar in bars})

    def bar(self, symbol: str, interval: str, time: datetime) -> Bar:
        """Return the whole bar that opens at `time`, whether it is closed or not."""
        scripted = self._scripts.get((symbol, interval), {}).get(time)
        if scripted is not None:
            return scripted
        key = (symbol, interval)
        market = self._markets.setdefault(key, SyntheticMarket(7, symbol, interval_seconds(interval)))
        return Bar(time, *market.quote(bars_apart(EPOCH, time, interval)))

    def closed(self, symbol: str, interval: str, start: datetime) -> list[Bar]:
        """Return every closed bar from `start` on."""
        time = max(open_of(start, interval), open_of(self.listed, interval))
        found = []
        while next_open(time, interval) <= self.now:
            if time >= start:
                found.append(self.bar(symbol, interval, time))
            time = next_open(time, interval)
        return found

    def klines(self, symbol: str, interval: str, params: dict[str, str]) -> list[list[Any]]:
        """Answer as /api/v3/klines does: the open bar, as far as it goes, is the last one."""
        limit = min(int(params.get("limit", _USUAL)), _MOST)
        end = min(self.now, _time(params.get("endTime"), self.now))
        newest = open_of(end, interval)
        start = _time(params.get("startTime"), shifted(newest, interval, 1 - limit))
        time = open_of(max(start, self.listed), interval)
        rows: list[list[Any]] = []
        while time <= newest and len(rows) < limit:
            if time >= start:
                rows.append(self._row(symbol, interval, time))
            time = next_open(time, interval)
        return rows

    async def drop(self) -> None:
        for socket in list(self.sockets):
            if socket.connection._req is not None and socket.connection._req.transport is not None:
                socket.connection._req.transport.abort()

    async def pump(self) -> None:
        """Send an event of each bar that closed since the last time, and one of the bar that is open."""
        async with self._pumping:
            names = {name for socket in self.sockets for name in socket.streams}
            self._sent = {name: time for name, time in self._sent.items() if name in names}
            for name in sorted(names):
                symbol, interval = _market_of(name)
                time = self._sent.setdefault(name, open_of(self.now, interval))
                while next_open(time, interval) <= self.now:
                    await self._send_closed(name, time)
                    time = next_open(time, interval)
                self._sent[name] = time
                await self._send(name, self.event(symbol, interval, time))

    def event(self, symbol: str, interval: str, time: datetime) -> dict[str, Any]:
        """Write a kline event; `x` tells whether the bar is closed."""
        row = self._row(symbol, interval, time)
        kline = {
            "t": row[0], "T": row[6], "s": symbol, "i": interval, "f": 1, "L": 2, "o": row[1], "c": row[4],
            "h": row[2], "l": row[3], "v": row[5], "n": row[8], "x": row[6] < self._venue.now(), "q": row[7],
            "V": "0", "Q": "0", "B": "0",
        }  # fmt: skip
        return {"e": "kline", "E": self._venue.now(), "s": symbol, "k": kline}

    def expect(self, names: set[str]) -> None:
        """Send events from the bar on that is open now."""
        for name in names:
            self._sent.setdefault(name, open_of(self.now, _market_of(name)[1]))

    def move_price(self, symbol: str, interval: str, time: datetime) -> None:
        """Let the venue trade at the close of a bar."""
        self._venue.set_price(symbol, Decimal(str(round(self.bar(symbol, interval, time).close, 2))))

    async def _send_closed(self, name: str, time: datetime) -> None:
        symbol, interval = _market_of(name)
        if self.moves_prices:
            self._venue.set_price(symbol, Decimal(f"{self.bar(symbol, interval, time).close:.2f}"))
        if self.skip_closed:
            self.skip_closed -= 1
            return
        event = self.event(symbol, interval, time)
        await self._send(name, event)
        if self.repeat:
            await self._send(name, event)
            await self._send(name, self.event(symbol, interval, open_of(time - _TICK, interval)))

    async def _send(self, name: str, event: dict[str, Any]) -> None:
        for socket in list(self.sockets):
            if name in socket.streams and not self.silent:
                with contextlib.suppress(ConnectionError):
                    await socket.connection.send_json({"stream": name, "data": event} if socket.wrapped else event)

    def _row(self, symbol: str, interval: str, time: datetime) -> list[Any]:
        bar, end = self.bar(symbol, interval, time), next_open(time, interval)
        if end > self.now:  # not closed: as it stood when it opened
            bar = Bar(time, bar.open, bar.open, bar.open, bar.open, 0.0)
        prices = [f"{value:.8f}" for value in bar[1:]]
        return [epoch_ms(time), *prices, epoch_ms(end) - 1, "0", 2, "0", "0", "0"]


_TICK = from_epoch_ms(1) - EPOCH


def _time(text: str | None, default: datetime) -> datetime:
    return default if text is None else from_epoch_ms(int(text))


def _market_of(name: str) -> tuple[str, str]:
    symbol, _, interval = name.partition("@kline_")
    return symbol.upper(), interval


def add_market_data(app: web.Application, venue: Venue) -> None:
    """Add /api/v3/klines, /ws, /stream and POST /admin/market.

    That takes `hold` (ISO 8601), `advance` (seconds), `moves_prices`, `script` (symbol, interval and bars as lists),
    `follow` (such as BTCUSDT@1s: trade at the closes of these bars from now on) and `drop`.
    """
    data = market_data_of(venue)

    async def klines(request: web.Request) -> web.Response:
        params = dict(request.query)
        symbol = venue.market(params.get("symbol", "")).symbol
        if params.get("interval") not in INTERVALS:
            raise VenueError(-1120, "Invalid interval.")
        return web.json_response(data.klines(symbol, params["interval"], params))

    async def steer(request: web.Request) -> web.Response:
        body = await request.json()
        if "follow" in body:
            symbol, interval = str(body["follow"]).split("@")
            data.moves_prices = True
            data.move_price(symbol, interval, open_of(data.now, interval))
        if "hold" in body:
            data.hold(datetime.fromisoformat(body["hold"]))
        if "script" in body:
            symbol, interval, rows = (body["script"][name] for name in ("symbol", "interval", "bars"))
            data.script(symbol, interval, [Bar(datetime.fromisoformat(row[0]), *row[1:]) for row in rows])
        data.moves_prices = body.get("moves_prices", data.moves_prices)
        if body.keys() & {"advance", "hold"}:
            await data.advance(float(body.get("advance", 0)))
        if body.get("drop"):
            await data.drop()
        return web.json_response({"now": data.now.isoformat(), "sockets": len(data.sockets)})

    app.router.add_get("/api/v3/klines", klines)
    app.router.add_post("/admin/market", steer)
    app.router.add_get("/ws", _listening(data, wrapped=False))
    app.router.add_get("/ws/{streams}", _listening(data, wrapped=False))
    app.router.add_get("/stream", _listening(data, wrapped=True))
    app.cleanup_ctx.append(lambda _: _pumped(data))


async def _pumped(data: MarketData) -> AsyncIterator[None]:
    async def pump() -> None:
        while True:
            await data.pump()
            await asyncio.sleep(_PUMP_SECONDS)

    task = asyncio.create_task(pump())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await data.drop()


def _listening(data: MarketData, *, wrapped: bool) -> Callable[[web.Request], Any]:
    async def listen(request: web.Request) -> web.StreamResponse:
        if data.refusing:
            return web.Response(status=503)
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        asked = request.query.get("streams", "") or request.match_info.get("streams", "")
        socket = Socket(connection, wrapped, {name for name in asked.split("/") if "@" in name})
        data.sockets.append(socket)
        data.expect(socket.streams)
        data.sockets_opened += 1
        try:
            async for message in connection:
                if message.type is WSMsgType.TEXT:
                    await _obey(data, socket, message.json())
        finally:
            data.sockets.remove(socket)
        return connection

    return listen


async def _obey(data: MarketData, socket: Socket, order: dict[str, Any]) -> None:
    names = {name for name in order.get("params", []) if "@kline_" in name}
    if order.get("method") == "SUBSCRIBE":
        socket.streams |= names
        data.expect(names)
        data.subscriptions += sorted(names)
    elif order.get("method") == "UNSUBSCRIBE":
        socket.streams -= names
    await socket.connection.send_json({"result": None, "id": order.get("id")})
