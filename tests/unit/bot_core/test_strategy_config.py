from decimal import Decimal

import pytest

from bot_core.models.problem import Problem
from bot_core.models.rule_parameters import RULES, RuleKind
from bot_core.models.strategy import parse_strategy
from support.bars import strategy_config, strategy_document


def problems_of(document):
    config, problems, _ = parse_strategy(document)
    assert config is None
    return [str(problem) for problem in problems]


def notices_of(document):
    config, problems, notices = parse_strategy(document)
    assert config is not None, problems
    return [str(notice) for notice in notices]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, 30.0),
        ({"rsi_oversold": 25}, 25.0),
        ({"e_rsi_oversold": 25}, 25.0),
        ({"rsi_oversold": 20, "e_rsi_oversold": 25}, 20.0),
        ({"rsi_oversold": 0, "e_rsi_oversold": 25}, 0.0),
        ({"oversold": 34}, 34.0),
        ({"e_rsi_oversold": 25, "oversold": 34}, 34.0),
        ({"rsi_oversold": None}, 30.0),
    ],
)
def test_a_parameter_may_be_bare_prefixed_or_an_alias_and_bare_wins_and_zero_is_zero(given, expected):
    assert strategy_config("RSIBBVolumeEntryMixin", entry_params=given).entry.number("rsi_oversold") == expected


def test_every_parameter_has_a_value_of_its_own_type():
    config = strategy_config(entry_params={"e_rsi_period": 10.0, "e_bb_dev": 2}, exit_params={"x_atr_period": 7})
    assert config.entry.parameters == {
        "rsi_period": 10,
        "rsi_oversold": 30.0,
        "bb_period": 20,
        "bb_dev": 2.0,
        "use_bb_touch": True,
        "rsi_cross": False,
        "bb_reentry": False,
        "cooldown_bars": 0,
    }
    assert config.exit.parameters == {"atr_period": 7, "sl_multiplier": 2.0}
    assert isinstance(config.entry.parameters["rsi_period"], int)


def another_value(parameter):
    if isinstance(parameter.default, bool):
        return not parameter.default
    if isinstance(parameter.default, str):
        return next(choice for choice in parameter.choices if choice != parameter.default)
    return type(parameter.default)(parameter.low if parameter.default != parameter.low else parameter.high)


EVERY_PARAMETER = [
    pytest.param(kind, spec.name, parameter, id=f"{spec.name}-{parameter.name}")
    for kind in RuleKind
    for spec in RULES[kind].values()
    for parameter in spec.parameters
]


def value_read(kind, rule, parameter, given):
    entry = kind is RuleKind.ENTRY
    config = strategy_config(rule, entry_params=given) if entry else strategy_config(exit_=rule, exit_params=given)
    return (config.entry if entry else config.exit).parameters[parameter.name]


@pytest.mark.parametrize(("kind", "rule", "parameter"), EVERY_PARAMETER)
def test_every_name_of_every_parameter_of_every_rule_is_honoured_and_the_bare_one_wins(kind, rule, parameter):
    value = another_value(parameter)
    assert value != parameter.default
    for name in (parameter.name, *parameter.aliases):
        for prefix in ("", kind.prefix):
            assert value_read(kind, rule, parameter, {prefix + name: value}) == value
    for name in parameter.percent_aliases:
        for prefix in ("", kind.prefix):
            assert value_read(kind, rule, parameter, {prefix + name: value * 100}) == value
    bare_and_prefixed = {kind.prefix + parameter.name: parameter.default, parameter.name: value}
    assert value_read(kind, rule, parameter, bare_and_prefixed) == value


@pytest.mark.parametrize(("kind", "rule", "parameter"), EVERY_PARAMETER)
def test_the_default_of_every_parameter_is_allowed_and_explained(kind, rule, parameter):
    assert value_read(kind, rule, parameter, {parameter.name: parameter.default}) == parameter.default
    assert value_read(kind, rule, parameter, {}) == parameter.default
    assert parameter.meaning
    assert parameter.allowed


