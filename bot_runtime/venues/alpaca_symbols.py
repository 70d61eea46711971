"""How Alpaca may spell a symbol that documents write without punctuation: BTCUSD is BTC/USD, BRKB is BRK.B. Pure."""

_QUOTES = ("USDT", "USDC", "USD", "BTC")
_LONGEST_SHARE = 5
_CLASS_SHARES = range(3, 6)  # a letter of a class follows two letters at least


def is_crypto(symbol: str) -> bool:
    return "/" in symbol


def spellings(symbol: str) -> list[str]:
    """Return the candidates, likeliest first; a pair in USDT may be there in USDT only."""
    found = [symbol]
    pair = next((f"{symbol[: -len(quote)]}/{quote}" for quote in _QUOTES if _ends_with(symbol, quote)), None)
    if pair is not None:
        found.insert(0, pair)
    if len(symbol) in _CLASS_SHARES:
        found.append(f"{symbol[:-1]}.{symbol[-1]}")
    return found


def market_symbol(symbol: str) -> str:
    """Return Alpaca's name of a market: no share has six letters, so what ends in a currency is a pair."""
    pair = spellings(symbol)[0]
    return pair if len(symbol) > _LONGEST_SHARE else symbol


def _ends_with(symbol: str, quote: str) -> bool:
    return symbol.endswith(quote) and len(symbol) > len(quote)
