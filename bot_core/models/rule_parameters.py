"""The built-in entry and exit rules by name, and their parameters: what they are called, mean and may be.

Data only. Core must not import the runtime, where the rules themselves are, and both sides must judge a row alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

ParameterValue: TypeAlias = bool | int | float | str

_LONGEST_PERIOD = 1000


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
    """One parameter. The type of `default` is its type; numbers lie within `low` and `high`, both included."""

    name: str
    default: ParameterValue
    meaning: str
    low: float | None = None
    high: float | None = None
    aliases: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        if isinstance(self.default, bool):
            return "true or false"
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        return f"{kind} from {self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class IndicatorUse:
    """An indicator that a rule reads: its type and inputs as the `indicators` list of a document spells them.

    `inputs` maps a name of the list to the rule's parameter that it stands for.
    """

    type: str
    inputs: Mapping[str, str]
    data_field: str | None = None


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """One built-in rule."""

    name: str
    kind: RuleKind
    parameters: tuple[Parameter, ...]
    indicators: tuple[IndicatorUse, ...]


def _period(name: str, default: int, meaning: str, aliases: tuple[str, ...] = (), low: int = 2) -> Parameter:
    return Parameter(name, default, meaning, low, _LONGEST_PERIOD, aliases)


_RSI_PERIOD = _period("rsi_period", 14, "bars of the RSI")
_RSI_OVERSOLD = Parameter(
    "rsi_oversold", 30.0, "an RSI at or below this is oversold", 0, 100, ("oversold", "rsi_threshold")
)
_RSI_OVERBOUGHT = Parameter("rsi_overbought", 70.0, "an RSI at or above this is overbought", 0, 100)
_BB_PERIOD = _period("bb_period", 20, "bars of the Bollinger bands")
_BB_DEV = Parameter("bb_dev", 2.0, "width of the bands in standard deviations", 0, 100)
_BB_TOUCH = Parameter("use_bb_touch", default=True, meaning="a close equal to the band counts as well")

_RSI = IndicatorUse("RSI", MappingProxyType({"timeperiod": "rsi_period"}))
_BBANDS = IndicatorUse(
    "BBANDS", MappingProxyType({"timeperiod": "bb_period", "nbdevup": "bb_dev", "nbdevdn": "bb_dev"})
)
_ATR = IndicatorUse("ATR", MappingProxyType({"timeperiod": "atr_period"}))
_VOLUME_AVERAGE = IndicatorUse("SMA", MappingProxyType({"timeperiod": "vol_ma_period"}), data_field="volume")

_SPECS = (
    RuleSpec(
        "RSIOrBBEntryMixin",
        RuleKind.ENTRY,
        (
            _RSI_PERIOD,
            _RSI_OVERSOLD,
            _BB_PERIOD,
            _BB_DEV,
            _BB_TOUCH,
            Parameter("rsi_cross", default=False, meaning="the RSI must have risen through the threshold on this bar"),
            Parameter("bb_reentry", default=False, meaning="the close must have come back above the lower band"),
            Parameter("cooldown_bars", 0, "bars after a signal without another", 0, 100_000),
        ),
        (_RSI, _BBANDS),
    ),
    RuleSpec(
        "RSIBBVolumeEntryMixin",
        RuleKind.ENTRY,
        (
            _RSI_PERIOD,
            _RSI_OVERSOLD,
            _BB_PERIOD,
            _BB_DEV,
            _period("vol_ma_period", 20, "bars of the average volume", aliases=("volume_ma_period",)),
            _BB_TOUCH,
            Parameter(
                "min_volume_ratio", 1.1, "volume over its average must exceed this", 0, 1000, ("volume_threshold",)
            ),
        ),
        (_RSI, _BBANDS, _VOLUME_AVERAGE),
    ),
    RuleSpec(
        "ATRExitMixin",
        RuleKind.EXIT,
        (
            _period("atr_period", 14, "bars of the ATR", low=1),
            Parameter(
                "sl_multiplier", 2.0, "distance of the stop below the high in ATR", 0, 1000, ("stop_loss_multiplier",)
            ),
        ),
        (_ATR,),
    ),
    RuleSpec("RSIBBExitMixin", RuleKind.EXIT, (_RSI_PERIOD, _RSI_OVERBOUGHT, _BB_PERIOD, _BB_DEV), (_RSI, _BBANDS)),
)

RULES: Mapping[RuleKind, Mapping[str, RuleSpec]] = MappingProxyType(
    {kind: MappingProxyType({spec.name: spec for spec in _SPECS if spec.kind is kind}) for kind in RuleKind}
)
