"""What the rules still know after their document has changed. Pure.

What was seen of the market since the entry (a highest high, an age) is kept; what was computed with a parameter that
changed (a stop, a risk) is not, and the rule computes it anew. A rule of another name, and one of a plugin or a model
whose parameters changed, begins as if the position had just been opened. What the limits count (losses and entries of
the day, the peak, the high of the position) is no parameter's: it outlives every change.
"""

from collections.abc import Mapping
from typing import Any

from bot_core.models.config import BotConfig, parse_config
from bot_core.models.rule import RuleConfig
from bot_core.models.strategy import CUSTOM_STRATEGY
from bot_runtime.engine.kernel import RISK
from bot_runtime.engine.reload_plan import moved_market
from bot_runtime.strategies.registry import ENTRIES, EXITS

#: Of each exit rule whose state outlives a change: the fields that parameters went into, and what they begin with.
#: An empty set of parameters stands for all.
COMPUTED: Mapping[str, Mapping[str, tuple[frozenset[str], Any]]] = {
    "ATRExitMixin": {"entry_atr": (frozenset({"atr_period"}), None), "stop": (frozenset(), None)},
    "AdvancedATRExitMixin": {
        "risk": (frozenset(), None),
        "stop": (frozenset(), None),
        "phase": (frozenset(), 0),
        "bars_since_move": (frozenset(), None),
    },
    "MultiLevelAtrExitMixin": {"stop": (frozenset(), None)},
    "TrailingStopExitMixin": {},
    "TimeBasedExitMixin": {},
}


def carried_state(old_document: Any, new_config: BotConfig, saved_rule_state: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the saved state that rules and limits of the new document may go on with.

    `old_document` is the document that the state was saved under. Where `begins_anew` then says so, the strategy is
    to be told of the open position (`opened`) after it has loaded the result.
    """
    saved = dict(saved_rule_state)
    old = parse_config(old_document).config
    if old is None:
        return saved
    risk = {RISK: saved[RISK]} if saved.get(RISK) else {}
    if moved_market(old, new_config):
        return {name: {**part, "position": None} for name, part in risk.items()}
    if old.strategy == new_config.strategy:
        return saved
    return risk | _rules(old, new_config, saved)


def _rules(old: BotConfig, new_config: BotConfig, saved: Mapping[str, Any]) -> dict[str, Any]:
    if not (_is_plain(old) and _is_plain(new_config)):
        return {}
    parts = {
        "entry": _entry(old.strategy.entry, new_config.strategy.entry, saved.get("entry")),
        "exit": _exit(old.strategy.exit, new_config.strategy.exit, saved.get("exit")),
    }
    return {name: part for name, part in parts.items() if part is not None}


def begins_anew(saved: Mapping[str, Any], carried: Mapping[str, Any]) -> bool:
    """Whether the exit's memory of the trade was dropped as a whole."""
    return carried != saved and "exit" not in carried


def _is_plain(config: BotConfig) -> bool:
    return config.strategy.type == CUSTOM_STRATEGY and config.strategy.model is None


def _entry(old: RuleConfig, new: RuleConfig, saved: Any) -> Any:
    """Built-in entries remember when they last signalled, whatever their parameters."""
    return saved if _is_same(old, new) or (old.name == new.name and new.name in ENTRIES) else None


def _exit(old: RuleConfig, new: RuleConfig, saved: Any) -> Any:
    if _is_same(old, new):
        return saved
    state = saved.get("state") if isinstance(saved, Mapping) else None
    computed = COMPUTED.get(new.name)
    if old.name != new.name or computed is None or not isinstance(state, Mapping):
        return None
    names = {*old.parameters, *new.parameters}
    changed = {name for name in names if old.parameters.get(name) != new.parameters.get(name)}
    anew = {field: start for field, (inputs, start) in computed.items() if not inputs or inputs & changed}
    # What was noted of the signal's bar was measured by the old parameters.
    return {"rule": new.name, "state": {**state, **anew}, "at_signal": {}}


def _is_same(old: RuleConfig, new: RuleConfig) -> bool:
    """What a built-in rule ignores changes nothing; a plugin's own parameters are not told from what it ignores."""
    built_in = new.name in ENTRIES or new.name in EXITS
    same = old.name == new.name and old.parameters == new.parameters
    return same and (built_in or old.ignored == new.ignored)
