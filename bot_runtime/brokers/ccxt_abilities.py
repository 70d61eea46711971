"""Which exchanges of ccxt can be traded live by orders that carry our ids, and how they write those. Pure data."""

from bot_runtime.venues.ccxt_client import BINANCE_FAMILY

#: ccxt sends our id with a spot order there, and reads it back. Without it a lost answer could never be found again.
CARRIES_IDS = BINANCE_FAMILY | {
    "aster", "backpack", "bigone", "bingx", "bitfinex", "bitget", "bitmart", "bitmex", "bitrue", "bitstamp",
    "bittrade", "blockchaincom", "btcmarkets", "btcturk", "bullish", "bybit", "bybiteu", "cex", "coinbase",
    "coinbaseexchange", "coinbaseinternational", "coinex", "coinsph", "cryptocom", "cryptomus", "deepcoin", "delta",
    "exmo", "extended", "foxbit", "gate", "gateeu", "gemini", "hashkey", "htx", "hyperliquid", "kucoin", "kucoineu",
    "latoken", "lbank", "lighter", "mexc", "myokx", "ndax", "okx", "okxus", "onetrading", "phemex", "poloniex",
    "tokocrypto", "toobit", "upbit", "weex", "whitebit", "woo", "zebpay",
}  # fmt: skip
#: `fetchOrder` of ccxt reads `clientOrderId` there; others would take an unknown parameter for no order.
FOUND_BY_ID = BINANCE_FAMILY | {"okx", "okxus", "myokx", "kucoin"}
#: Stops rest among the other orders there; elsewhere they are things of their own that the lists don't show.
STOPS_IN_THE_BOOK = BINANCE_FAMILY
#: They take letters and digits only; an upper-case letter is in no id of ours.
NO_DASHES = frozenset({"okx", "okxus", "myokx"})
#: What an id has to begin with.
PREFIXES = {"gate": "t-", "gateeu": "t-"}


def unfit(exchange_id: str) -> str | None:
    """Why an exchange can't be traded live, or None."""
    if exchange_id == "kraken":
        return "its client order ids hold 18 characters, ours need more"
    if exchange_id not in CARRIES_IDS:
        return "its spot orders don't carry client order ids, by which an order is found again after a lost answer"
    return None