@pytest.mark.parametrize(
    ("exit_", "params", "parameter", "value"),
    [
        ("TrailingStopExitMixin", {"x_trail_percent": 1.0}, "trail_pct", 0.01),
        ("TrailingStopExitMixin", {"trail_percent": 1.2}, "trail_pct", 0.012),
        ("TrailingStopExitMixin", {"x_activation_percent": 0.5}, "activation_pct", 0.005),
        ("TrailingStopExitMixin", {"min_profit_percent": 0.5}, "activation_pct", 0.005),
        ("FixedRatioExitMixin", {"x_take_profit_pct": 5}, "take_profit", 0.05),
        ("FixedRatioExitMixin", {"x_stop_loss_pct": 0}, "stop_loss", 0.0),
        ("FixedRatioExitMixin", {"x_take_profit": 0.1, "x_take_profit_pct": 5}, "take_profit", 0.1),
        ("SimpleATRExitMixin", {"x_sl_multiplier": 3}, "atr_multiplier", 3.0),
        ("AdvancedATRExitMixin", {"x_atr_period": 9}, "p_fast", 9),
        ("AdvancedATRExitMixin", {"x_atr_period": 9}, "p_slow", 9),
        ("AdvancedATRExitMixin", {"anchor": "mid"}, "anchor", "close"),
        ("MACrossoverExitMixin", {"x_ma_fast": 4, "x_ma_slow": 9, "x_ma_type": "ema"}, "ma_type", "EMA"),
        ("TimeBasedExitMixin", {"x_max_hold_bars": 9}, "max_bars", 9),
    ],
)
def test_names_and_words_of_older_forms_mean_what_they_meant(exit_, params, parameter, value):
    assert strategy_config(exit_=exit_, exit_params=params).exit.parameters[parameter] == value


@pytest.mark.parametrize(
    ("exit_", "params", "message"),
    [
        (
            "TrailingStopExitMixin",
            {"trail_percent": 101},
            "allowed: a number from 0 to 1, times 100: this name is in per",
        ),
        ("TrailingStopExitMixin", {"trail_percent": True}, "trail_percent: True is not allowed"),
        ("TrailingStopExitMixin", {"trail_percent": 10**400}, "is not allowed"),
        ("TimeBasedExitMixin", {"max_bars": 10**400}, "is not allowed"),
        (
            "MACrossoverExitMixin",
            {"ma_type": "WMA"},
            "'WMA' is not allowed for simple or exponential averages; allowed: SMA",
        ),
        ("MACrossoverExitMixin", {"ma_type": 3}, "ma_type: 3 is not allowed"),
    ],
)
def test_a_wrong_value_of_an_exit_rule_is_a_problem(exit_, params, message):
    (problem,) = problems_of(strategy_document(exit_=exit_, exit_params=params))
    assert message in problem


def test_a_word_that_is_read_as_another_is_reported():
    document = strategy_document(exit_="AdvancedATRExitMixin", exit_params={"anchor": "mid"})
    assert notices_of(document) == ["strategy.parameters.exit_logic.params.anchor: 'mid' is read as 'close'"]


def test_logic_params_win_unless_they_are_empty():
    document = strategy_document(entry_params={"rsi_period": 5})
    document["parameters"]["entry_logic"]["logic_params"] = {}
    config, _, _ = parse_strategy(document)
    assert config.entry.whole("rsi_period") == 5
    document["parameters"]["entry_logic"]["logic_params"] = {"rsi_period": 6}
    config, _, notices = parse_strategy(document)
    assert config.entry.whole("rsi_period") == 6
    assert [str(n) for n in notices] == [
        "strategy.parameters.entry_logic.params: is not read: logic_params is there as well"
    ]


def test_parameters_that_no_rule_reads_are_kept_and_reported():
    document = strategy_document(entry_params={"e_rsi_overbought": 70}, exit_params={"x_tp_multiplier": 3})
    config, problems, notices = parse_strategy(document)
    assert problems == []
    assert config.entry.ignored == {"e_rsi_overbought": 70}
    assert config.exit.ignored == {"x_tp_multiplier": 3}
    assert [notice.path for notice in notices] == [
        "strategy.parameters.entry_logic.params.e_rsi_overbought",
        "strategy.parameters.exit_logic.params.x_tp_multiplier",
    ]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rsi_period": "14"}, "rsi_period: '14' is not allowed for bars of the RSI; allowed: a whole number from 2"),
        ({"rsi_period": 1}, "rsi_period: 1 is not allowed"),
        ({"e_rsi_period": 14.5}, "e_rsi_period: 14.5 is not allowed"),
        ({"rsi_period": True}, "rsi_period: True is not allowed"),
        ({"rsi_oversold": 101}, "allowed: a number from 0 to 100"),
        ({"rsi_oversold": float("nan")}, "rsi_oversold: nan is not allowed"),
        ({"use_bb_touch": 1}, "use_bb_touch: 1 is not allowed for a close equal to the band"),
        ({"cooldown_bars": -1}, "cooldown_bars: -1 is not allowed"),
    ],
)
def test_a_wrong_value_is_a_problem_that_says_what_is_allowed(params, message):
    (problem,) = problems_of(strategy_document(entry_params=params))
    assert problem.startswith("strategy.parameters.entry_logic.params.")
    assert message in problem


