"""The tests' exchange as a process, with the coins that its words name beside its own. Our environment runs it."""

import asyncio
import sys

from support.exchange import market_data
from support.exchange.markets import MARKETS, Market
from support.exchange.server import Exchange
from support.exchange.venue import Venue

#: Binance tells of an open bar every two seconds; tests, which have no time, are told twenty times a second.
_TOLD_EVERY = 2.0


async def serve(coins: list[str]) -> None:
    """Serve until the process is ended; the first line of standard output is the address."""
    market_data._PUMP_SECONDS = _TOLD_EVERY
    markets = [*MARKETS, *(Market(f"{coin}USDT", coin, "USDT") for coin in coins)]
    async with Exchange(Venue(markets=markets)) as exchange:
        print(exchange.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1:]))
