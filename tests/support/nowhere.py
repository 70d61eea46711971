"""Where tests find every venue and data service that they don't stand in for: at a port where nobody listens."""

CLOSED_PORT = 9  # that of the discard service, which no machine runs any more
_HTTP = f"http://127.0.0.1:{CLOSED_PORT}"

#: Variables that say where a service is, for this process and for those that a test starts.
NOWHERE = {
    "TRADINGBOT_ALPACA_DATA_URL": _HTTP,
    "TRADINGBOT_ALPACA_URL": _HTTP,
    "TRADINGBOT_COINGECKO_URL": _HTTP,
    "TRADINGBOT_EXCHANGE_URL": _HTTP,
    "TRADINGBOT_EXCHANGE_WS_URL": f"ws://127.0.0.1:{CLOSED_PORT}",
    "TRADINGBOT_YAHOO_URL": _HTTP,
    "IBKR_HOST": "127.0.0.1",
    "IBKR_PORT": str(CLOSED_PORT),
    "IBKR_PAPER_PORT": str(CLOSED_PORT),
}
