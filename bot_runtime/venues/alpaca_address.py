"""Where Alpaca is: its own addresses, or others that the environment names. Never a row: it must not redirect keys."""

import os

TRADING_URL_VARIABLE = "TRADINGBOT_ALPACA_URL"
DATA_URL_VARIABLE = "TRADINGBOT_ALPACA_DATA_URL"
_LIVE_URL = "https://api.alpaca.markets"
_PAPER_URL = "https://paper-api.alpaca.markets"
_DATA_URL = "https://data.alpaca.markets"


def trading_url(*, paper: bool) -> str:
    return os.environ.get(TRADING_URL_VARIABLE) or (_PAPER_URL if paper else _LIVE_URL)


def data_url() -> str:
    return os.environ.get(DATA_URL_VARIABLE) or _DATA_URL
