"""A stand-in for Binance spot, good enough that the real ccxt drives it by nothing but another address."""
