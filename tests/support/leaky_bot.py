"""`tradingbot` with two faults of a kind that leaks keys: errors whose text and traceback hold them.

One is raised inside ccxt while a request is signed, one in the bot's own loop. Each comes once for each time that
the file of its name in the folder LEAKS is there, which it removes.
"""

import os
import sys
from pathlib import Path
from typing import Any

from bot_runtime.brokers.ccxt_broker import CcxtBroker
from bot_runtime.cli.main import main
from bot_runtime.venues import ccxt_client


def leak(folder: Path) -> None:
    build, on_bar = ccxt_client._build, CcxtBroker.on_bar

    def struck(fault: str) -> bool:
        there = (folder / fault).exists()
        (folder / fault).unlink(missing_ok=True)
        return there

    def leaky(*args: Any) -> Any:
        shared = build(*args)
        exchange, sign = shared.exchange, shared.exchange.sign

        def signed(path: str, *more: Any, **options: Any) -> Any:
            if exchange.secret and struck("sign"):
                raise KeyError(f"no {path} in {{'apiKey': '{exchange.apiKey}', 'secret': '{exchange.secret}'}}")
            return sign(path, *more, **options)

        exchange.sign = signed
        return shared

    async def on_bar_leaky(self: CcxtBroker, bar: Any) -> Any:
        if struck("loop"):
            exchange = self._venue.exchange
            try:
                raise ValueError(f"{exchange.secret} is wrong")
            except ValueError as error:
                raise RuntimeError(f"request with X-MBX-APIKEY {exchange.apiKey} failed: {error}") from error
        return await on_bar(self, bar)

    ccxt_client._build = leaky
    CcxtBroker.on_bar = on_bar_leaky  # type: ignore[method-assign]


if __name__ == "__main__":
    leak(Path(os.environ["LEAKS"]))
    sys.exit(main())
