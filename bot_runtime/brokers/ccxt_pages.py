"""Reading a list of an exchange to its end, whichever end the exchange begins at.

A page that is full may have cut something off: then the next one is asked for, and a list whose pages lead nowhere is
an error, never the end. It asks nothing else and knows no ids of ours.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bot_runtime.brokers.base import VenueUnavailableError

Order = Mapping[str, Any]
Fetch = Callable[..., Awaitable[list[Order]]]

#: No exchange that is traded live has smaller pages.
PAGE = 50
MOST_PAGES = 40


async def every_page(fetch: Fetch, symbol: str, since: int, exchange_id: str) -> list[Order]:
    """Return all that `fetch(symbol, since, limit, parameters)` of ccxt lists since a time, in milliseconds.

    Raises what ccxt raises, and VenueUnavailableError where that can't be had for certain.
    """
    pages = _Pages(fetch, symbol, exchange_id)
    if not await pages.full(since):
        return pages.orders
    first, last = pages.span()
    while await pages.full(last):
        last = pages.beyond(last, pages.span()[1])
    while first > since and await pages.full(since, until=first + 1):
        first = -pages.beyond(-first, -pages.span()[0])
    return pages.orders


class _Pages:
    def __init__(self, fetch: Fetch, symbol: str, exchange_id: str) -> None:
        self._fetch, self._symbol, self._id = fetch, symbol, exchange_id
        self._found: dict[str, Order] = {}
        self._asked = 0

    @property
    def orders(self) -> list[Order]:
        return list(self._found.values())

    def span(self) -> tuple[int, int]:
        """The times of the oldest and the newest order so far."""
        times = [order.get("timestamp") for order in self._found.values()]
        known = [int(time) for time in times if time]
        if not known or len(known) < len(times):
            raise self._cut_off()
        return min(known), max(known)

    def beyond(self, reached: int, now: int) -> int:
        """Return how far the newest full page went, which has to be further than those before."""
        if now <= reached:
            raise self._cut_off()
        return now

    async def full(self, since: int, **params: int) -> bool:
        """Ask for a page; whether it may have been cut off."""
        self._asked += 1
        if self._asked > MOST_PAGES:
            raise self._cut_off()
        page = await self._fetch(self._symbol, since, PAGE, params)
        self._found |= {str(order["id"]): order for order in page}
        return len(page) >= PAGE

    def _cut_off(self) -> VenueUnavailableError:
        return VenueUnavailableError(f"{self._id}: its list of {self._symbol} orders can't be read to its end")
