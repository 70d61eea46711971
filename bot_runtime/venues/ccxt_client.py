"""Clients of crypto exchanges: one for each exchange, testnet and key in a process, with one rate limiter an exchange.

Whoever opens a client closes its handle; the last one closes the connections. Requests to orders can be gated: the
gate is asked after signing, when nothing but the sending is left (`gated`). It trades nothing and maps no market.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import aiohttp
from yarl import URL

from bot_core.models.errors import InvalidBotError
from bot_runtime.venues.ccxt_import import ccxt_errors, exchange_class
from bot_runtime.venues.credentials import Credentials
from bot_runtime.venues.extra import needing_live

#: Replaces scheme and host of every REST address of an exchange. Never from a row: a row must not redirect keys.
URL_VARIABLE = "TRADINGBOT_EXCHANGE_URL"
TIMEOUT_SECONDS = 10.0
#: Exchanges whose interface is Binance's: the venue drops a request that arrives after its receive window.
BINANCE_FAMILY = frozenset({"binance", "binanceus"})

#: How long to keep still after "too many requests" where the venue doesn't say.
_QUIET_SECONDS = {429: 1.0, 418: 60.0}
_METHODS = frozenset({"get", "post", "put", "patch", "delete", "head"})
_Key = tuple[str, bool, Credentials | None, str]
_gate: ContextVar[Callable[[], None] | None] = ContextVar("gate", default=None)
_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, "_Shared"]] = WeakKeyDictionary()


class _Shared:
    def __init__(self, exchange: Any, session: aiohttp.ClientSession) -> None:
        self.exchange = exchange
        self.session = session
        self.users = 0


class _Redirected:
    """A session whose requests go to another host. Below ccxt, which takes errors apart by the host's name."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._base = URL(base_url)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._session, name)
        return partial(self._send, value) if name in _METHODS else value

    def _send(self, request: Callable[..., Any], url: URL, **options: Any) -> Any:
        return request(self._moved(url), **options)

    def _moved(self, url: URL) -> URL:
        return URL(
            urlsplit(str(url))._replace(scheme=self._base.scheme, netloc=self._base.authority).geturl(), encoded=True
        )


class ClientHandle:
    """A share in a client. `exchange` is the ccxt object; close the handle, never the exchange."""

    def __init__(self, key: _Key, shared: _Shared, pool: dict[_Key, _Shared]) -> None:
        self.exchange = shared.exchange
        self._key, self._shared, self._pool = key, shared, pool
        self._open = True
        shared.users += 1

    async def load_market(self, market_id: str) -> bool:
        """Load what a market needs: of Binance's thousands of markets it alone. False where there is none of that id.

        Use it in place of ccxt's `load_markets`, whose result for all of Binance takes some 40 MB. Raises as ccxt does.
        """
        exchange = self.exchange
        if exchange.id not in BINANCE_FAMILY:
            await exchange.load_markets()
            return True
        if market_id in (exchange.markets_by_id or {}):
            return True
        try:
            found = await exchange.fetch_markets({"symbol": market_id})
        except ccxt_errors().BadSymbol:
            return False
        exchange.set_markets([*(exchange.markets or {}).values(), *found])
        return True

    async def aclose(self) -> None:
        """Let go of the client; again does nothing."""
        if not self._open:
            return
        self._open = False
        self._shared.users -= 1
        if self._shared.users == 0 and self._pool.get(self._key) is self._shared:
            del self._pool[self._key]
            await self._shared.session.close()
            self.exchange.session = None


async def public_client(exchange_id: str, *, testnet: bool = False) -> ClientHandle:
    """Open a client for market data, which needs no key."""
    return await open_client(exchange_id, testnet=testnet, credentials=None)


