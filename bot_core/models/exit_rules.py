"""The catalogue's exit rules: what each does and the parameters that it has. Data only."""

from dataclasses import replace

from bot_core.models import rule_parts as part
from bot_core.models.rule_spec import Parameter, RuleKind, RuleSpec

_OVERBOUGHT_PARAMETERS = (part.RSI_PERIOD, part.RSI_OVERBOUGHT, part.BB_PERIOD, part.BB_DEV)
_ANY_FRACTION = 100.0

_STOPS = (
    RuleSpec(
        "ATRExitMixin",
        RuleKind.EXIT,
        "A stop that trails the highest high since the entry by a multiple of the ATR at the signal. Reason "
        "`stop_loss`.",
        (
            part.ATR_PERIOD,
            part.multiple(
                "sl_multiplier", 2.0, "distance of the stop below the high in ATR", ("stop_loss_multiplier",)
            ),
        ),
        (part.ATR,),
    ),
    RuleSpec(
        "AdvancedATRExitMixin",
        RuleKind.EXIT,
        "A stop that trails the highest high (or the close) by a multiple of the largest of three ATRs; the multiple "
        "shrinks in two steps as the profit grows. R is the distance of the first stop from the entry. Hit by the "
        "low. Reason `stop_hit`.",
        (
            part.multiple("k_init", 2.5, "distance of the first stop in ATR"),
            part.multiple("k_run", 2.0, "distance once the profit has reached `arm_at_R`"),
            part.multiple("k_phase2", 1.5, "distance once the profit has reached `phase2_at_R`"),
            part.period("p_fast", 7, "bars of the fast ATR", ("atr_period",), low=1),
            part.period("p_slow", 21, "bars of the slow ATR", ("atr_period",), low=1),
            part.flag("use_htf_atr", "the third ATR, of the longer of the two periods, counts", default=True),
            part.multiple("alpha_fast", 1.0, "weight of the fast ATR"),
            part.multiple("alpha_slow", 1.0, "weight of the slow ATR"),
            part.multiple("alpha_htf", 1.0, "weight of the third ATR"),
            Parameter("atr_floor", 0.0, "the ATR is taken to be at least this, in units of price", 0, 1e9),
            Parameter(
                "anchor",
                "high",
                "what the stop trails; any other word means close",
                choices=("high", "close"),
                otherwise="close",
            ),
            part.multiple("arm_at_R", 1.0, "profit in R from which `k_run` holds"),
            part.multiple("phase2_at_R", 2.0, "profit in R from which `k_phase2` holds"),
            part.period("swing_lookback", 10, "half the bars to wait before the first evaluation", low=0),
            Parameter("max_trail_freq", 1, "the stop moves at most every so many bars", 0, part.LONGEST_WAIT),
        ),
        (part.use("ATR", timeperiod="p_fast"), part.use("ATR", timeperiod="p_slow")),
    ),
    RuleSpec(
        "SimpleATRExitMixin",
        RuleKind.EXIT,
        "A stop that trails the close by a multiple of the ATR and moves to the entry price once the profit is large "
        "enough; it never falls. Reason `atr_trailing_stop`.",
        (
            part.ATR_PERIOD,
            part.multiple("atr_multiplier", 2.0, "distance of the stop below the close in ATR", ("sl_multiplier",)),
            part.multiple("breakeven_atr", 1.0, "profit in ATR from which the stop is at the entry price or above"),
            part.flag("use_breakeven", "the stop moves to the entry price at all", default=True),
        ),
        (part.ATR,),
    ),
    RuleSpec(
        "MultiLevelAtrExitMixin",
        RuleKind.EXIT,
        "The highest of three stops: one below the entry price, one that trails the highest high, and one above the "
        "entry price once the profit is large enough; it never falls. Reason `multi_tf_atr_stop`.",
        (
            part.period("htf_atr_period", 14, "bars of the ATR of the stop below the entry price", low=1),
            part.multiple("htf_sl_multiplier", 2.5, "distance of the stop below the entry price in ATR"),
            part.period("ltf_atr_period", 14, "bars of the ATR of the trailing stop", low=1),
            part.multiple("ltf_sl_multiplier", 2.0, "distance of the stop below the highest high in ATR"),
            part.period("micro_atr_period", 14, "bars of the ATR of the stop above the entry price", low=1),
            part.multiple("be_activation_atr", 1.0, "profit in ATR from which that stop holds"),
            part.multiple("be_buffer_multiplier", 0.3, "distance of that stop above the entry price in ATR"),
            part.flag(
                "use_dynamic_k", "the first two distances are multiplied by the ATR over its own average", default=False
            ),
            part.period("vol_sma_period", 50, "bars of that average"),
        ),
        (
            part.use("ATR", timeperiod="htf_atr_period"),
            part.use("ATR", timeperiod="ltf_atr_period"),
            part.use("ATR", timeperiod="micro_atr_period"),
            part.use("SMA", averages="ATR", timeperiod="vol_sma_period"),
        ),
    ),
    RuleSpec(
        "TrailingStopExitMixin",
        RuleKind.EXIT,
        "A stop that trails the highest close since the entry by a fraction or by a multiple of the ATR. Reason "
        "`trailing_stop`.",
        (
            Parameter(
                "trail_pct",
                0.02,
                "distance below the highest close as a fraction of it",
                0,
                1,
                percent_aliases=("trail_percent",),
            ),
            Parameter(
                "activation_pct",
                0.0,
                "no exit while the profit, a fraction of the entry price, is below this; 0: always",
                0,
                _ANY_FRACTION,
                percent_aliases=("activation_percent", "min_profit_percent"),
            ),
            part.flag("use_atr", "the distance is a multiple of the ATR", default=False),
            part.multiple("atr_multiplier", 2.0, "distance in ATR, with `use_atr`"),
            part.ATR_PERIOD,
        ),
        (part.ATR,),
    ),
)

