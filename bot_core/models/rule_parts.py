"""Parameters and indicators that several rules of the catalogue share. Data only."""

from types import MappingProxyType

from bot_core.models.rule_spec import IndicatorUse, Parameter

_LONGEST_PERIOD = 1000
_WIDEST_LOOKBACK = 100
LONGEST_WAIT = 100_000


def period(name: str, default: int, meaning: str, aliases: tuple[str, ...] = (), low: int = 2) -> Parameter:
    return Parameter(name, default, meaning, low, _LONGEST_PERIOD, aliases)


def multiple(name: str, default: float, meaning: str, aliases: tuple[str, ...] = ()) -> Parameter:
    return Parameter(name, default, meaning, 0, 1000, aliases)


def flag(name: str, meaning: str, *, default: bool) -> Parameter:
    return Parameter(name, default=default, meaning=meaning)


def distance(name: str, default: float, meaning: str) -> Parameter:
    """Build a parameter that is a fraction of a price, of either sign."""
    return Parameter(name, default, meaning, -1, 1)


def use(type_: str, data_field: str | None = None, averages: str | None = None, **inputs: str) -> IndicatorUse:
    return IndicatorUse(type_, MappingProxyType(inputs), data_field, averages)


RSI_PERIOD = period("rsi_period", 14, "bars of the RSI")
RSI_OVERSOLD = Parameter(
    "rsi_oversold", 30.0, "an RSI at or below this is oversold", 0, 100, ("oversold", "rsi_threshold")
)
RSI_OVERBOUGHT = Parameter("rsi_overbought", 70.0, "an RSI at or above this is overbought", 0, 100)
BB_PERIOD = period("bb_period", 20, "bars of the Bollinger bands")
BB_DEV = Parameter("bb_dev", 2.0, "width of the bands in standard deviations", 0, 100)
BB_TOUCH = flag("use_bb_touch", "a close equal to the band counts as well", default=True)
RSI_CROSS = flag("rsi_cross", "the RSI must have risen through the threshold on this bar", default=False)
BB_REENTRY = flag("bb_reentry", "the close must have come back above the lower band on this bar", default=False)
COOLDOWN = Parameter("cooldown_bars", 0, "bars after a signal without another", 0, LONGEST_WAIT)
VOLUME_PERIOD = period("vol_ma_period", 20, "bars of the average volume", ("volume_ma_period",))
ST_PERIOD = period("st_period", 10, "bars of the average true range of the Supertrend", ("supertrend_period",), low=1)
ST_MULTIPLIER = multiple(
    "st_multiplier", 3.0, "distance of the Supertrend's lines in average true ranges", ("supertrend_multiplier",)
)
EOM_PERIOD = period("eom_period", 14, "bars of the ease of movement", low=1)
ATR_PERIOD = period("atr_period", 14, "bars of the ATR", low=1)
ATR_AVERAGE_PERIOD = period("atr_sma_period", 100, "bars of the average of the ATR")
LOOKBACK = Parameter(
    "resistance_lookback", 2, "bars on either side that a swing high or low must overtop", 1, _WIDEST_LOOKBACK
)


def volume_ratio(default: float) -> Parameter:
    return Parameter(
        "min_volume_ratio", default, "volume over its average must exceed this", 0, 1000, ("volume_threshold",)
    )


RSI = use("RSI", timeperiod="rsi_period")
BBANDS = use("BBANDS", timeperiod="bb_period", nbdevup="bb_dev", nbdevdn="bb_dev")
ATR = use("ATR", timeperiod="atr_period")
ATR_AVERAGE = use("SMA", averages="ATR", timeperiod="atr_sma_period")
VOLUME_AVERAGE = use("SMA", "volume", timeperiod="vol_ma_period")
SUPERTREND = use("SUPERTREND", length="st_period", multiplier="st_multiplier")
EOM = use("EOM", timeperiod="eom_period")
LEVELS = use("SupportResistance", lookback_bars="resistance_lookback")
