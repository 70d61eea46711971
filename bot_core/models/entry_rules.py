"""The catalogue's entry rules: what each does and the parameters that it has. Data only."""

from dataclasses import replace

from bot_core.models import rule_parts as part
from bot_core.models.rule_spec import Parameter, RuleKind, RuleSpec

_OVERSOLD_PARAMETERS = (
    part.RSI_PERIOD,
    part.RSI_OVERSOLD,
    part.BB_PERIOD,
    part.BB_DEV,
    part.BB_TOUCH,
    part.RSI_CROSS,
    part.BB_REENTRY,
    part.COOLDOWN,
)
_VOLUME_SMA_PERIOD = replace(part.VOLUME_PERIOD, name="vol_sma_period")

ENTRY_RULES = (
    RuleSpec(
        "RSIBBEntryMixin",
        RuleKind.ENTRY,
        "Oversold by RSI **and** at the lower Bollinger band.",
        _OVERSOLD_PARAMETERS,
        (part.RSI, part.BBANDS),
    ),
    RuleSpec(
        "RSIOrBBEntryMixin",
        RuleKind.ENTRY,
        "Oversold by RSI **or** at the lower Bollinger band.",
        _OVERSOLD_PARAMETERS,
        (part.RSI, part.BBANDS),
    ),
    RuleSpec(
        "RSIBBVolumeEntryMixin",
        RuleKind.ENTRY,
        "Oversold by RSI **and** at the lower Bollinger band, on a volume above its average.",
        (
            part.RSI_PERIOD,
            part.RSI_OVERSOLD,
            part.BB_PERIOD,
            part.BB_DEV,
            part.VOLUME_PERIOD,
            part.BB_TOUCH,
            part.volume_ratio(1.1),
        ),
        (part.RSI, part.BBANDS, part.VOLUME_AVERAGE),
    ),
    RuleSpec(
        "RSIIchimokuEntryMixin",
        RuleKind.ENTRY,
        "The close rises through the tenkan line above the Ichimoku cloud (the one drawn at this bar, computed 26 "
        "bars ago) while the RSI is oversold.",
        (
            part.RSI_PERIOD,
            part.RSI_OVERSOLD,
            part.period("tenkan_period", 9, "bars of the tenkan line", ("tenkan", "ichimoku_tenkan"), low=1),
            part.period("kijun_period", 26, "bars of the kijun line", ("kijun", "ichimoku_kijun"), low=1),
            part.period("senkou_period", 52, "bars of the cloud's span B", ("senkou", "ichimoku_senkou"), low=1),
        ),
        (part.RSI, part.use("ICHIMOKU", tenkan="tenkan_period", kijun="kijun_period", senkou="senkou_period")),
    ),
    RuleSpec(
        "RSIVolumeSupertrendEntryMixin",
        RuleKind.ENTRY,
        "Oversold by RSI in an upward Supertrend, on a volume above its average.",
        (
            part.RSI_PERIOD,
            part.RSI_OVERSOLD,
            part.VOLUME_PERIOD,
            part.volume_ratio(1.5),
            part.ST_PERIOD,
            part.ST_MULTIPLIER,
        ),
        (part.RSI, part.VOLUME_AVERAGE, part.SUPERTREND),
    ),
    RuleSpec(
        "BBVolumeSuperTrendEntryMixin",
        RuleKind.ENTRY,
        "At the lower Bollinger band in an upward Supertrend, on a volume above its average.",
        (
            part.BB_PERIOD,
            part.BB_DEV,
            part.VOLUME_PERIOD,
            part.volume_ratio(1.1),
            part.ST_PERIOD,
            part.ST_MULTIPLIER,
            part.BB_TOUCH,
        ),
        (part.BBANDS, part.VOLUME_AVERAGE, part.SUPERTREND),
    ),
    RuleSpec(
        "EOMBreakoutEntryMixin",
        RuleKind.ENTRY,
        "The close breaks through the resistance of the bar before, with a positive and rising ease of movement, a "
        "volume above its average, an RSI below overbought and, with the filter, an ATR above its average.",
        (
            part.distance("breakout_threshold", 0.002, "fraction of the resistance by which the close must exceed it"),
            part.flag("use_atr_filter", "the ATR must be above its average", default=True),
            replace(part.RSI_OVERBOUGHT, meaning="the RSI must be below this"),
            part.LOOKBACK,
            part.EOM_PERIOD,
            replace(part.VOLUME_PERIOD, name="volume_sma_period"),
            part.ATR_PERIOD,
            part.ATR_AVERAGE_PERIOD,
            part.RSI_PERIOD,
        ),
        (
            part.LEVELS,
            part.EOM,
            part.use("SMA", "volume", timeperiod="volume_sma_period"),
            part.ATR,
            part.ATR_AVERAGE,
            part.RSI,
        ),
    ),
    RuleSpec(
        "EOMMAcdBreakoutEntryMixin",
        RuleKind.ENTRY,
        "The MACD rises through its signal line with a rising histogram while the close is near the resistance, the "
        "ease of movement is positive and the volume is not far below its average.",
        (
            Parameter(
                "resistance_range_low", 0.995, "the close must be at least this multiple of the resistance", 0, 10
            ),
            Parameter(
                "resistance_range_high", 1.002, "the close must be at most this multiple of the resistance", 0, 10
            ),
            part.multiple("volume_threshold", 0.8, "volume over its average must be at least this"),
            part.LOOKBACK,
            part.period("macd_fast", 12, "bars of the MACD's fast average"),
            part.period("macd_slow", 26, "bars of the MACD's slow average"),
            part.period("macd_signal", 9, "bars of the MACD's signal line", low=1),
            part.EOM_PERIOD,
            _VOLUME_SMA_PERIOD,
        ),
        (
            part.LEVELS,
            part.use("MACD", fastperiod="macd_fast", slowperiod="macd_slow", signalperiod="macd_signal"),
            part.EOM,
            part.use("SMA", "volume", timeperiod="vol_sma_period"),
        ),
    ),
    RuleSpec(
        "EOMPullbackEntryMixin",
        RuleKind.ENTRY,
        "A bar dips to the support and closes above its open, the ease of movement turns positive, the RSI rises from "
        "oversold, and the ATR is above a multiple of its average.",
        (
            part.distance("support_threshold", 0.005, "fraction of the support above it that still counts as near"),
            replace(part.RSI_OVERSOLD, default=40.0, meaning="the RSI must be below this"),
            part.multiple("atr_floor_multiplier", 0.9, "the ATR over its average must exceed this"),
            part.LOOKBACK,
            part.EOM_PERIOD,
            part.RSI_PERIOD,
            part.ATR_PERIOD,
            part.ATR_AVERAGE_PERIOD,
        ),
        (part.LEVELS, part.EOM, part.RSI, part.ATR, part.ATR_AVERAGE),
    ),
)
