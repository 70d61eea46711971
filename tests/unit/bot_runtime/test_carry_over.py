import dataclasses
from typing import Any

import pytest

from bot_core.models.config import BotConfig, parse_config
from bot_runtime.brokers.paper_venue import PaperVenue
from bot_runtime.domain.account import Account
from bot_runtime.domain.order import fill_of
from bot_runtime.engine.carry_over import COMPUTED, begins_anew, carried_state
from bot_runtime.engine.kernel import Kernel
from bot_runtime.indicators.history import History
from bot_runtime.strategies.registry import EXITS, build_sizing, build_strategy
from support.bars import CASH, COMMISSION, made_up_bars, strategy_document
from support.bots import a_document

MODELS = {"hmm_model_path": "hmm.json", "lstm_model_path": "lstm.onnx", "position_size": 0.5}
OFTEN = {"e_rsi_oversold": 45, "e_cooldown_bars": 3}


def a_bot(exit_: str = "ATRExitMixin", entry: str = "RSIOrBBEntryMixin", **changes: Any) -> dict[str, Any]:
    exit_params, entry_params = changes.pop("x", {}), changes.pop("e", OFTEN)
    return a_document(strategy=strategy_document(entry, exit_, entry_params, exit_params), **changes)


def config_of(document: dict[str, Any]) -> BotConfig:
    config = parse_config(document).config
    assert config is not None
    return config


def state_in_a_position(document: dict[str, Any], bars_held: int = 8) -> dict[str, Any]:
    """The state of the first trade that lasts so many bars."""
    config = config_of(document)
    kernel = Kernel(
        bot_id=7,
        strategy=build_strategy(config.strategy),
        account=Account(CASH),
        position_size=build_sizing(config.strategy),
        history=History(3600, None),
    )
    venue, held = PaperVenue(COMMISSION), 0
    for bar in made_up_bars(3000, seed=3, interval=3600):
        for fill in map(fill_of, venue.match(bar)):
            assert kernel.pending is not None
            kernel.on_fill(kernel.pending, fill)
        intent = kernel.on_bar(bar)
        if intent is not None:
            venue.submit(intent)
        held = held + 1 if kernel.account.position is not None else 0
        if held == bars_held and kernel.pending is None:
            return kernel.dump_state()
    raise AssertionError("no trade lasted so long")


@pytest.mark.parametrize(
    "changes",
    [{"name": "renamed"}, {"broker": {"type": "paper", "trading_mode": "paper", "commission": 0.01}}],
)
def test_all_is_kept_where_the_strategy_stays(changes: dict[str, Any]) -> None:
    state = state_in_a_position(a_bot())
    carried = carried_state(a_bot(), config_of(a_bot(**changes)), state)
    assert carried == state
    assert not begins_anew(state, carried)


def test_a_trailing_high_is_kept_and_the_stop_is_as_if_the_new_multiplier_had_been_there_all_the_time() -> None:
    old, new = a_bot(x={"x_sl_multiplier": 7.0}), a_bot(x={"x_sl_multiplier": 8.0})
    state, undisturbed = state_in_a_position(old), state_in_a_position(new)
    carried = carried_state(old, config_of(new), state)
    kept = carried["exit"]["state"]
    assert kept == {**undisturbed["exit"]["state"], "stop": None}
    assert kept["highest"] - kept["entry_atr"] * 8.0 == undisturbed["exit"]["state"]["stop"]
    assert not begins_anew(state, carried)
    strategy = build_strategy(config_of(new).strategy)
    strategy.load_state(carried)
    assert strategy.dump_state() == carried


def test_an_atr_of_another_period_is_measured_anew() -> None:
    old, new = a_bot(x={"x_atr_period": 14}), a_bot(x={"x_atr_period": 20})
    kept = carried_state(old, config_of(new), state_in_a_position(old))["exit"]["state"]
    assert (kept["entry_atr"], kept["stop"]) == (None, None)
    assert kept["highest"] > 0


@pytest.mark.parametrize("rule", ["TrailingStopExitMixin", "TimeBasedExitMixin"])
def test_what_was_only_seen_of_the_market_is_kept_as_it_is(rule: str) -> None:
    names = {"TrailingStopExitMixin": ("x_trail_pct", 0.2, 0.3), "TimeBasedExitMixin": ("x_max_bars", 50, 80)}
    name, before, after = names[rule]
    old, new = a_bot(rule, x={name: before}), a_bot(rule, x={name: after})
    state = state_in_a_position(old)
    carried = carried_state(old, config_of(new), state)
    assert state["exit"]["state"] is not None
    assert carried["exit"]["state"] == state["exit"]["state"]


