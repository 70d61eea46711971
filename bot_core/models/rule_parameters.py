"""The built-in entry and exit rules by name: the catalogue that documents are judged by."""

from collections.abc import Mapping
from types import MappingProxyType

from bot_core.models.entry_rules import ENTRY_RULES
from bot_core.models.exit_rules import EXIT_RULES
from bot_core.models.rule_spec import IndicatorUse, Parameter, ParameterValue, RuleKind, RuleSpec

__all__ = ["RULES", "IndicatorUse", "Parameter", "ParameterValue", "RuleKind", "RuleSpec"]

_SPECS = {RuleKind.ENTRY: ENTRY_RULES, RuleKind.EXIT: EXIT_RULES}

RULES: Mapping[RuleKind, Mapping[str, RuleSpec]] = MappingProxyType(
    {kind: MappingProxyType({spec.name: spec for spec in specs}) for kind, specs in _SPECS.items()}
)
