"""Which of its historical shapes a document has, and which documents are no bots at all."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Shape(StrEnum):
    """The values go on after "the document is written as …"."""

    CURRENT = "the current shape"
    WITH_ID = "the shape with `id` and no `bot_id`"
    LEGACY = "the older shape of files, with the symbol in its sections"
    FLAT = "the flat shape, with `broker_type` and `strategy_params`"
    MODULES = "the shape with `modules`"
    OLDEST = "the oldest shape, with `trading_pair` and `bot_type`"


PARTS = frozenset(
    {
        "broker", "strategy", "notifications", "trading", "portfolio", "strategy_limits", "risk_management", "data",
        "logging", "scheduling",
    }
)  # fmt: skip
_REMARKS = frozenset({"_comment", "_warning", "name", "description", "version"})
_FLAT_KEYS = ("broker_type", "strategy_type", "strategy_params", "timeframe", "data_source", "paper_trading")
_OLDEST_KEYS = ("bot_type", "trading_pair")


def recognise(document: Mapping[str, Any]) -> Shape:
    """The shape of a document that may be a bot; call `why_no_bot` first."""
    if "modules" in document:
        return Shape.MODULES
    if "broker" not in document:
        if any(key in document for key in _OLDEST_KEYS):
            return Shape.OLDEST
        if any(key in document for key in _FLAT_KEYS):
            return Shape.FLAT
    if "symbol" not in document:
        return Shape.LEGACY
    return Shape.WITH_ID if "id" in document and "bot_id" not in document else Shape.CURRENT


def why_no_bot(document: Mapping[str, Any]) -> tuple[str, str] | None:
    """The path and a sentence that says what the document is, where it is no bot; else None."""
    rest = document.keys() - _REMARKS
    only = next(iter(rest)) if len(rest) == 1 else None
    if not document:
        return "config", "is an empty document; a bot needs at least symbol, broker, data and strategy"
    if is_list_of_bots(document):
        count = len(document["strategies"])
        return "strategies", f"is a list of {count} bots; `tradingbot bots import FILE` makes a row of each"
    if only == "trading_settings":
        return only, "is all there is: this is a file of settings, not a bot"
    if only in PARTS:
        return only, "is all there is: this is one part of a bot's document, not a bot"
    if "components" in document and not document.keys() & {"broker", "strategy"}:
        return "components", "makes this a manifest that only names part files; write the parts' content here instead"
    return _presets(document)


def is_list_of_bots(document: Mapping[str, Any]) -> bool:
    return isinstance(document.get("strategies"), list) and not document.keys() & {"symbol", "broker", "strategy"}


def _presets(document: Mapping[str, Any]) -> tuple[str, str] | None:
    presets = {key: value for key, value in document.items() if key not in _REMARKS}
    if document.keys() & (PARTS | {"symbol", "modules", "overrides"}):
        return None
    if not presets or not all(
        isinstance(v, Mapping) and {"type", "trading_mode"} <= v.keys() for v in presets.values()
    ):
        return None
    names = ", ".join(list(map(str, presets))[:3])
    return str(next(iter(presets))), f"is a broker preset: this is a dictionary of them ({names} …), not a bot"
