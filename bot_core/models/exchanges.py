"""The exchanges that ccxt knows, beside those that brokers of our own name. A test compares it with ccxt."""

CCXT_EXCHANGES = (
    "aftermath", "apex", "aster", "backpack", "bequant", "bigone", "binancecoinm", "binanceus", "binanceusdm",
    "bingx", "bit2c", "bitbank", "bitbns", "bitfinex", "bitflyer", "bitget", "bithumb", "bitmart", "bitmex",
    "bitopro", "bitrue", "bitso", "bitstamp", "bitteam", "bittrade", "bitvavo", "blockchaincom", "blofin", "btcbox",
    "btcmarkets", "btcturk", "bullish", "bybit", "bybiteu", "bydfi", "cex", "coinbase", "coinbaseexchange",
    "coinbaseinternational", "coincheck", "coinex", "coinmate", "coinone", "coinsph", "coinspot", "cryptocom",
    "cryptomus", "deepcoin", "delta", "deribit", "derive", "digifinex", "dydx", "exmo", "extended", "fmfwio",
    "foxbit", "gate", "gateeu", "gemini", "grvt", "hashkey", "hibachi", "hitbtc", "hollaex", "htx", "hyperliquid",
    "independentreserve", "indodax", "kraken", "krakenfutures", "kucoin", "kucoineu", "kucoinfutures", "latoken",
    "lbank", "lighter", "luno", "mercado", "mexc", "modetrade", "mudrex", "myokx", "ndax", "okx", "okxus",
    "onetrading", "p2b", "pacifica", "paradex", "paymium", "phemex", "poloniex", "tokocrypto", "toobit", "upbit",
    "weex", "whitebit", "woo", "woofipro", "xt", "zaif", "zebpay",
)  # fmt: skip
