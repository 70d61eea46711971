"""What a document's symbol is at Interactive Brokers: a US share, or a pair of currencies."""

from collections.abc import Awaitable, Callable

from ib_async import IB, Contract, ContractDetails, Forex, Stock

from bot_core.models.errors import InvalidBotError
from bot_runtime.venues.ibkr_session import IbkrSession

_CURRENCIES = frozenset({
    "AED", "AUD", "CAD", "CHF", "CNH", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "JPY",
    "KRW", "MXN", "NOK", "NZD", "PLN", "RUB", "SAR", "SEK", "SGD", "TRY", "USD", "ZAR",
})  # fmt: skip
_CODE = 3
_CLASS_SHARES = range(3, 6)


def candidates(symbol: str) -> list[Contract]:
    """Six letters of two currencies are a pair; all else is a share in dollars, BRKB also as `BRK B`. Pure."""
    base, quote = symbol[:_CODE], symbol[_CODE:]
    if base in _CURRENCIES and quote in _CURRENCIES:
        return [Forex(symbol)]
    names = [symbol, f"{symbol[:-1]} {symbol[-1]}"] if len(symbol) in _CLASS_SHARES else [symbol]
    return [Stock(name, "SMART", "USD") for name in names]


async def find_contract(session: IbkrSession, symbol: str) -> tuple[Contract, ContractDetails]:
    """Return the contract to trade and what is known of it. Raise InvalidBotError where the venue has none."""
    for wanted in candidates(symbol):
        found = await session.ask(f"contract {wanted.symbol}", _details_of(wanted))
        for details in found:
            contract = details.contract
            if contract is not None and contract.secType == wanted.secType:
                contract.exchange = wanted.exchange
                return contract, details
    message = "is not known to Interactive Brokers; allowed: a US share such as AAPL, or a pair such as EURUSD"
    raise InvalidBotError(f"symbol: {symbol!r} {message}")


def _details_of(contract: Contract) -> Callable[[IB], Awaitable[list[ContractDetails]]]:
    def question(ib: IB) -> Awaitable[list[ContractDetails]]:
        return ib.reqContractDetailsAsync(contract)

    return question


def is_pair(contract: Contract) -> bool:
    return contract.secType == "CASH"
