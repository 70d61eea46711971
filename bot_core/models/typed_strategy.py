"""Strategies that are no pair of rules: what the `parameters` of such a type must say, by the type's name.

Both sides judge a row by it, so it neither opens a model nor imports a plugin's code itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot_core.models.errors import InvalidBotError
from bot_core.models.extensions import Group, extension_parameters
from bot_core.models.ml_strategy import ML_STRATEGIES, ModelConfig, parse_model
from bot_core.models.problem import Notice, Problem
from bot_core.models.rule import RuleConfig, parse_rule
from bot_core.models.rule_parameters import Parameter, ParameterValue, RuleKind
from bot_core.models.rule_value import checked

#: Keys of `parameters` that every strategy has, or that mean nothing anywhere.
COMMON_KEYS = frozenset(
    {"position_size", "min_position_size", "max_position_size", "asset_type", "use_talib", "legacy_strategy_params"}
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides. Where a strategy decides by itself, its own name stands for the rule, with its parameters."""

    entry: RuleConfig
    exit: RuleConfig
    model: ModelConfig | None = None


def is_typed(kind: Any) -> bool:
    """Whether a `strategy.type` is known and has parameters of its own."""
    if not isinstance(kind, str) or kind in ML_STRATEGIES:
        return isinstance(kind, str)
    try:
        extension_parameters(Group.STRATEGIES, kind)
    except LookupError:
        return False
    except InvalidBotError:
        return True
    return True


def parse_typed(
    kind: str, parameters: Mapping[str, Any], path: str, problems: list[Problem], notices: list[Notice]
) -> Rules | None:
    """Read the parameters of a type for which `is_typed` is true; None where there is a problem."""
    if kind in ML_STRATEGIES:
        return _model_rules(kind, parameters, path, problems, notices)
    try:
        declared = extension_parameters(Group.STRATEGIES, kind)
    except (InvalidBotError, LookupError) as error:
        problems.append(Problem(path.removesuffix(".parameters") + ".type", kind, f"can't be used: {error}"))
        return None
    values = _unchecked(parameters) if declared is None else _values(declared, parameters, path, problems)
    if declared is None:
        notices.append(Notice(path, f"is not checked here: {kind} is a plugin's, which the bot checks"))
    else:
        _note_unknown(parameters, {item.name for item in declared}, path, notices)
    own = RuleConfig(name=kind, parameters=values, ignored={})
    return Rules(own, RuleConfig(name=kind, parameters={}))


def _model_rules(
    kind: str, parameters: Mapping[str, Any], path: str, problems: list[Problem], notices: list[Notice]
) -> Rules | None:
    found = len(problems)
    own = {key: value for key, value in parameters.items() if key not in COMMON_KEYS and key != "exit_logic"}
    model = parse_model(kind, own, path, problems, notices)
    exit_: RuleConfig | None = RuleConfig(name=kind, parameters={})
    if parameters.get("exit_logic") is not None:
        exit_ = parse_rule(RuleKind.EXIT, parameters["exit_logic"], f"{path}.exit_logic", problems, notices)
    elif model is not None and not model.can_exit:
        problems.append(Problem(path, None, "has no way to sell; allowed: exit_threshold, stop_loss, exit_logic …"))
    if model is None or exit_ is None or len(problems) > found:
        return None
    return Rules(RuleConfig(name=kind, parameters={}), exit_, model)


def _values(
    declared: tuple[Parameter, ...], parameters: Mapping[str, Any], path: str, problems: list[Problem]
) -> dict[str, ParameterValue]:
    values: dict[str, ParameterValue] = {}
    for item in declared:
        given = parameters.get(item.name)
        value = item.default if given is None else checked(item, given)
        if value is None:
            message = f"is not allowed for {item.meaning}; allowed: {item.allowed}"
            problems.append(Problem(f"{path}.{item.name}", given, message))
        else:
            values[item.name] = value
    return values


def _unchecked(parameters: Mapping[str, Any]) -> dict[str, ParameterValue]:
    return {key: value for key, value in parameters.items() if isinstance(value, (bool, int, float, str))}


def _note_unknown(parameters: Mapping[str, Any], known: set[str], path: str, notices: list[Notice]) -> None:
    unknown = [key for key in parameters if key not in known | COMMON_KEYS]
    notices += [Notice(f"{path}.{key}", "is not known here; kept, not read") for key in unknown]
