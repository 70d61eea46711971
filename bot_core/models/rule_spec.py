"""What the catalogue of rules is made of: parameters, the indicators that they shape, and the rule that has them.

Data only. Core must not import the runtime, where the rules themselves are, and both sides must judge a row alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

ParameterValue: TypeAlias = bool | int | float | str


class RuleKind(StrEnum):
    """What a rule decides; the value is the word in messages."""

    ENTRY = "entry"
    EXIT = "exit"

    @property
    def prefix(self) -> str:
        """What a parameter's name may be preceded by."""
        return "e_" if self is RuleKind.ENTRY else "x_"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. The type of `default` is its type; numbers lie within `low` and `high`, both included.

    A word is one of `choices`, in any case; one that is none of them is read as `otherwise`, where there is that.
    `percent_aliases` are names under which documents write the same number in per cent.
    """

    name: str
    default: ParameterValue
    meaning: str
    low: float | None = None
    high: float | None = None
    aliases: tuple[str, ...] = ()
    percent_aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    otherwise: str | None = None

    @property
    def allowed(self) -> str:
        if isinstance(self.default, bool):
            return "true or false"
        if isinstance(self.default, str):
            return " or ".join(self.choices)
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        return f"{kind} from {self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class IndicatorUse:
    """An indicator that a rule reads: its type and inputs as the `indicators` list of a document spells them.

    `inputs` maps a name of the list to the rule's parameter that it stands for. `data_field` is the column it reads,
    none for the usual one; `averages` the type of another indicator that it reads instead of a column.
    """

    type: str
    inputs: Mapping[str, str]
    data_field: str | None = None
    averages: str | None = None


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """One built-in rule. `meaning` is what it does in the words of the documentation."""

    name: str
    kind: RuleKind
    meaning: str
    parameters: tuple[Parameter, ...]
    indicators: tuple[IndicatorUse, ...]
