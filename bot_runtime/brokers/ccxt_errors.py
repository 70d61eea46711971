"""What an error of ccxt means for an order or a question: pure, and careful with what is not certain."""

import re
from enum import Enum, auto
from typing import Any

import aiohttp

from bot_core.logs import masked
from bot_runtime.venues.ccxt_import import ccxt_errors

_CODE = re.compile(r'"code"\s*:\s*"?(-?\d+)')
_MESSAGE = re.compile(r'"msg"\s*:\s*"([^"]+)"')
_NAME = re.compile(r"^[a-z0-9]+ ")  # ccxt begins with the exchange's id
_GATEWAY = re.compile(r" 5\d\d ")  # the status as ccxt writes it
_LONGEST = 200


class Meaning(Enum):
    """What is known after an error."""

    LATE = auto()  # refused because it came after its receive window
    NOT_SENT = auto()  # not delivered, or turned away unread
    REJECTED = auto()  # read and refused
    KEY = auto()  # the key or its rights
    DUPLICATE = auto()  # an order with this id is there
    NO_ORDER = auto()  # there certainly is no such order
    UNKNOWN = auto()


#: Binance's codes, where they say more than the class that ccxt makes of them.
_BINANCE = {
    -1000: Meaning.UNKNOWN,
    -1001: Meaning.UNKNOWN,
    -1002: Meaning.KEY,
    -1003: Meaning.NOT_SENT,  # too many requests
    -1004: Meaning.NOT_SENT,  # server busy
    -1006: Meaning.UNKNOWN,
    -1007: Meaning.UNKNOWN,
    -1008: Meaning.NOT_SENT,  # overloaded
    -1013: Meaning.REJECTED,
    -1015: Meaning.NOT_SENT,  # too many orders
    -1016: Meaning.NOT_SENT,  # service shut down
    -1021: Meaning.LATE,
    -1022: Meaning.KEY,
    -2008: Meaning.KEY,
    -2010: Meaning.REJECTED,
    -2011: Meaning.NO_ORDER,
    -2013: Meaning.NO_ORDER,
    -2014: Meaning.KEY,
    -2015: Meaning.KEY,
}


def meaning(error: Exception, *, binance: bool) -> Meaning:
    """Read the venue's code where there is one, else the class of the error."""
    if "Duplicate order sent" in str(error):
        return Meaning.DUPLICATE
    code = _CODE.search(str(error)) if binance else None
    if code and int(code[1]) in _BINANCE:
        return _BINANCE[int(code[1])]
    return _by_class(error)


def reason(error: Exception) -> str:
    """What the venue said, short, without addresses and secrets."""
    said = _MESSAGE.search(str(error))
    text = said[1] if said else _NAME.sub("", re.sub(r"https?://\S+", "(address)", str(error)))
    return masked(text)[:_LONGEST] or type(error).__name__


def _by_class(error: Exception) -> Meaning:
    kinds: Any = ccxt_errors()
    if isinstance(error.__cause__, aiohttp.ClientConnectorError):
        return Meaning.NOT_SENT
    if isinstance(error, kinds.ExchangeNotAvailable) and _GATEWAY.search(str(error)):
        return Meaning.UNKNOWN  # whatever ccxt calls it, the order may have come through
    for meant, names in _CLASSES:
        if isinstance(error, tuple(getattr(kinds, name) for name in names)):
            return meant
    return Meaning.UNKNOWN


#: In the order in which they are asked: the special before the general.
_CLASSES: tuple[tuple[Meaning, tuple[str, ...]], ...] = (
    (Meaning.DUPLICATE, ("DuplicateOrderId",)),
    (Meaning.NO_ORDER, ("OrderNotFound",)),
    (Meaning.KEY, ("AuthenticationError",)),
    (
        Meaning.NOT_SENT,
        ("DDoSProtection", "RateLimitExceeded", "OnMaintenance", "InvalidNonce", "InvalidProxySettings"),
    ),
    (
        Meaning.REJECTED,
        ("InsufficientFunds", "InvalidOrder", "BadRequest", "NotSupported", "ArgumentsRequired", "OperationRejected"),
    ),
)
