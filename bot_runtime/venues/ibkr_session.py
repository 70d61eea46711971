"""Connections to TWS or IB Gateway: one for each host, port and client id in a process, opened again with back-off.

Where to connect comes from the environment, never from a row. It asks and waits; it places and cancels nothing itself.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from weakref import WeakKeyDictionary

from ib_async import IB, Fill, StartupFetch, Trade
from ib_async.util import getLoop

from bot_core.models.errors import InvalidBotError, TransientError

_T = TypeVar("_T")

ANSWER_SECONDS = 10.0
_FIRST_RETRY, _LAST_RETRY = 1.0, 60.0
_FETCH = StartupFetch.ORDERS_OPEN | StartupFetch.ORDERS_COMPLETE | StartupFetch.EXECUTIONS
#: https://interactivebrokers.github.io/tws-api/message_codes.html
_UPSTREAM_LOST, _UPSTREAM_BACK = frozenset({1100, 2110}), frozenset({1101, 1102})
_NO_COMPLAINT = range(2100, 2200)  # market data farms are well, and the like
_CLIENT_IDS = range(1, 1_000_000)  # 0 would take over orders that people place by hand

logging.getLogger("ib_async").setLevel(logging.CRITICAL)  # what it calls an error is told by what is raised here


class GatewayError(TransientError):
    """The gateway, or what is behind it, does not answer. Nothing was asked of it that changes anything."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where a gateway listens, and the name that the gateway knows this process by."""

    host: str
    port: int
    client_id: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port} (client id {self.client_id})"

    @classmethod
    def from_environment(
        cls, *, paper: bool, client_id: object = None, environment: Mapping[str, str] = os.environ
    ) -> "Gateway":
        """Read IBKR_HOST, IBKR_PORT or IBKR_PAPER_PORT, and IBKR_CLIENT_ID, which a row's own client id precedes.

        Raise InvalidBotError for a value that is not allowed.
        """
        port = "IBKR_PAPER_PORT" if paper else "IBKR_PORT"
        given = client_id if client_id is not None else environment.get("IBKR_CLIENT_ID") or 1
        return cls(
            environment.get("IBKR_HOST") or "127.0.0.1",
            _whole(port, environment.get(port) or ("4002" if paper else "4001"), range(1, 65_536)),
            _whole("client id of ibkr", given, _CLIENT_IDS),
        )


@dataclass(frozen=True, slots=True)
class Orders:
    """What the gateway said in one round: open orders of every client, orders completed today, today's executions."""

    open: list[Trade] = field(default_factory=list)
    completed: list[Trade] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)


class IbkrSession:
    """A connection that several bots share. Whoever opened it closes it."""

    def __init__(self, gateway: Gateway, pool: "dict[Gateway, IbkrSession]") -> None:
        self.gateway = gateway
        self.users = 0
        self._ib = IB()
        self._ib.errorEvent += self._heard
        self._pool = pool
        self._connecting, self._asking = asyncio.Lock(), asyncio.Lock()
        self._upstream = True
        self._complaint = ""
        self._retry_at, self._retry_seconds = 0.0, _FIRST_RETRY
        self._round, self._orders = 0, Orders()

    async def ready(self) -> IB:
        """Return the connected client. Raise GatewayError where there is none now."""
        async with self._connecting:
            if not self._ib.isConnected():
                await self._connect()
        if not self._upstream:
            raise GatewayError(f"the gateway at {self.gateway} has lost its connection to Interactive Brokers")
        return self._ib

    async def ask(self, what: str, question: Callable[[IB], Awaitable[_T]]) -> _T:
        """Ask one question at a time: answers to the same kind of question are not told apart by the gateway."""
        ib = await self.ready()
        async with self._asking:
            return await self._answer(what, question(ib))

    async def orders(self) -> Orders:
        """Return a round of answers that began after this call; callers that wait together share one."""
        wanted = self._round + 1
        ib = await self.ready()
        async with self._asking:
            if self._round < wanted:
                opened = await self._answer("open orders", ib.reqAllOpenOrdersAsync())
                completed = await self._answer("completed orders", ib.reqCompletedOrdersAsync(apiOnly=False))
                fills = await self._answer("executions", ib.reqExecutionsAsync())
                self._orders = Orders(opened, completed, fills)
                self._round = wanted
            return self._orders

    async def aclose(self) -> None:
        """Let go; the last user disconnects."""
        self.users -= 1
        if self.users <= 0:
            if self._pool.get(self.gateway) is self:
                del self._pool[self.gateway]
            self._ib.disconnect()

    async def _answer(self, what: str, question: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await question
        except TimeoutError as error:
            self._ib.disconnect()  # a late answer would be taken for that to the next question
            raise GatewayError(f"{what}: no answer from the gateway at {self.gateway}{self._why()}") from error
        except ConnectionError as error:
            raise GatewayError(f"{what}: the gateway at {self.gateway} went away{self._why()}") from error

    async def _connect(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._retry_at:
            raise GatewayError(f"no connection to the gateway at {self.gateway}{self._why()}")
        self._upstream, self._complaint = True, ""
        getLoop.cache_clear()  # the library's first event loop may have been another one, and closed since
        try:
            await self._ib.connectAsync(
                self.gateway.host,
                self.gateway.port,
                self.gateway.client_id,
                timeout=ANSWER_SECONDS,
                raiseSyncErrors=True,
                fetchFields=_FETCH,
            )
        except (OSError, TimeoutError) as error:
            self._retry_at = asyncio.get_running_loop().time() + self._retry_seconds
            self._retry_seconds = min(self._retry_seconds * 2, _LAST_RETRY)
            self._complaint = self._complaint or str(error) or type(error).__name__
            raise GatewayError(f"no connection to the gateway at {self.gateway}{self._why()}") from error
        self._retry_seconds = _FIRST_RETRY

    def _heard(self, _request: int, code: int, message: str, _contract: object) -> None:
        if code in _UPSTREAM_LOST:
            self._upstream = False
        elif code in _UPSTREAM_BACK:
            self._upstream = True
        elif code not in _NO_COMPLAINT:
            self._complaint = f"{message} ({code})"

    def _why(self) -> str:
        return f": {self._complaint}" if self._complaint else ""


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Gateway, IbkrSession]] = WeakKeyDictionary()


def open_session(gateway: Gateway) -> IbkrSession:
    """Share the session of this process with a gateway. It connects when it is first asked something."""
    pool = _pools.setdefault(asyncio.get_running_loop(), {})
    session = pool.get(gateway) or pool.setdefault(gateway, IbkrSession(gateway, pool))
    session.users += 1
    return session


def _whole(name: str, value: object, allowed: range) -> int:
    try:
        number = int(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else -1
    except ValueError:
        number = -1
    if number not in allowed:
        raise InvalidBotError(f"{name}: {value!r} is not allowed; allowed: {allowed[0]} to {allowed[-1]}")
    return number
