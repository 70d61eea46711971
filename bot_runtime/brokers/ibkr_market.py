"""Which account of a gateway is traded, what its market allows, how far back the gateway remembers. Asks nothing."""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ib_async import Contract, ContractDetails

from bot_core.models.errors import InvalidBotError
from bot_runtime.domain.bar import from_epoch_ms
from bot_runtime.domain.market import MarketRules
from bot_runtime.domain.money import decimal_of
from bot_runtime.venues.ibkr_contracts import is_pair

_ONE = Decimal(1)
_CENT = Decimal("0.01")
_LEAST_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "W": 604_800, "M": 28 * 86_400}
_SIGNAL_TIME = re.compile(r"-(\d{12,14})(?:-|$)")


def chosen_account(accounts: Sequence[str], *, paper: bool, environment: Mapping[str, str] = os.environ) -> str:
    """IBKR_ACCOUNT where the login has several. Accounts of paper trading begin with D, and only they do.

    Raise InvalidBotError where the account is not of the kind that the row asks for.
    """
    wanted = environment.get("IBKR_ACCOUNT") or (accounts[0] if len(accounts) == 1 else "")
    if wanted not in accounts:
        raise InvalidBotError(f"IBKR_ACCOUNT names none of the login's {len(accounts)} accounts; set it to one of them")
    if paper != wanted.startswith("D"):
        kind, port = ("live", "IBKR_PAPER_PORT") if paper else ("paper", "IBKR_PORT")
        raise InvalidBotError(
            f"broker.testnet is {str(paper).lower()} and the gateway is logged in to a {kind} account;"
            f" allowed: {port} of a gateway of the other kind, or broker.testnet {str(not paper).lower()}"
        )
    return wanted


def market_rules(contract: Contract, details: ContractDetails) -> MarketRules:
    """Whole shares and units of currency. The least tick of a share holds below a dollar only: above it is a cent."""
    tick = decimal_of(details.minTick) if details.minTick > 0 else _CENT
    return MarketRules(_ONE, tick if is_pair(contract) else max(tick, _CENT), min_quantity=_ONE)


class GatewayMemory:
    """A gateway forgets orders that are over at midnight of its own time zone, IBKR_TIMEZONE."""

    def __init__(self, interval: str, environment: Mapping[str, str] = os.environ) -> None:
        zone = environment.get("IBKR_TIMEZONE") or "America/New_York"
        try:
            self._zone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise InvalidBotError(f"IBKR_TIMEZONE: {zone!r} is no time zone; allowed: such as Europe/Berlin") from error
        self._interval = timedelta(seconds=int(interval[:-1]) * _LEAST_SECONDS[interval[-1]])

    def holds(self, client_order_id: str, now: datetime) -> bool:
        """Whether an order of this name can only be one of today: it is sent when the bar that it names has closed."""
        said = _SIGNAL_TIME.search(client_order_id)
        if said is None:
            return True
        today = now.astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0)
        return from_epoch_ms(int(said[1])) + self._interval >= today
