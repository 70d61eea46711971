"""Stand-ins for Yahoo's chart service and CoinGecko's OHLC service, in their shapes, on the bars of a market."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from bot_runtime.domain.bar import epoch_ms
from bot_runtime.feeds.intervals import canonical_interval, interval_seconds, next_open, open_of
from support.exchange.market_data import MarketData

YAHOO_INTERVALS = {"1wk": "1w", "1mo": "1M"}
_COINS = {"bitcoin": "BTCUSDT", "ethereum": "ETHUSDT"}
_SYMBOLS = {"BTC-USD": "BTCUSDT", "ETH-USD": "ETHUSDT", "AAPL": "AAPL"}
_Handler = Callable[[web.Request], Awaitable[web.Response]]


class DataServices:
    """`failing` answers with these status codes, one a request; `results` replaces Yahoo's whole results, by symbol;
    `lost` are closes of candles that CoinGecko leaves out, `cached` for how long its answers are old.
    """

    def __init__(self, market: MarketData) -> None:
        self.market = market
        self.requests: list[str] = []
        self.failing: list[int] = []
        self.cached = timedelta()
        self.lost: set[datetime] = set()
        self.results: dict[str, dict[str, Any]] = {}
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> "DataServices":
        app = web.Application()
        app.router.add_get("/v8/finance/chart/{symbol}", self._answered(self._chart))
        app.router.add_get("/api/v3/coins/{coin}/ohlc", self._answered(self._candles))
        app.router.add_get("/api/v3/ping", self._answered(lambda _: {"gecko_says": "(V3) To the Moon!"}))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def _answered(self, answer: Callable[[web.Request], Any]) -> _Handler:
        async def handle(request: web.Request) -> web.Response:
            self.requests.append(request.path_qs)
            headers = {"Date": format_datetime(self.market.now.astimezone(UTC), usegmt=True)}
            if self.failing:
                return web.Response(status=self.failing.pop(0), text="Too Many Requests", headers=headers)
            found = answer(request)
            return web.json_response(found, headers=headers, status=200 if found else 404)

        return handle

    def _chart(self, request: web.Request) -> Any:
        name = request.match_info["symbol"]
        if name in self.results:
            return {"chart": {"result": [self.results[name]], "error": None}}
        if name not in _SYMBOLS:
            return None
        if int(request.query["period2"]) < self.market.listed.timestamp():
            text = (
                f"Data doesn't exist for startDate = {request.query['period1']}, endDate = {request.query['period2']}"
            )
            raise web.HTTPBadRequest(text=json.dumps({"chart": {"result": None, "error": {"description": text}}}))
        interval = YAHOO_INTERVALS.get(request.query["interval"], request.query["interval"])
        first, last = (datetime.fromtimestamp(int(request.query[key]), UTC) for key in ("period1", "period2"))
        bars = []
        time = open_of(first, interval)
        while time <= min(last, self.market.now):
            if time >= max(first, self.market.listed):
                bars.append(self.market.bar(_SYMBOLS[name], interval, time))
            time = next_open(time, interval)
        kind = "CRYPTOCURRENCY" if name.endswith("-USD") else "EQUITY"
        return {"chart": {"result": [yahoo_result(bars, kind)], "error": None}}

    def _candles(self, request: web.Request) -> Any:
        symbol = _COINS.get(request.match_info["coin"])
        if symbol is None:
            return None
        days = int(request.query["days"])
        interval = canonical_interval("30m" if days == 1 else "4h")
        step = timedelta(seconds=interval_seconds(interval))
        now = self.market.now - self.cached
        time = open_of(now - timedelta(days=days), interval) + step
        rows = []
        while time <= now:
            bar = self.market.bar(symbol, interval, time)
            if time + step > now:  # as far as it went when the answer was made
                bar = bar._replace(high=bar.open, low=bar.open, close=bar.open)
            if time + step not in self.lost:
                rows.append([epoch_ms(time + step), *bar[1:5]])
            time += step
        return rows


def yahoo_result(bars: list[Any], kind: str = "EQUITY", zone: str = "UTC", **meta: Any) -> dict[str, Any]:
    """Write one result of the chart service."""
    columns = {name: [bar[place] for bar in bars] for place, name in enumerate(("open", "high", "low", "close"), 1)}
    return {
        "meta": {"instrumentType": kind, "exchangeTimezoneName": zone, "gmtoffset": 0, **meta},
        "timestamp": [epoch_ms(bar[0]) // 1000 for bar in bars],
        "indicators": {"quote": [columns | {"volume": [bar[5] for bar in bars]}]},
    }
