"""Finds the keys of a live broker in the environment. A document only names what holds them."""

import os
from collections.abc import Mapping

from bot_core.models.credentials import variable_stem
from bot_core.models.errors import InvalidBotError
from bot_runtime.venues.credentials import Credentials

_Pair = tuple[str, str, str]  # names of key, secret, password
#: Names that installations of the older platform may have, by exchange and testnet.
_OLDER: Mapping[tuple[str, bool], _Pair] = {
    ("binance", False): ("BINANCE_KEY", "BINANCE_SECRET", ""),
    ("binance", True): ("BINANCE_PAPER_KEY", "BINANCE_PAPER_SECRET", ""),
    ("alpaca", False): ("ALPACA_API_KEY", "ALPACA_SECRET_KEY", ""),
    ("alpaca", True): ("ALPACA_API_KEY", "ALPACA_SECRET_KEY", ""),
}


def find_credentials(
    broker: str, secret: str | None, *, testnet: bool, environment: Mapping[str, str] | None = None
) -> Credentials:
    """Return the first complete pair: the Secret's own names, the broker's, the older ones, then plain API_KEY.

    Raises InvalidBotError with every name that was looked for; a value is in no message.
    """
    values = os.environ if environment is None else environment
    pairs = _names(broker, secret, testnet=testnet)
    for key, secret_key, password in [*_in_secret(secret, pairs), *pairs]:
        if values.get(key) and values.get(secret_key):
            found = values.get(password, "") if password else ""
            return Credentials(f"{key} and {secret_key}", values[key].strip(), values[secret_key].strip(), found)
    looked = ", ".join(f"{key} and {secret_key}" for key, secret_key, _ in pairs)
    raise InvalidBotError(
        f"credentials_secret: {secret!r} gives no keys for live trading at {broker}; set one pair of environment "
        f"variables, on Kubernetes by a Secret of that name with one pair as its keys; looked for: {looked}"
    )


def _names(broker: str, secret: str | None, *, testnet: bool) -> list[_Pair]:
    prefixes = [] if secret is None else [variable_stem(secret)]
    prefixes.append(f"{variable_stem(broker)}_TESTNET" if testnet else variable_stem(broker))
    pairs = [(f"{name}_API_KEY", f"{name}_API_SECRET", f"{name}_PASSWORD") for name in prefixes]
    older = _OLDER.get((broker, testnet))
    return [*pairs, *([older] if older else []), ("API_KEY", "API_SECRET", "PASSWORD")]


def _in_secret(secret: str | None, pairs: list[_Pair]) -> list[_Pair]:
    """A pod has each key of the Secret under the Secret's own prefix: the same names again, one by one behind it."""
    if secret is None:
        return []
    stem = variable_stem(secret)
    return [(f"{stem}_{key}", f"{stem}_{value}", f"{stem}_{word}" if word else "") for key, value, word in pairs]
