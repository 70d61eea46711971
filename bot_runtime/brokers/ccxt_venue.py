"""One market of one exchange behind ccxt: opening it, its clock, and questions whose failures are the port's errors.

It sends no order.
"""

import time
from collections.abc import Awaitable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

import structlog

from bot_core.models.errors import InvalidBotError, TradingBotError
from bot_runtime.brokers.base import VenueUnavailableError
from bot_runtime.brokers.ccxt_abilities import unfit
from bot_runtime.brokers.ccxt_errors import Meaning, meaning, reason
from bot_runtime.brokers.ccxt_market import find_market, market_rules
from bot_runtime.brokers.ccxt_orders import OrderBook
from bot_runtime.brokers.credentials import find_credentials
from bot_runtime.domain.market import MarketRules
from bot_runtime.venues.ccxt_client import BINANCE_FAMILY, ClientHandle, gated, open_client
from bot_runtime.venues.ccxt_import import ccxt_errors
from bot_runtime.venues.credentials import Credentials

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


class CcxtVenue:
    """`market` and `rules` are known once connected; `skew` is how far the venue's clock is ahead, in seconds."""

    def __init__(self, exchange_id: str, symbol: str, *, testnet: bool, secret: str | None) -> None:
        self._id, self._symbol = exchange_id, symbol
        self._testnet, self._secret = testnet, secret
        self._binance = exchange_id in BINANCE_FAMILY
        self._credentials: Credentials | None = None
        self._handle: ClientHandle | None = None
        self.market: Mapping[str, Any] = {}
        self.rules = MarketRules()
        self.skew: float | None = None

    @property
    def account(self) -> str:
        venue = f"{self._id}-testnet" if self._testnet else self._id
        return f"{venue}:{self._secret or 'environment'}"

    @property
    def exchange(self) -> Any:
        if self._handle is None:
            raise VenueUnavailableError(f"{self._id}: not connected")
        return self._handle.exchange

    @property
    def orders(self) -> OrderBook:
        return OrderBook(self.exchange, self.market["symbol"])

    async def connect(self) -> MarketRules:
        """Open the client, read the market and the clock, and try the key."""
        why = unfit(self._id)
        if why is not None:
            raise InvalidBotError(f"broker.type: {self._id!r} can't be traded live: {why}")
        self._credentials = find_credentials(self._id, self._secret, testnet=self._testnet)
        self._handle = await open_client(self._id, testnet=self._testnet, credentials=self._credentials)
        try:
            return await self._read_venue(self._handle)
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            await handle.aclose()

    async def ask(self, question: Awaitable[_T]) -> _T:
        """Return the answer, or raise what its lack is to the engine."""
        try:
            return await question
        except Exception as error:
            raise await self.trouble(error) from error

    async def trouble(self, error: Exception) -> TradingBotError:
        """What a question without an answer is to the engine."""
        if isinstance(error, TradingBotError):
            return error
        await self.after_late(error)
        if meaning(error, binance=self._binance) is Meaning.KEY and not banned(error):
            return self.bad_key(error)
        return VenueUnavailableError(f"{self._id}: {reason(error)} ({type(error).__name__})")

    async def after_late(self, error: Exception) -> None:
        """Look at the venue's clock again after a request that it called late or early."""
        if meaning(error, binance=self._binance) is Meaning.LATE:
            try:
                await self._measure_clock()
            except Exception as other:  # noqa: BLE001  # the first error is what is reported
                _log.warning("the venue's clock can't be read", reason=reason(other))

    def bad_key(self, error: Exception) -> InvalidBotError:
        source = self._credentials.source if self._credentials else "no variable"
        return InvalidBotError(f"{self._id} refused the key that credentials_secret names ({source}): {reason(error)}")

    async def price_of(self, coin: str) -> Decimal | None:
        """What one unit of a coin is worth in quote currency, where there is a market for it."""
        name = f"{coin}/{self.market['quote']}"
        if self._handle is not None:
            await self._handle.load_market(f"{coin}{self.market['quote']}")
        last = (await self.exchange.fetch_ticker(name)).get("last") if name in self.exchange.markets else None
        return None if last is None else Decimal(str(last))

    async def _read_venue(self, handle: ClientHandle) -> MarketRules:
        exchange = handle.exchange
        try:
            if not await handle.load_market(self._symbol):
                await exchange.load_markets(reload=True)  # to name those that are near
            await self._measure_clock()
            await exchange.fetch_balance()  # asks for nothing but whether the key is good
        except Exception as error:
            if meaning(error, binance=self._binance) is Meaning.KEY:
                raise self.bad_key(error) from error
            raise await self.trouble(error) from error
        exchange.options["createMarketBuyOrderRequiresPrice"] = True  # no quantity is ever taken for a sum to spend
        self.market = find_market(exchange.markets.values(), self._symbol, self._id)
        self.rules = market_rules(self.market, exchange.precisionMode)
        return self.rules

    async def _measure_clock(self) -> None:
        """Compare clocks; half of the round trip is taken off. Binance's requests are stamped with its time."""
        exchange = self.exchange
        if not exchange.has.get("fetchTime"):
            return
        sent: list[float] = []
        with gated(lambda: sent.append(time.time())):  # not the wait for the rate limiter before
            theirs = await exchange.fetch_time()
        answered = time.time()
        if theirs is None or not sent:
            return
        self.skew = theirs / 1000 - (sent[-1] + answered) / 2
        if self._binance:
            exchange.options["timeDifference"] = -round(self.skew * 1000)


def banned(error: Exception) -> bool:
    """Whether a good key is refused for a while: after a good answer, ccxt tells so by this class."""
    return isinstance(error, ccxt_errors().DDoSProtection)
