"""JSON over HTTP from a public data service: paced, with the service's clock and its errors by consequence."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import aiohttp

from bot_core.models.errors import TransientError
from bot_runtime.feeds.pacer import Pacer
from bot_runtime.feeds.venue_clock import VenueClock

_TIMEOUT = aiohttp.ClientTimeout(total=15)
_HOLD_SECONDS = 60.0
_MOST_HOLD_SECONDS = 3600.0
_LONGEST_REASON = 200
# Yahoo turns away clients that give the name of a library.
_HEADERS = {"User-Agent": "Mozilla/5.0 (compatible; tradingbot)", "Accept": "application/json"}


class RefusedThereError(TransientError):
    """The service answered with an error; `status` is HTTP's, `text` its own words."""

    def __init__(self, message: str, status: int, text: str) -> None:
        super().__init__(message)
        self.status, self.text = status, text


class JsonClient:
    """One session of one market; the pacer is the service's, shared with all markets of it."""

    def __init__(self, name: str, base_url: str, pacer: Pacer) -> None:
        self.clock = VenueClock()
        self._name = name
        self._base_url = base_url.rstrip("/")
        self._pacer = pacer
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str, params: Mapping[str, str | int]) -> Any:
        """Return the answer. Raise TransientError for whatever fails, RefusedThereError for an answer that says no."""
        await self._pacer.turn()
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT, headers=_HEADERS, trust_env=True)
        asked = self.clock.mark()
        try:
            async with self._session.get(f"{self._base_url}{path}", params=params) as answer:
                self._read_clock(answer, asked)
                await self._check(answer)
                return await answer.json(content_type=None)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise TransientError(f"{self._name}: {type(error).__name__}: {error}") from error

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _read_clock(self, answer: aiohttp.ClientResponse, asked: float) -> None:
        try:
            said = parsedate_to_datetime(answer.headers["Date"])
        except (KeyError, ValueError):
            return
        self.clock.read(said if said.tzinfo else said.replace(tzinfo=UTC), asked)

    async def _check(self, answer: aiohttp.ClientResponse) -> None:
        if answer.ok:
            return
        text = (await answer.text())[:_LONGEST_REASON]
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._pacer.hold(_retry_after(answer.headers.get("Retry-After")))
        raise RefusedThereError(f"{self._name}: {answer.status} {text}", answer.status, text)


def _retry_after(text: str | None) -> float:
    try:
        return min(max(float(text or ""), 1.0), _MOST_HOLD_SECONDS)
    except ValueError:
        return _HOLD_SECONDS


def whole_second(time: datetime) -> int:
    """Seconds since 1970, rounded down."""
    return int(time.timestamp())