def test_an_unknown_rule_is_a_problem_that_names_the_nearest_one():
    (problem,) = problems_of(strategy_document("RSIBBVolumEntry"))
    assert problem == (
        "strategy.parameters.entry_logic.name: 'RSIBBVolumEntry' is not a known entry rule; "
        f"allowed: {', '.join(RULES[RuleKind.ENTRY])}; did you mean RSIBBVolumeEntryMixin?"
    )


def test_the_spelling_of_the_class_names_the_registered_rule_as_the_nearest_one():
    (problem,) = problems_of(strategy_document("BBVolumeSupertrendEntryMixin"))
    assert problem.endswith("did you mean BBVolumeSuperTrendEntryMixin?")


def test_all_problems_are_found_at_once():
    found = problems_of(
        strategy_document("Nope", "ATRExitMixin", exit_params={"atr_period": 0}, position_size=1.5, asset_type="bond")
    )
    assert [text.partition(":")[0].removeprefix("strategy.parameters.") for text in found] == [
        "entry_logic.name",
        "exit_logic.params.atr_period",
        "position_size",
        "asset_type",
    ]


@pytest.mark.parametrize("document", [None, [], "text", {}, {"type": "CustomStrategy"}, {"parameters": 3}])
def test_a_document_of_another_shape_is_a_problem_and_never_an_exception(document):
    assert problems_of(document)


def test_missing_rules_are_problems():
    assert problems_of({"type": "CustomStrategy", "parameters": {}}) == [
        "strategy.parameters.entry_logic: is missing; it names the entry rule and its parameters",
        "strategy.parameters.exit_logic: is missing; it names the exit rule and its parameters",
    ]


def test_an_unknown_strategy_type_falls_back_with_a_notice():
    document = {**strategy_document(), "type": "P08XGBStrategy"}
    assert notices_of(document) == [
        "strategy.type: 'P08XGBStrategy' is not a known strategy; falls back to CustomStrategy"
    ]


@pytest.mark.parametrize("size", [0, -0.1, 1.01, "0.1", True, float("inf")])
def test_a_position_size_outside_zero_to_one_is_a_problem(size):
    (problem,) = problems_of(strategy_document(position_size=size))
    assert problem.endswith("is no fraction of the cash; allowed: a number above 0, at most 1")


@pytest.mark.parametrize(
    ("sizes", "fraction"),
    [
        ({}, "0.1"),
        ({"position_size": 1}, "1"),
        ({"position_size": 0.3}, "0.3"),
        ({"position_size": 0.3, "max_position_size": 0.2}, "0.2"),
        ({"position_size": 0.01, "min_position_size": 0.05}, "0.05"),
        ({"min_position_size": 0.2}, "0.2"),
    ],
)
def test_the_fraction_is_the_position_size_within_the_limits_of_the_document(sizes, fraction):
    assert strategy_config(**sizes).fraction == Decimal(fraction)


def test_a_lower_limit_above_the_upper_one_is_a_problem():
    (problem,) = problems_of(strategy_document(min_position_size=0.5, max_position_size=0.2))
    assert "min_position_size: 0.5 is above max_position_size, 0.2" in problem


OWN_INDICATORS = [
    {"type": "RSI", "params": {"timeperiod": "rsi_period"}, "fields_mapping": {"rsi": "entry_rsi"}},
    {"type": "BBANDS", "params": {"timeperiod": 20, "nbdevup": "e_bb_dev", "nbdevdn": 2.0}, "fields_mapping": {}},
]


def test_a_list_of_indicators_that_says_what_the_rule_does_changes_nothing_and_is_noted():
    document = strategy_document()
    document["parameters"]["entry_logic"]["indicators"] = OWN_INDICATORS
    assert notices_of(document) == [
        "strategy.parameters.entry_logic.indicators: only its numbers are read: RSIOrBBEntryMixin brings its own ones"
    ]