@pytest.mark.parametrize("new", [a_bot("SimpleATRExitMixin"), a_bot("TrailingStopExitMixin")])
def test_another_exit_rule_begins_anew_and_the_entry_goes_on(new: dict[str, Any]) -> None:
    state = state_in_a_position(a_bot())
    carried = carried_state(a_bot(), config_of(new), state)
    assert carried == {"entry": state["entry"]}
    assert begins_anew(state, carried)


def test_a_rule_whose_whole_state_was_computed_begins_anew() -> None:
    old, new = (a_bot("SimpleATRExitMixin", x={"x_atr_multiplier": value}) for value in (3.0, 4.0))
    state = state_in_a_position(old)
    assert begins_anew(state, carried_state(old, config_of(new), state))


def test_a_pause_after_a_signal_outlives_other_parameters_but_not_another_entry_rule() -> None:
    state = state_in_a_position(a_bot())
    longer = config_of(a_bot(e=OFTEN | {"e_cooldown_bars": 9}))
    assert carried_state(a_bot(), longer, state) == state
    assert "entry" not in carried_state(a_bot(), config_of(a_bot(entry="RSIBBEntryMixin")), state)


@pytest.mark.parametrize("changes", [{"symbol": "BTCUSDT"}, {"data": a_document()["data"] | {"interval": "5m"}}])
def test_nothing_is_known_of_another_market(changes: dict[str, Any]) -> None:
    state = state_in_a_position(a_bot())
    assert carried_state(a_bot(), config_of(a_bot(**changes)), state) == {}


RISK = {
    "day": "2026-03-02",
    "day_entries": 7,
    "day_pnl": "-500",
    "peak": "12000",
    "position": {"entry_time": "2026-03-02T10:00:00+00:00", "entry_price": "100", "high": "180"},
}


@pytest.mark.parametrize(
    "new",
    [
        a_bot(x={"x_sl_multiplier": 9.0}),
        a_bot("TrailingStopExitMixin"),
        a_bot(entry="RSIBBEntryMixin"),
        a_bot(risk_management={"stop_loss_pct": 3}),
        a_document(strategy={"type": "HMMLSTMStrategy", "parameters": MODELS}),
    ],
)
def test_what_the_limits_count_outlives_every_change(new: dict[str, Any]) -> None:
    state = state_in_a_position(a_bot()) | {"risk": RISK}
    assert carried_state(a_bot(), config_of(new), state)["risk"] == RISK


def test_on_another_market_the_limits_forget_the_position_alone() -> None:
    state = state_in_a_position(a_bot()) | {"risk": RISK}
    carried = carried_state(a_bot(), config_of(a_bot(symbol="BTCUSDT")), state)
    assert carried == {"risk": RISK | {"position": None}}
    assert begins_anew(state, carried)


def test_without_a_readable_old_document_the_state_is_left_to_the_rules_themselves() -> None:
    state = state_in_a_position(a_bot())
    assert carried_state(None, config_of(a_bot()), state) == state
    assert carried_state("junk", config_of(a_bot()), {}) == {}


def test_what_is_said_of_rules_is_said_of_rules_and_fields_that_are_there() -> None:
    for name, computed in COMPUTED.items():
        fields = {field.name for field in dataclasses.fields(EXITS[name].memory_type)}  # type: ignore[attr-defined]
        assert computed.keys() <= fields, name
        assert all(inputs <= parameters_of(name) for inputs, _ in computed.values())


def parameters_of(rule: str) -> set[str]:
    return set(config_of(a_bot(rule)).strategy.exit.parameters)


@pytest.mark.parametrize("rule", [*EXITS])
def test_every_exit_rule_can_load_what_is_carried_to_it_after_any_change(rule: str) -> None:
    document = a_bot(rule)
    config = config_of(document)
    state = state_in_a_position(document, bars_held=1)
    tried = 0
    for name, value in config.strategy.exit.parameters.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        changed = a_bot(rule, x={f"x_{name}": type(value)(value * 1.1 + 1)})
        parsed = parse_config(changed).config
        if parsed is None or parsed.strategy == config.strategy:
            continue
        tried += 1
        carried = carried_state(document, parsed, state)
        strategy = build_strategy(parsed.strategy)
        strategy.load_state(carried)
        assert strategy.dump_state()["exit"]["state"] == carried.get("exit", {}).get("state")
    assert tried
