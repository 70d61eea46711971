"""Requests to Alpaca: one session a handle, one budget of requests a key in this process, errors by what they mean.

It knows neither orders nor bars: brokers and feeds give a method and a path and read the document that comes back.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import aiohttp

from bot_core.models.errors import TransientError
from bot_runtime.venues.credentials import Credentials

TIMEOUT_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_REQUESTS_A_SECOND = 200 / 60  # what Alpaca allows an account
_BURST = 50
_TOO_MANY = 429
_HOLD_SECONDS = 1.0
_LONGEST_REASON = 300
_budgets: WeakValueDictionary[tuple[int, str], "_Budget"] = WeakValueDictionary()


class UnreachableError(TransientError):
    """The request certainly did not arrive: there was no connection."""


class NoAnswerError(TransientError):
    """The request may have arrived; no answer did."""


class Answer(NamedTuple):
    """`document` is None where the body is no JSON; amounts in it are Decimal. `date` is the header of that name."""

    status: int
    document: Any
    date: str = ""

    @property
    def ok(self) -> bool:
        return self.status < 300  # noqa: PLR2004  # as HTTP has it

    @property
    def code(self) -> int:
        """Alpaca's own number of the error, 0 where it gives none."""
        code = self.document.get("code") if isinstance(self.document, Mapping) else None
        return code if isinstance(code, int) else 0

    @property
    def message(self) -> str:
        """What Alpaca says about the error."""
        said = self.document.get("message") if isinstance(self.document, Mapping) else None
        return str(said or f"HTTP {self.status}")[:_LONGEST_REASON]


class _Budget:
    """Tokens for requests: a burst, then an even pace."""

    def __init__(self) -> None:
        self._tokens = float(_BURST)
        self._at = asyncio.get_running_loop().time()

    async def take(self) -> None:
        now = asyncio.get_running_loop().time()
        self._tokens = min(_BURST, self._tokens + (now - self._at) * _REQUESTS_A_SECOND) - 1
        self._at = now
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / _REQUESTS_A_SECOND)

    def hold(self, seconds: float) -> None:
        """Let no request leave for so long: Alpaca had too many."""
        self._tokens = min(self._tokens, -seconds * _REQUESTS_A_SECOND)


class AlpacaHttp:
    """One base address. Without credentials only public market data answers."""

    def __init__(self, base_url: str, credentials: Credentials | None) -> None:
        self._base_url = base_url.rstrip("/")
        self._credentials = credentials
        self._session: aiohttp.ClientSession | None = None
        self._budget: _Budget | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> Answer:
        """Send once. `before` is asked when all waiting for the budget is over; what it raises holds the request back.

        Raise UnreachableError or NoAnswerError; every answer is returned, whatever its status.
        """
        session = self._opened()
        assert self._budget is not None  # noqa: S101  # made with the session
        await self._budget.take()
        if before is not None:
            before()
        try:
            async with session.request(
                method, self._base_url + path, params=query, json=body, allow_redirects=False
            ) as response:
                if response.status == _TOO_MANY:
                    self._budget.hold(_HOLD_SECONDS)
                return Answer(response.status, _document(await response.read()), response.headers.get("Date", ""))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise UnreachableError(f"{method} {path} at Alpaca: no connection: {type(error).__name__}") from error
        except (TimeoutError, aiohttp.ClientError) as error:
            raise NoAnswerError(f"{method} {path} at Alpaca: no answer: {type(error).__name__}") from error

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
        self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            limits = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS, connect=_CONNECT_SECONDS)
            self._session = aiohttp.ClientSession(headers=self._headers(), timeout=limits, trust_env=True)
            key = (id(asyncio.get_running_loop()), "" if self._credentials is None else self._credentials.key)
            self._budget = _budgets.setdefault(key, _Budget())
        return self._session

    def _headers(self) -> dict[str, str]:
        if self._credentials is None:
            return {}
        return {"APCA-API-KEY-ID": self._credentials.key, "APCA-API-SECRET-KEY": self._credentials.secret}


def _document(body: bytes) -> Any:
    try:
        return json.loads(body, parse_float=Decimal)
    except ValueError:
        return None