def test_a_list_of_indicators_wins_over_a_parameter_and_says_so():
    document = strategy_document(entry_params={"rsi_period": 10})
    document["parameters"]["entry_logic"]["indicators"] = [{"type": "RSI", "params": {"timeperiod": 14}}]
    config, problems, notices = parse_strategy(document)
    assert problems == []
    assert config.entry.whole("rsi_period") == 14
    assert any("says rsi_period 14, which wins over 10" in str(notice) for notice in notices)


def test_a_word_in_a_list_stands_for_the_logic_parameter_of_that_name():
    document = strategy_document(entry_params={"mine": 9})
    document["parameters"]["entry_logic"]["indicators"] = [{"type": "RSI", "params": {"timeperiod": "mine"}}]
    config, problems, _ = parse_strategy(document)
    assert problems == []
    assert config.entry.whole("rsi_period") == 9


def test_two_indicators_of_one_kind_are_read_in_the_order_of_the_list():
    averages = [{"type": "SMA", "params": {"timeperiod": period}} for period in (7, 21)]
    config, problems, _ = parse_strategy(
        with_list(strategy_document(exit_="MACrossoverExitMixin"), "exit_logic", *averages)
    )
    assert problems == []
    assert (config.exit.whole("fast_period"), config.exit.whole("slow_period")) == (7, 21)


def with_list(document, part, *indicators):
    document["parameters"][part]["indicators"] = list(indicators)
    return document


def test_a_list_of_indicators_gives_the_values_that_no_parameter_gives():
    bands = {"type": "BBANDS", "params": {"timeperiod": 25, "nbdevup": 2.1, "nbdevdn": 2.1, "matype": 0}}
    document = with_list(
        strategy_document(), "entry_logic", {"type": "RSI", "params": {"timeperiod": 22}, "fields_mapping": {}}, bands
    )
    config, problems, _ = parse_strategy(document)
    assert problems == []
    assert (config.entry.whole("rsi_period"), config.entry.whole("bb_period")) == (22, 25)
    assert config.entry.number("bb_dev") == 2.1


@pytest.mark.parametrize("field", ["close", ["volume"], {}])
def test_an_indicator_that_the_rule_has_not_is_kept_and_noted(field):
    average = {"type": "SMA", "params": {"timeperiod": 33}, "data_field": field}
    config, problems, notices = parse_strategy(
        with_list(strategy_document("RSIBBVolumeEntryMixin"), "entry_logic", average)
    )
    assert problems == []
    assert config.entry.whole("vol_ma_period") == 20
    assert any("indicators.0: is none of the rule's own indicators" in str(notice) for notice in notices)


def test_a_list_may_average_another_indicator_under_any_alias():
    average = {"type": "SMA", "params": {"timeperiod": 60}, "data_field": "entry_atr"}
    config, problems, _ = parse_strategy(with_list(strategy_document("EOMPullbackEntryMixin"), "entry_logic", average))
    assert problems == []
    assert config.entry.whole("atr_sma_period") == 60


@pytest.mark.parametrize("period", [0, 14.5, -3])
def test_a_list_with_a_number_that_is_not_allowed_is_a_problem(period):
    listed = {"type": "RSI", "params": {"timeperiod": period}}
    (problem,) = problems_of(with_list(strategy_document(), "entry_logic", listed))
    assert "entry_logic.indicators" in problem
    assert "is not allowed for rsi_period" in problem


@pytest.mark.parametrize("period", ["14", True, None, [14]])
def test_what_is_no_number_in_a_list_leaves_the_parameter_as_it_is(period):
    listed = {"type": "RSI", "params": {"timeperiod": period}}
    config, problems, _ = parse_strategy(with_list(strategy_document(), "entry_logic", listed))
    assert problems == []
    assert config.entry.whole("rsi_period") == 14


def test_no_lower_limit_may_be_written_as_zero():
    assert strategy_config(min_position_size=0, position_size=0.02).fraction == Decimal("0.02")


def test_a_message_never_shows_what_looks_like_a_secret():
    assert str(Problem("broker.api_key", "hunter2", "is wrong")) == "broker.api_key: '***' is wrong"
    nested = Problem("broker", {"name": "x", "apiSecret": "hunter2", "auth": [{"token": "hunter2"}]}, "is wrong")
    assert "hunter2" not in str(nested) + repr(nested)
    assert len(str(Problem("name", "x" * 500, "is long"))) < 120
