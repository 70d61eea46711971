"""Alpaca's keys and addresses, from the environment alone: a row names a secret, it never holds or redirects one."""

import os
import re
from collections.abc import Mapping

from bot_core.models.errors import InvalidBotError
from bot_runtime.venues.credentials import Credentials

TRADING_URL_VARIABLE = "TRADINGBOT_ALPACA_URL"
DATA_URL_VARIABLE = "TRADINGBOT_ALPACA_DATA_URL"
_LIVE_URL = "https://api.alpaca.markets"
_PAPER_URL = "https://paper-api.alpaca.markets"
_DATA_URL = "https://data.alpaca.markets"
_DEFAULT = ("ALPACA_API_KEY", "ALPACA_SECRET_KEY")


def key_variables(secret: str | None) -> tuple[str, str]:
    """Return the names of the variables with key and secret: `bot-keys` has BOT_KEYS_API_KEY, BOT_KEYS_API_SECRET."""
    if secret is None:
        return _DEFAULT
    name = re.sub(r"[^A-Z0-9]", "_", secret.upper())
    return f"{name}_API_KEY", f"{name}_API_SECRET"


def find_credentials(secret: str | None, environment: Mapping[str, str] = os.environ) -> Credentials | None:
    """Return the keys that the row names, or else Alpaca's usual variables; None where neither is set."""
    for names in dict.fromkeys((key_variables(secret), _DEFAULT)):
        key, value = (environment.get(name, "") for name in names)
        if key and value:
            return Credentials(" and ".join(names), key, value)
    return None


def credentials(secret: str | None, environment: Mapping[str, str] = os.environ) -> Credentials:
    """Raise InvalidBotError, naming the variables, where there are no keys."""
    found = find_credentials(secret, environment)
    if found is None:
        names = dict.fromkeys((key_variables(secret), _DEFAULT))
        wanted = ", or ".join(" and ".join(pair) for pair in names)
        raise InvalidBotError(f"credentials of alpaca: no keys in the environment; allowed: {wanted}")
    return found


def trading_url(*, paper: bool, environment: Mapping[str, str] = os.environ) -> str:
    return environment.get(TRADING_URL_VARIABLE) or (_PAPER_URL if paper else _LIVE_URL)


def data_url(environment: Mapping[str, str] = os.environ) -> str:
    return environment.get(DATA_URL_VARIABLE) or _DATA_URL
