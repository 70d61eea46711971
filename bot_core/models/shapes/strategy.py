"""The nestings in which strategies were written: all end as strategy.type and strategy.parameters."""

from collections.abc import Mapping
from typing import Any

from bot_core.models.problem import shown
from bot_core.models.shapes.draft import Draft

_PARAMETERS = ("strategy", "parameters")
_CUSTOM = "CustomStrategy"
#: Names that always meant entry and exit rules, the last five of strategies that were never written.
_CUSTOM_NAMES = frozenset(
    {"custom", "rsi_bb", "rsi_bb_volume", "rsi_ichimoku", "rsi_volume_supertrend", "bb_volume_supertrend"}
)
_PARAMETER_KEYS = (
    "entry_logic", "exit_logic", "position_size", "min_position_size", "max_position_size", "asset_type", "use_talib",
)  # fmt: skip
_LOGIC = ("entry_logic", "exit_logic")
#: What the platform of 2025 ran where `strategy_params` named no rule.
_RULES_OF_2025 = {"entry": "RSIBBVolumeEntryMixin", "exit": "RSIBBExitMixin"}


def settle_strategy(draft: Draft) -> None:
    if draft.get("strategy") is not None and not isinstance(draft.get("strategy"), Mapping):
        return
    _settle_type(draft)
    if draft.section("strategy"):
        for key in _PARAMETER_KEYS:
            draft.move(("strategy", key), (*_PARAMETERS, key))
    _unnest(draft)
    _strategy_params(draft)
    _size_of_trading(draft)


def _settle_type(draft: Draft) -> None:
    if draft.get("strategy", "type") is None:
        draft.move(("strategy", "name"), ("strategy", "type"))
    kind = draft.get("strategy", "type")
    if not isinstance(kind, str):
        return
    plain = _CUSTOM if kind.strip().lower() in _CUSTOM_NAMES else kind.strip()
    if plain != kind:
        draft.note(("strategy", "type"), f"{shown('', kind)} is read as {shown('', plain)}")
        draft.put(("strategy", "type"), plain)


def _unnest(draft: Draft) -> None:
    """`strategy_config` held the parameters one level too deep."""
    nested = (*_PARAMETERS, "strategy_config")
    inner = draft.get(*nested)
    if not isinstance(inner, Mapping):
        return
    for key in inner:
        draft.move((*nested, key), (*_PARAMETERS, key))
    draft.drop(nested)


def _strategy_params(draft: Draft) -> None:
    params = draft.get("strategy_params")
    if params is None:
        return
    if not isinstance(params, Mapping):
        draft.refuse(("strategy_params",), params, "is not a JSON object of parameters")
        draft.drop(("strategy_params",))
        return
    if draft.get("strategy", "type") is None:
        draft.put(("strategy", "type"), _CUSTOM, source=("strategy_params",))
    named = any(where.get(key) for where in (params, draft.section(*_PARAMETERS)) for key in _LOGIC)
    if not named:
        for part, name in _RULES_OF_2025.items():
            _rule_of_2025(draft, part, name, params.get(part))
    for key in draft.section("strategy_params"):
        draft.move(("strategy_params", key), (*_PARAMETERS, key))
    draft.drop(("strategy_params",))


def _rule_of_2025(draft: Draft, part: str, name: str, params: Any) -> None:
    source, target = ("strategy_params", part), (*_PARAMETERS, f"{part}_logic")
    if params is None:
        draft.put(target, {"name": name, "params": {}}, source=("strategy_params",))
        draft.note(("strategy_params",), f"names no {part} rule; {name} with its defaults is what ran in 2025")
        return
    draft.put(target, {"name": name}, source=("strategy_params",))
    draft.put((*target, "params"), params, source=source)
    draft.drop(source, f"is read as the parameters of {name}, which is what ran in 2025")


def _size_of_trading(draft: Draft) -> None:
    size, target = draft.get("trading", "position_size"), (*_PARAMETERS, "position_size")
    parameters = draft.get(*_PARAMETERS)
    if size is None or not isinstance(parameters, Mapping) or parameters.get("position_size") is not None:
        return
    draft.put(target, size, source=("trading", "position_size"))
    draft.note(("trading", "position_size"), f"is read as {'.'.join(target)}")
