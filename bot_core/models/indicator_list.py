"""The explicit `indicators` list of a rule's block: where old documents put periods. A rule brings its own indicators.

What the list says of them wins over the parameters, as it did on the platform that wrote it.
"""

from collections.abc import Mapping
from typing import Any

from bot_core.models.problem import Notice, Problem
from bot_core.models.rule_spec import IndicatorUse, RuleSpec

_COLUMNS = ("open", "high", "low", "close", "volume")


def listed_inputs(spec: RuleSpec, listed: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the list says of the rule's parameters: the platform that wrote it let the list win.

    A word stands for the logic parameter of that name. Of several uses of one kind, the list names them in order.
    """
    inputs: dict[str, Any] = {}
    left = list(spec.indicators)
    for item in listed if isinstance(listed, list) else ():
        use = next((use for use in left if _is_of(use, item)), None)
        if use is None:
            continue
        left.remove(use)
        for name, own in use.inputs.items():
            value = item["params"].get(name)
            value = params.get(value) if isinstance(value, str) else value
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                inputs[own] = value
    return inputs


def judge_indicators(spec: RuleSpec, listed: Any, path: str, problems: list[Problem], notices: list[Notice]) -> None:
    """A list can say numbers of the rule's own indicators; others are kept and not computed."""
    if not listed:
        return
    if not isinstance(listed, list):
        problems.append(Problem(path, listed, "is not a list of indicators"))
        return
    notices.append(Notice(path, f"only its numbers are read: {spec.name} brings its own ones"))
    for index, item in enumerate(listed):
        if not any(_is_of(use, item) for use in spec.indicators):
            own = ", ".join(dict.fromkeys(use.type for use in spec.indicators))
            notices.append(Notice(f"{path}.{index}", f"is none of the rule's own indicators ({own}); kept, not read"))


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