async def open_client(exchange_id: str, *, testnet: bool, credentials: Credentials | None) -> ClientHandle:
    """Share a client, made where there is none. Nothing is asked of the exchange yet.

    Raises InvalidBotError where ccxt, the exchange or its testnet is missing.
    """
    with needing_live(f"the exchange {exchange_id!r}"):
        kind = await asyncio.to_thread(exchange_class, exchange_id)
    pool = _pools.setdefault(asyncio.get_running_loop(), {})
    base_url = os.environ.get(URL_VARIABLE, "")
    key = (exchange_id, testnet, credentials, base_url)
    if key not in pool:
        pool[key] = _build(kind, key, _throttler_of(pool, exchange_id, testnet=testnet))
    return ClientHandle(key, pool[key], pool)


@contextmanager
def gated(gate: Callable[[], None]) -> Iterator[None]:
    """Ask `gate` right before each request that this task sends; what it raises holds the request back."""
    token = _gate.set(gate)
    try:
        yield
    finally:
        _gate.reset(token)


def _build(kind: Any, key: _Key, throttler: Any) -> _Shared:
    exchange_id, testnet, credentials, base_url = key
    exchange = _gated_kind(kind)(_settings(exchange_id, credentials))
    if testnet:
        _use_testnet(exchange)
    if throttler is not None:
        exchange.throttler = throttler
    session = aiohttp.ClientSession(trust_env=True)
    exchange.session = _Redirected(session, base_url) if base_url else session
    exchange.own_session = False
    return _Shared(exchange, session)


def _settings(exchange_id: str, credentials: Credentials | None) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "asyncio_loop": asyncio.get_running_loop(),
        "enableRateLimit": True,
        "timeout": int(TIMEOUT_SECONDS * 1000),
        "options": {"defaultType": "spot"},
    }
    if exchange_id in BINANCE_FAMILY:
        # Coins and margin pairs ask for rights that trading does not need; the other markets are not traded.
        settings["options"] |= {
            "fetchCurrencies": False,
            "fetchMargins": False,
            "fetchMarkets": {"types": ["spot"]},
        }
    if credentials is not None:
        settings |= {"apiKey": credentials.key, "secret": credentials.secret}
        if credentials.password:
            settings["password"] = credentials.password
    return settings


def _gated_kind(kind: Any) -> Any:
    """The class, with three habits more: it asks the gate, keeps still after a 429, and takes no text for an answer."""

    class Gated(kind):  # type: ignore[misc]  # ccxt ships no types
        quiet_until = 0.0

        async def fetch(self, *args: Any, **kwargs: Any) -> Any:
            left = self.quiet_until - time.monotonic()
            if left > 0:
                raise ccxt_errors().RateLimitExceeded(f"{self.id} wants no requests for {left:.0f} s more")
            gate = _gate.get()
            if gate is not None:
                gate()
            answer = await super().fetch(*args, **kwargs)
            if isinstance(answer, str):  # ccxt would read an empty list out of it
                raise ccxt_errors().BadResponse(f"{self.id} gave an answer that is no JSON")
            return answer

        def on_rest_response(self, code: int, *args: Any) -> Any:
            if code in _QUIET_SECONDS:
                headers = {str(name).lower(): str(value) for name, value in args[3].items()}
                seconds = headers.get("retry-after", "")
                wait = float(seconds) if seconds.isdigit() else _QUIET_SECONDS[code]
                self.quiet_until = time.monotonic() + wait
            return super().on_rest_response(code, *args)

    return Gated


def _use_testnet(exchange: Any) -> None:
    if "test" not in exchange.urls:
        raise InvalidBotError(f"broker.testnet: {exchange.id} has no testnet; allowed: false")
    exchange.set_sandbox_mode(True)


def _throttler_of(pool: dict[_Key, _Shared], exchange_id: str, *, testnet: bool) -> Any:
    """Limits are the address's, not the key's: clients of one exchange wait in one line."""
    for (other, other_testnet, *_), shared in pool.items():
        if (other, other_testnet) == (exchange_id, testnet):
            return shared.exchange.throttler
    return None
