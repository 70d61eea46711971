"""One rule of a document, read against the catalogue: its name and the values of all its parameters."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from bot_core.models.extensions import Group, UncheckedRule, extension_names, extension_rule
from bot_core.models.indicator_list import judge_indicators, listed_inputs
from bot_core.models.problem import Notice, Problem
from bot_core.models.rule_parameters import RULES
from bot_core.models.rule_spec import ParameterValue, RuleKind, RuleSpec
from bot_core.models.rule_value import checked, read_value, spellings

_READ_KEYS = frozenset({"name", "params", "logic_params", "indicators"})


class RuleConfig(BaseModel):
    """A known rule with every parameter set; `ignored` holds what the document says beyond them."""

    model_config = ConfigDict(frozen=True)

    name: str
    parameters: Mapping[str, ParameterValue]
    ignored: Mapping[str, Any] = {}

    def whole(self, name: str) -> int:
        return int(self.parameters[name])

    def number(self, name: str) -> float:
        return float(self.parameters[name])

    def flag(self, name: str) -> bool:
        return bool(self.parameters[name])

    def word(self, name: str) -> str:
        return str(self.parameters[name])


def parse_rule(
    kind: RuleKind, block: Any, path: str, problems: list[Problem], notices: list[Notice]
) -> RuleConfig | None:
    """Read `entry_logic` or `exit_logic`; what is wrong is added to `problems`, what is odd to `notices`."""
    if not isinstance(block, Mapping):
        message = "is missing" if block is None else "is not a JSON object"
        problems.append(Problem(path, block, f"{message}; it names the {kind} rule and its parameters"))
        return None
    notices += [Notice(f"{path}.{key}", "is not known here; kept, not read") for key in block if key not in _READ_KEYS]
    given = _given_parameters(block, path, problems, notices)
    spec = _known_rule(kind, block.get("name"), f"{path}.name", problems)
    if spec is None or given is None:
        return None
    params_path, params = given
    if isinstance(spec, UncheckedRule):
        notices.append(Notice(params_path, f"is not checked here: {spec.name} is a plugin's, which the bot checks"))
        return RuleConfig(name=spec.name, parameters={}, ignored=dict(params))
    found = len(problems)
    values = {item.name: read_value(kind, item, params, params_path, problems, notices) for item in spec.parameters}
    values |= _listed_values(spec, values, params, block.get("indicators"), f"{path}.indicators", problems, notices)
    ignored = _ignored(spec, params, params_path, notices)
    judge_indicators(spec, block.get("indicators"), f"{path}.indicators", problems, notices)
    return RuleConfig(name=spec.name, parameters=values, ignored=ignored) if len(problems) == found else None


def _known_rule(kind: RuleKind, name: Any, path: str, problems: list[Problem]) -> RuleSpec | None:
    known = RULES[kind]
    if isinstance(name, str) and name in known:
        return known[name]
    plugin = extension_rule(kind, name) if isinstance(name, str) else None
    if isinstance(plugin, RuleSpec):
        return plugin
    names = (*known, *extension_names(Group.of_rule(kind)))
    allowed = f"allowed: {', '.join(names)}"
    if plugin is not None:
        problems.append(Problem(path, name, f"can't be used: {plugin}"))
        return None
    if not isinstance(name, str) or not name:
        message = "is missing" if name is None else f"is not the name of an {kind} rule"
        problems.append(Problem(path, name, f"{message}; {allowed}"))
        return None
    # What all names end with says nothing of which is meant.
    stems = {_stem(candidate): candidate for candidate in names}
    near = [stems[match] for match in difflib.get_close_matches(_stem(name), stems, n=1, cutoff=0.6)]
    hint = f"; did you mean {near[0]}?" if near else ""
    problems.append(Problem(path, name, f"is not a known {kind} rule; {allowed}{hint}"))
    return None


def _stem(name: str) -> str:
    return re.sub(r"(entry|exit)?(mixin)?$", "", name.strip().lower())


def _given_parameters(
    block: Mapping[str, Any], path: str, problems: list[Problem], notices: list[Notice]
) -> tuple[str, Mapping[str, Any]] | None:
    """Return the parameters and where they are: `logic_params` unless empty, else `params`, else nothing."""
    key = "logic_params" if block.get("logic_params") else "params"
    params = block.get(key)
    if key == "logic_params" and block.get("params"):
        notices.append(Notice(f"{path}.params", "is not read: logic_params is there as well"))
    if params is None:
        return f"{path}.{key}", {}
    if not isinstance(params, Mapping):
        problems.append(Problem(f"{path}.{key}", params, "is not a JSON object of parameters"))
        return None
    return f"{path}.{key}", params


def _listed_values(
    spec: RuleSpec,
    values: Mapping[str, ParameterValue],
    params: Mapping[str, Any],
    listed: Any,
    path: str,
    problems: list[Problem],
    notices: list[Notice],
) -> dict[str, ParameterValue]:
    """Return what the explicit list of indicators says of parameters, and note where that changes one."""
    inputs = listed_inputs(spec, listed, params)
    found: dict[str, ParameterValue] = {}
    for item in spec.parameters:
        if item.name not in inputs:
            continue
        value = checked(item, inputs[item.name])
        if value is None:
            problems.append(
                Problem(path, inputs[item.name], f"is not allowed for {item.name}; allowed: {item.allowed}")
            )
        elif value != values[item.name]:
            notices.append(Notice(path, f"says {item.name} {value}, which wins over {values[item.name]}"))
            found[item.name] = value
    return found


def _ignored(spec: RuleSpec, params: Mapping[str, Any], path: str, notices: list[Notice]) -> dict[str, Any]:
    read = {name for parameter in spec.parameters for name in spellings(spec.kind, parameter)}
    ignored = {str(key): value for key, value in params.items() if key not in read}
    notices += [Notice(f"{path}.{key}", f"is no parameter of {spec.name}; kept, not read") for key in ignored]
    return ignored
