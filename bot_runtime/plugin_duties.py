"""What a plugin must have before it is used, told by looking at it. It imports and builds nothing."""

from collections.abc import Mapping
from typing import Any

from bot_core.models.extensions import Group
from bot_core.models.rule_parameters import Parameter
from bot_core.models.rule_value import checked

_STATEFUL = ("dump_state", "load_state")
_DUTIES: Mapping[Group, tuple[str, ...]] = {
    Group.ENTRIES: ("evaluate", *_STATEFUL),
    Group.EXITS: ("at_signal", "opened", "evaluate", "closed", *_STATEFUL),
    Group.STRATEGIES: ("enter", "opened", "exit", "closed", *_STATEFUL),
}


def check_plugin(group: Group, name: str, found: Any) -> None:
    """Raise TypeError, saying what is missing, for what can't be a plugin of this group and name."""
    if not callable(found):
        raise TypeError(f"{found!r} is neither a class nor a function")
    duties = _DUTIES.get(group)
    if duties is None:
        return
    if plugin_name(found) != name:
        raise TypeError(f"its `name` is {found.name!r}; allowed: {name!r}, as it is registered")
    missing = [duty for duty in duties if not callable(getattr(found, duty, None))]
    if missing:
        raise TypeError(f"it has no {', '.join(missing)}")
    parameters = getattr(found, "parameters", ())
    if not isinstance(parameters, tuple) or not all(isinstance(item, Parameter) for item in parameters):
        raise TypeError("its `parameters` are no tuple of Parameter")
    wrong = [item.name for item in parameters if checked(item, item.default) is None]
    if wrong:
        raise TypeError(f"parameter {wrong[0]} has no default within `low` and `high`")


def plugin_name(item: Any) -> str:
    """Raise TypeError where a rule or strategy does not say its name."""
    name = getattr(item, "name", None)
    if not isinstance(name, str) or not name:
        raise TypeError(f"{item!r} has no `name`; allowed: the text by which documents ask for it")
    return name
