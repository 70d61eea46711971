"""Symbol, broker and data source: aliases, and what follows from one for another."""

import re

from bot_core.models.problem import shown
from bot_core.models.shapes.draft import Draft

_LISTED = {"interactive_brokers": "ibkr"}
#: Brokers that never sent an order anywhere: the paper broker on the document's data source.
_SIMULATED = frozenset({"paper", "mock", "file_broker", "backtrader"})
_MARKETS = {"binance": "binance", "ibkr": "ibkr", "alpaca": "alpaca"}


def plain_symbol(text: str) -> str:
    """The one spelling of a symbol: `eth/usdt`, `ETH-USDT` and `ETHUSDT` are the same market."""
    return re.sub(r"[/.\-_]", "", text.strip()).upper()


def settle_symbol(draft: Draft) -> None:
    """One spelling, from the sections where the top level has none."""
    if draft.get("symbol") is None:
        for section in ("trading", "data"):
            if draft.get("symbol") is None:
                draft.move((section, "symbol"), ("symbol",))
    value = draft.get("symbol")
    if not isinstance(value, str):
        return
    other = draft.get("trading", "symbol")
    if isinstance(other, str) and other != value:
        draft.note(("trading", "symbol"), "is not read: symbol is there as well")
    plain = plain_symbol(value)
    if plain != value and re.fullmatch(r"[A-Z0-9]{1,20}", plain):
        draft.put(("symbol",), plain)
        draft.note(("symbol",), f"{value!r} is read as {plain}")


def settle_broker(draft: Draft) -> None:
    """Only `paper`, `binance`, `ibkr` and `alpaca` are left, and the trading mode is said."""
    if not draft.section("broker"):
        return
    _spell_mode(draft)
    written = draft.get("broker", "type")
    if isinstance(written, str):
        _settle_type(draft, written)
    elif written is None and draft.get("broker", "trading_mode") == "paper":
        _unnamed_paper(draft)
    _settle_cash(draft)


def settle_data_source(draft: Draft) -> None:
    """A document without a data source uses its broker's market data."""
    source = draft.get("data", "data_source")
    if isinstance(source, str) and source != (plain := source.strip().lower()):
        draft.put(("data", "data_source"), plain)
        draft.note(("data", "data_source"), f"is read as {shown('', plain)}")
    if source is not None:
        return
    kind, path = draft.get("broker", "type"), draft.get("broker", "data_source", "file_path")
    if isinstance(path, str) and draft.get("data", "file_path") is None:
        draft.put(("data", "file_path"), path, source=("broker", "data_source", "file_path"))
        draft.put(("data", "data_source"), "file", source=("broker", "data_source"))
        draft.note(("broker", "data_source", "file_path"), "is read as data.file_path")
    elif draft.get("data", "file_path") is not None and kind == "paper":
        draft.put(("data", "data_source"), "file")
        draft.note(("data", "data_source"), "is missing; data.file_path says that it is `file`")
    elif isinstance(kind, str) and kind in _MARKETS and draft.put(("data", "data_source"), _MARKETS[kind]):
        draft.note(("data", "data_source"), f"is missing; the market data of broker {kind} are used")


def _settle_type(draft: Draft, written: str) -> None:
    kind = written.strip().lower()
    if kind == "binance_paper":
        _paper_by_name(draft, "binance")
    elif kind in _SIMULATED:
        _paper_by_name(draft, "paper")
    elif (name := _LISTED.get(kind, kind)) != written:
        _retype(draft, name)


def _spell_mode(draft: Draft) -> None:
    mode = draft.get("broker", "trading_mode")
    plain = mode.strip().lower() if isinstance(mode, str) else mode
    if plain != mode and plain in {"paper", "live"}:
        draft.put(("broker", "trading_mode"), plain)
        draft.note(("broker", "trading_mode"), f"is read as {plain}")


def _paper_by_name(draft: Draft, name: str) -> None:
    """Such a broker trades on paper, whether or not the document says so."""
    path = ("broker", "type")
    if draft.get(*path) != name:
        _retype(draft, name)
    mode = draft.get("broker", "trading_mode")
    if mode is None:
        draft.put(("broker", "trading_mode"), "paper", source=path)
    elif mode == "live":
        draft.refuse(("broker", "trading_mode"), mode, "can't be with a broker that only trades on paper; "
                     "allowed: paper")  # fmt: skip


def _retype(draft: Draft, name: str) -> None:
    path = ("broker", "type")
    draft.note(path, f"{shown('', draft.get(*path))} is read as {shown('', name)}")
    draft.put(path, name)


def _unnamed_paper(draft: Draft) -> None:
    """The platform that such documents come from took its default market where none was named."""
    market = draft.get("data", "data_source")
    name = "binance" if market is None else "paper"
    if isinstance(market, str) and market in _MARKETS:
        name = _MARKETS[market]
    draft.put(("broker", "type"), name)
    draft.note(("broker", "type"), f"is missing; {name} is used, on paper")


def _settle_cash(draft: Draft) -> None:
    draft.move(("broker", "initial_balance"), ("broker", "cash"))
    _copy(draft, ("broker", "paper_trading_config", "initial_balance"), ("broker", "cash"))
    _copy(draft, ("broker", "paper_trading_config", "commission_rate"), ("broker", "commission"))


def _copy(draft: Draft, source: tuple[str, ...], target: tuple[str, ...]) -> None:
    """The source stays: it belongs to the simulation that other programs configure with it."""
    value = draft.get(*source)
    if value is None:
        return
    if draft.get(*target) is None:
        draft.put(target, value, source=source)
        draft.note(source, f"is read as {'.'.join(target)}")
    elif draft.get(*target) != value:
        draft.note(source, f"is not read: {'.'.join(target)} is there as well")
