"""Which exchanges of ccxt can be traded live by orders that carry our ids, and how they write those. Pure data."""

from bot_runtime.venues.ccxt_client import BINANCE_FAMILY

_OKX = frozenset({"okx", "okxus", "myokx"})
#: Orders are asked for and canceled by our id there, at the venue and in ccxt.
FOUND_BY_ID = BINANCE_FAMILY | _OKX | {"aster", "hashkey", "kucoin", "kucoineu", "mexc", "phemex", "weex"}
#: Lists of orders can be narrowed to one id there, by this parameter.
LISTED_BY_ID = {"bybit": "orderLinkId", "bybiteu": "orderLinkId"}
#: Of these, whole lists are looked through.
_LISTED = frozenset({"bitmex", "btcturk", "deepcoin", "foxbit", "latoken", "whitebit"})
#: ccxt sends our id with a spot order there, and reads it back. Without it a lost answer could never be found again.
CARRIES_IDS = FOUND_BY_ID | LISTED_BY_ID.keys() | _LISTED
#: Stops rest among the other orders there; elsewhere they are things of their own that the lists don't show.
STOPS_IN_THE_BOOK = BINANCE_FAMILY
#: They take letters and digits only; an upper-case letter is in no id of ours.
NO_DASHES = _OKX

#: Exchanges whose orders may carry ids, and what stands against trading there nevertheless.
_AGAINST = {
    "its market orders to buy tell what to spend, not what to buy": {
        "bigone", "bitget", "bitmart", "bittrade", "coinbase", "coinex", "coinsph", "cryptomus", "gate", "gateeu",
        "htx", "lbank", "poloniex", "tokocrypto", "toobit", "upbit", "zebpay",
    },
    "it takes no market orders": {"extended", "gemini", "hyperliquid"},
    "its client order ids are numbers or UUIDs, ours are not": {
        "backpack", "bitfinex", "bullish", "coinbaseexchange", "exmo", "lighter", "ndax", "onetrading", "woo",
    },
    "its lists don't show for certain every order that is over": {
        "bingx", "bitrue", "bitstamp", "blockchaincom", "btcmarkets", "cex", "coinbaseinternational", "delta",
    },
    "its client order ids hold 18 characters, ours need more": {"kraken"},
}  # fmt: skip


def unfit(exchange_id: str) -> str | None:
    """Why an exchange can't be traded live, or None."""
    for why, exchanges in _AGAINST.items():
        if exchange_id in exchanges:
            return why
    if exchange_id not in CARRIES_IDS:
        return "its spot orders don't carry client order ids, by which an order is found again after a lost answer"
    return None
