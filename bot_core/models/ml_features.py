"""What a trained model may be given: the features by name, and their parameters. Data only; the runtime computes."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from bot_core.models.rule_parameters import Parameter, ParameterValue
from bot_core.models.rule_value import checked

_LONGEST_PERIOD = 1000


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One feature. Parameters count bars unless they say otherwise."""

    name: str
    meaning: str
    parameters: tuple[Parameter, ...] = ()


def _bars(name: str, default: int, low: int = 1) -> Parameter:
    return Parameter(name, default, "bars", low, _LONGEST_PERIOD)


_PERIOD = _bars("period", 14, 2)
_BANDS = (_bars("period", 20, 2), Parameter("deviations", 2.0, "width in standard deviations", 0, 100))
_MACD = (_bars("fast", 12, 2), _bars("slow", 26, 2), _bars("signal", 9))
_STOCHASTIC = (_bars("k", 14), _bars("slowing", 3), _bars("d", 3))

_SPECS = (
    *(FeatureSpec(name, f"{name} of the bar") for name in ("open", "high", "low", "close", "volume")),
    FeatureSpec("log_return", "ln(close / close `period` bars before)", (_bars("period", 1),)),
    FeatureSpec("range", "(high - low) / close"),
    FeatureSpec("sma_ratio", "close / simple average of the close - 1", (_bars("period", 20),)),
    FeatureSpec("volume_ratio", "volume / its simple average, 0 without volume", (_bars("period", 20),)),
    FeatureSpec("sma", "simple average of the close", (_bars("period", 20),)),
    FeatureSpec("ema", "exponential average of the close, seeded by the simple one", (_bars("period", 20, 2),)),
    FeatureSpec("rsi", "RSI by Wilder, 0 to 100", (_PERIOD,)),
    FeatureSpec("atr", "average true range by Wilder, in price", (_PERIOD,)),
    FeatureSpec("atr_ratio", "average true range / close", (_PERIOD,)),
    FeatureSpec("bb_upper", "upper Bollinger band", _BANDS),
    FeatureSpec("bb_middle", "middle Bollinger band", _BANDS),
    FeatureSpec("bb_lower", "lower Bollinger band", _BANDS),
    FeatureSpec("bb_position", "(close - lower band) / (upper - lower), 0.5 where they meet", _BANDS),
    FeatureSpec("macd", "difference of two exponential averages of the close", _MACD),
    FeatureSpec("macd_signal", "exponential average of the MACD", _MACD),
    FeatureSpec("macd_hist", "MACD less its signal", _MACD),
    FeatureSpec("stoch_k", "stochastic %K, smoothed by a simple average, 0 to 100", _STOCHASTIC),
    FeatureSpec("stoch_d", "simple average of %K", _STOCHASTIC),
    FeatureSpec("williams_r", "Williams %R, -100 to 0", (_PERIOD,)),
    FeatureSpec("mfi", "money flow index, 0 to 100", (_PERIOD,)),
)
FEATURES: Mapping[str, FeatureSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})


class FeatureConfig(BaseModel):
    """A feature with every parameter set, read from "rsi" or {"name": "rsi", "period": 9}."""

    model_config = ConfigDict(frozen=True)

    name: str
    parameters: Mapping[str, ParameterValue] = {}

    @model_validator(mode="before")
    @classmethod
    def _checked(cls, value: Any) -> Any:
        given = {"name": value} if isinstance(value, str) else value
        if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
            raise ValueError('is no feature; allowed: "rsi" or {"name": "rsi", "period": 9}')  # noqa: TRY004 - pydantic
        spec = FEATURES.get(given["name"])
        if spec is None:
            raise ValueError(f"is not a known feature; allowed: {', '.join(FEATURES)}")
        unknown = sorted(set(map(str, given)) - {"name"} - {item.name for item in spec.parameters})
        if unknown:
            allowed = ", ".join(item.name for item in spec.parameters) or "none"
            raise ValueError(f"has a parameter {unknown[0]}, which {spec.name} has not; allowed: {allowed}")
        return {"name": spec.name, "parameters": {item.name: _value(item, given) for item in spec.parameters}}

    def whole(self, name: str) -> int:
        return int(self.parameters[name])

    def number(self, name: str) -> float:
        return float(self.parameters[name])


def _value(parameter: Parameter, given: Mapping[str, Any]) -> ParameterValue:
    if given.get(parameter.name) is None:
        return parameter.default
    value = checked(parameter, given[parameter.name])
    if value is None:
        raise ValueError(f"has {parameter.name} {given[parameter.name]!r}; allowed: {parameter.allowed}")
    return value


def _listed(value: Any) -> Any:
    if not isinstance(value, list) or not value:
        raise ValueError("is no list of features")
    return tuple(value)


FeatureList = Annotated[tuple[FeatureConfig, ...], BeforeValidator(_listed)]