_TARGETS = (
    RuleSpec(
        "FixedRatioExitMixin",
        RuleKind.EXIT,
        "The close is a fixed fraction above or below the entry price. Reasons `take_profit`, `stop_loss`.",
        (
            Parameter(
                "take_profit",
                0.1,
                "gain at which to sell, a fraction of the entry price",
                0,
                _ANY_FRACTION,
                ("profit_ratio",),
                ("take_profit_pct",),
            ),
            Parameter(
                "stop_loss",
                0.05,
                "loss at which to sell, a fraction of the entry price",
                0,
                _ANY_FRACTION,
                ("stop_loss_ratio",),
                ("stop_loss_pct",),
            ),
        ),
        (),
    ),
    RuleSpec(
        "TimeBasedExitMixin",
        RuleKind.EXIT,
        "The trade is old enough, in bars since the signal (`time_limit_bars`) or in minutes since the fill "
        "(`time_limit_minutes`).",
        (
            Parameter(
                "max_bars",
                20,
                "bars from the signal of the entry to that of the exit",
                0,
                part.LONGEST_WAIT,
                ("max_hold_bars",),
            ),
            part.flag("use_time", "minutes count, not bars", default=False),
            Parameter("max_minutes", 60.0, "minutes from the fill, with `use_time`", 0, 10_000_000),
        ),
        (),
    ),
)

_CROSSES = (
    RuleSpec(
        "MACrossoverExitMixin",
        RuleKind.EXIT,
        "The fast moving average of the close falls through the slow one. Reasons `sma_crossover`, `ema_crossover`.",
        (
            part.period("fast_period", 10, "bars of the fast average", ("ma_fast",), low=1),
            part.period("slow_period", 20, "bars of the slow average", ("ma_slow",), low=1),
            Parameter("ma_type", "SMA", "simple or exponential averages", choices=("SMA", "EMA")),
        ),
        tuple(part.use(kind, timeperiod=name) for kind in ("SMA", "EMA") for name in ("fast_period", "slow_period")),
    ),
    RuleSpec(
        "RSIBBExitMixin",
        RuleKind.EXIT,
        "The RSI falls back through overbought **and** the close falls back through the upper band. Reason "
        "`rsi_bb_cross_exit`.",
        _OVERBOUGHT_PARAMETERS,
        (part.RSI, part.BBANDS),
    ),
    RuleSpec(
        "RSIOrBBExitMixin",
        RuleKind.EXIT,
        "The RSI falls back through overbought **or** the close falls back through the upper band. Reasons "
        "`rsi_or_bb_rsi_cross`, `rsi_or_bb_bb_cross`, `rsi_or_bb_rsi_cross_bb_cross`.",
        _OVERBOUGHT_PARAMETERS,
        (part.RSI, part.BBANDS),
    ),
)

_MOMENTUM = (
    RuleSpec(
        "EOMBreakdownExitMixin",
        RuleKind.EXIT,
        "The close breaks through the support of the bar before, with a negative and falling ease of movement, a "
        "volume above its average and a rising ATR. Reason `breakdown_momentum: …`.",
        (
            part.distance("breakdown_threshold", 0.002, "fraction of the support by which the close must be below it"),
            part.EOM_PERIOD,
            part.VOLUME_PERIOD,
            part.ATR_PERIOD,
            part.LOOKBACK,
        ),
        (part.LEVELS, part.EOM, part.VOLUME_AVERAGE, part.ATR),
    ),
    RuleSpec(
        "EOMMAcdBreakdownExitMixin",
        RuleKind.EXIT,
        "The MACD falls through its signal line with a falling histogram, the close breaks through the support of the "
        "bar before, the ease of movement is negative and the volume above its average. Reason `macd_breakdown: …`.",
        (
            part.distance("support_threshold", 0.002, "fraction of the support by which the close must be below it"),
            part.period("macd_fast_period", 12, "bars of the MACD's fast average", ("macd_fast",)),
            part.period("macd_slow_period", 26, "bars of the MACD's slow average", ("macd_slow",)),
            part.period("macd_signal_period", 9, "bars of the MACD's signal line", ("macd_signal",), low=1),
            part.EOM_PERIOD,
            part.VOLUME_PERIOD,
            part.LOOKBACK,
        ),
        (
            part.LEVELS,
            part.use(
                "MACD", fastperiod="macd_fast_period", slowperiod="macd_slow_period", signalperiod="macd_signal_period"
            ),
            part.EOM,
            part.VOLUME_AVERAGE,
        ),
    ),
    RuleSpec(
        "EOMRejectionExitMixin",
        RuleKind.EXIT,
        "A bar reaches for the resistance and closes below its open, the ease of movement turns negative and the RSI "
        "falls while overbought. Reason `resistance_rejection: …`.",
        (
            Parameter(
                "resistance_threshold", 0.995, "the high must be at least this multiple of the resistance", 0, 10
            ),
            replace(part.RSI_OVERBOUGHT, default=60.0, meaning="the RSI must be above this"),
            part.EOM_PERIOD,
            part.RSI_PERIOD,
            part.LOOKBACK,
        ),
        (part.LEVELS, part.EOM, part.RSI),
    ),
)

EXIT_RULES = (*_STOPS, *_TARGETS, *_CROSSES, *_MOMENTUM)
