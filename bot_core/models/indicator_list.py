"""The explicit `indicators` list of a rule's block: where old documents put periods. A rule brings its own indicators.

What the list says of them is taken where no parameter says it; what contradicts the rule is a problem.
"""

from collections.abc import Mapping
from typing import Any

from bot_core.models.problem import Notice, Problem
from bot_core.models.rule_spec import IndicatorUse, ParameterValue, RuleKind, RuleSpec

_COLUMNS = ("open", "high", "low", "close", "volume")


def listed_inputs(spec: RuleSpec, listed: Any) -> dict[str, Any]:
    """Return the numbers that the list gives for parameters of the rule, where it is plain which indicator is meant."""
    inputs: dict[str, Any] = {}
    for item in listed if isinstance(listed, list) else ():
        uses = [use for use in spec.indicators if _is_of(use, item)]
        if len(uses) == 1:
            params = item["params"]
            inputs |= {
                own: params[name] for name, own in uses[0].inputs.items() if isinstance(params.get(name), (int, float))
            }
    return inputs


def judge_indicators(
    spec: RuleSpec,
    values: Mapping[str, ParameterValue],
    listed: Any,
    path: str,
    problems: list[Problem],
    notices: list[Notice],
) -> None:
    """Accept the list only where it says what the rule does anyway, with these values of its parameters."""
    if not listed:
        return
    if not isinstance(listed, list):
        problems.append(Problem(path, listed, "is not a list of indicators"))
        return
    notices.append(Notice(path, f"is not read: {spec.name} brings its own indicators"))
    for index, item in enumerate(listed):
        if not any(_is_same(spec.kind, use, values, item) for use in spec.indicators):
            own = "; ".join(_described(use, values) for use in spec.indicators)
            problems.append(Problem(f"{path}.{index}", item, f"differs from the rule's own indicators: {own}"))


def _is_of(use: IndicatorUse, item: Any) -> bool:
    params = item.get("params") if isinstance(item, Mapping) else None
    if not isinstance(params, Mapping) or item.get("type") != use.type:
        return False
    field = item.get("data_field")
    if use.averages is not None:
        # The field is the alias that the list gives to the averaged indicator, which may be any word.
        return field is not None and field not in _COLUMNS
    # Without a field the list meant the close, wrongly, for volume averages: the rule's own reading stands.
    return field is None or field == use.data_field


def _is_same(kind: RuleKind, use: IndicatorUse, values: Mapping[str, ParameterValue], item: Any) -> bool:
    wanted = {name: (values[own], own, kind.prefix + own) for name, own in use.inputs.items()}
    return _is_of(use, item) and all(item["params"].get(name) in allowed for name, allowed in wanted.items())


def _described(use: IndicatorUse, values: Mapping[str, ParameterValue]) -> str:
    inputs = ", ".join(f"{name} {values[own]}" for name, own in use.inputs.items())
    return f"{use.type}({inputs})"
