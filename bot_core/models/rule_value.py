"""The value of one parameter of a rule, from whichever of its names a document uses."""

from collections.abc import Mapping
from typing import Any

from bot_core.models.problem import Notice, Problem
from bot_core.models.rule_spec import Parameter, ParameterValue, RuleKind

_PERCENT = 100


def spellings(kind: RuleKind, parameter: Parameter) -> list[str]:
    """Every way to write a parameter, the one that wins first."""
    others = (*parameter.aliases, *parameter.percent_aliases)
    bare = (parameter.name, *others)
    return [*bare, *(kind.prefix + name for name in bare)]


def read_value(
    kind: RuleKind,
    parameter: Parameter,
    params: Mapping[str, Any],
    path: str,
    problems: list[Problem],
    notices: list[Notice],
) -> ParameterValue:
    """Return the value that wins, or the default where none is written or the one that is isn't allowed."""
    written = [name for name in spellings(kind, parameter) if params.get(name) is not None]
    if not written:
        return parameter.default
    used, *unused = written
    notices += [Notice(f"{path}.{name}", f"is not read: {used} is there as well") for name in unused]
    given = params[used]
    in_percent = used.removeprefix(kind.prefix) in parameter.percent_aliases
    value = checked(parameter, _of_percent(given) if in_percent else given)
    if value is None:
        allowed = f"{parameter.allowed}, times 100: this name is in per cent" if in_percent else parameter.allowed
        problems.append(Problem(f"{path}.{used}", given, f"is not allowed for {parameter.meaning}; allowed: {allowed}"))
        return parameter.default
    if isinstance(given, str) and given.lower() != str(value).lower():
        notices.append(Notice(f"{path}.{used}", f"{given!r} is read as {value!r}"))
    return value


def checked(parameter: Parameter, value: Any) -> ParameterValue | None:
    """The value in the parameter's type, or None where it isn't allowed. 14.0 is a whole number; "14" is none."""
    if isinstance(parameter.default, bool):
        return value if isinstance(value, bool) else None
    if isinstance(parameter.default, str):
        return _word(parameter, value) if isinstance(value, str) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    # The range first: it leaves out what is not finite, and whole numbers too large for a float.
    if parameter.low is None or parameter.high is None or not parameter.low <= value <= parameter.high:
        return None
    if isinstance(parameter.default, int) and value != int(value):
        return None
    return int(value) if isinstance(parameter.default, int) else float(value)


def _word(parameter: Parameter, value: str) -> str | None:
    known = {choice.lower(): choice for choice in parameter.choices}
    return known.get(value.lower(), parameter.otherwise)


def _of_percent(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    try:
        return value / _PERCENT
    except OverflowError:
        return value
