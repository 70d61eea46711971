"""`tradingbot` that stops itself (SIGSTOP) right before an order leaves: signed, its lease checked, not yet sent.

It does so once for each time that the file named by PAUSE_BEFORE_SEND is there, which it removes, and for an order
that has all the words of the file in it, such as `side=SELL type=MARKET`.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from bot_runtime.cli.main import main
from bot_runtime.venues import ccxt_client


def pause_before_sends(flag: Path) -> None:
    kind = ccxt_client._Redirected
    send = kind._send

    def paused(self: Any, request: Any, url: Any, **options: Any) -> Any:
        order = request.__name__ == "post" and "/order" in str(url) and flag.exists()
        if order and all(word in str(options.get("data")) for word in flag.read_text().split()):
            flag.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGSTOP)
        return send(self, request, url, **options)

    kind._send = paused  # type: ignore[method-assign]


if __name__ == "__main__":
    pause_before_sends(Path(os.environ["PAUSE_BEFORE_SEND"]))
    sys.exit(main())
