"""Closed bars from Binance's kline stream, over one connection. Knows no REST, repeats nothing, judges no order.

An own socket, not `ccxt.pro`: Binance's event says whether its bar is closed (`x`), and `watch_ohlcv` drops that. A
bar would count as closed only when the next one begins, which on a quiet market is late, or by this machine's clock,
which may be wrong. Other exchanges of ccxt are polled: one request a bar, for all bots of a market together.
"""

import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Any

import aiohttp

from bot_core.models.errors import TransientError
from bot_runtime.domain.bar import Bar, from_epoch_ms

#: Replaces the address of the stream. Never from a row.
URL_VARIABLE = "TRADINGBOT_EXCHANGE_WS_URL"
#: By exchange and testnet.
ADDRESSES = {
    ("binance", False): "wss://stream.binance.com:9443",
    ("binance", True): "wss://stream.testnet.binance.vision",
    ("binanceus", False): "wss://stream.binance.us:9443",
}
_CONNECT_SECONDS = 10.0
_HEARTBEAT_SECONDS = 20.0


async def closed_klines(
    exchange: str, *, testnet: bool, market_id: str, interval: str, heard: Callable[[datetime], None]
) -> AsyncIterator[Bar]:
    """Subscribe to a market such as BTCUSDT and yield its bars as they close; `heard` is told the venue's time.

    Ends, or raises TransientError, when the connection does.
    """
    address = os.environ.get(URL_VARIABLE) or ADDRESSES[exchange, testnet]
    name = f"{market_id.lower()}@kline_{interval}"
    timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS, sock_connect=_CONNECT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.ws_connect(f"{address.rstrip('/')}/ws", heartbeat=_HEARTBEAT_SECONDS) as socket,
        ):
            await socket.send_json({"method": "SUBSCRIBE", "params": [name], "id": 1})
            async with aclosing(_klines(socket, name, heard)) as bars:
                async for bar in bars:
                    yield bar
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise TransientError(f"stream {name} of {exchange}: {type(error).__name__}: {error}") from error


async def _klines(
    socket: aiohttp.ClientWebSocketResponse, name: str, heard: Callable[[datetime], None]
) -> AsyncGenerator[Bar, None]:
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        try:
            event = json.loads(message.data)
            if "error" in event:
                raise TransientError(f"stream {name}: the subscription was refused: {event['error']}")
            if event.get("e") != "kline":
                continue
            heard(from_epoch_ms(int(event["E"])))
            bar = _closed_bar(event["k"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TransientError(f"stream {name}: unreadable event: {message.data[:200]!r}") from error
        if bar is not None:
            yield bar


def _closed_bar(kline: dict[str, Any]) -> Bar | None:
    if kline["x"] is not True:
        return None
    return Bar(from_epoch_ms(int(kline["t"])), *(float(kline[name]) for name in "ohlcv"))
