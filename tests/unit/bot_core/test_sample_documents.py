"""Every sample document of the older platform, with what it is. They lie beside the checkout, or the tests skip."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bot_core.models.config import parse_config
from bot_core.models.shapes.normalise import bot_documents
from support.shapes import SAMPLES, sample_bots, samples

HEAD, OLD = "head/config/trading", "history/60c2956/config/trading"
PARTS = "head/config/contracts/instances"
OLD_PARTS = "history/a4c863a/config/contracts/instances/strategies"
MULTI = "head/config/enhanced_trading/raspberry_pi_multi_strategy.json"


class Bot(NamedTuple):
    """A valid document: what it is about, and what of it decides its trades."""

    symbol: str
    interval: str
    cash: int
    entry: str
    exit: str
    size: str
    source: str = "binance"


VOLUME, OR = "RSIBBVolumeEntryMixin", "RSIOrBBEntryMixin"
BANDS, ATR, SIMPLE = "RSIBBExitMixin", "ATRExitMixin", "SimpleATRExitMixin"
VALID = {
    f"{MULTI}#0": Bot("BTCUSDT", "1h", 5000, VOLUME, ATR, "0.1"),
    f"{MULTI}#2": Bot("ETHUSDT", "2h", 3000, OR, BANDS, "0.15"),
    "head/config/test_bot_configurations/mock_file_test_bot.json": Bot(
        "BTCUSDT", "5m", 10000, VOLUME, ATR, "0.1", "file"
    ),
    f"{HEAD}/0001.json": Bot("BTCUSDT", "1h", 1000, VOLUME, BANDS, "0.1"),
    f"{HEAD}/binance_paper_trading.json": Bot("BTCUSDT", "1h", 10000, VOLUME, BANDS, "0.1"),
    f"{HEAD}/example_current_paper_bot.json": Bot("BTCUSDT", "1h", 10000, VOLUME, BANDS, "0.1"),
    f"{HEAD}/old_config.json": Bot("BTCUSDT", "1h", 10000, VOLUME, BANDS, "0.1"),
    f"{HEAD}/paper_trading_rsi_atr.json": Bot("LTCUSDT", "4h", 10000, OR, ATR, "0.1"),
    f"{HEAD}/paper_trading_simple_atr.json": Bot("LTCUSDT", "4h", 10000, OR, SIMPLE, "0.1"),
    f"{OLD}/0001.json": Bot("BTCUSDT", "1h", 1000, VOLUME, BANDS, "0.1"),
    f"{OLD}/binance_paper_trading.json": Bot("BTCUSDT", "1h", 10000, VOLUME, BANDS, "0.1"),
    f"{OLD}/converted_config.json": Bot("BTCUSDT", "1h", 1000, VOLUME, BANDS, "0.1"),
    f"{OLD}/env_bot_development.json": Bot("BTCUSDT", "1h", 5000, VOLUME, BANDS, "0.1"),
    f"{OLD}/env_bot_production.json": Bot("BTCUSDT", "1h", 50000, VOLUME, BANDS, "0.1"),
    f"{OLD}/example_bot_001.json": Bot("BTCUSDT", "1h", 10000, VOLUME, BANDS, "0.1"),
    f"{OLD}/example_current_paper_bot.json": Bot("BTCUSDT", "1h", 10000, VOLUME, BANDS, "0.1"),
    f"{OLD}/old_config.json": Bot("BTCUSDT", "1h", 10000, VOLUME, BANDS, "0.1"),
    f"{OLD}/paper_trading_rsi_atr.json": Bot("LTCUSDT", "4h", 10000, OR, ATR, "0.1"),
    f"{OLD}/paper_trading_simple_atr.json": Bot("LTCUSDT", "4h", 10000, OR, SIMPLE, "0.1"),
    f"{OLD}/sample_simplified_config.json": Bot("BTCUSDT", "1h", 10000, VOLUME, BANDS, "0.1"),
    f"{OLD}/sample_trading.json": Bot("BTCUSDT", "1h", 1000, VOLUME, BANDS, "0.1"),
}

NO_RULES = (
    "strategy.parameters.entry_logic: is missing; it names the entry rule and its parameters",
    "strategy.parameters.exit_logic: is missing; it names the exit rule and its parameters",
)
UNCONFIRMED = "does not confirm live trading; allowed with trading_mode live: true"
PART = "is all there is: this is one part of a bot's document, not a bot"
SETTINGS = ("trading_settings: is all there is: this is a file of settings, not a bot",)
MANIFEST = ("components: makes this a manifest that only names part files",)
IBKR_LIVE = (*NO_RULES, f"broker.live_trading_confirmed: False {UNCONFIRMED}")
#: All problems of each document, by how they begin.
REFUSED = {
    f"{MULTI}#1": (f"modules.broker.live_trading_confirmed: {UNCONFIRMED}", "credentials_secret: is missing"),
    f"{MULTI}#3": ("modules.strategy.parameters.entry_logic.name: 'MACDEntryMixin' is not a known entry rule",),
    "head/config/test_bot_configurations/mock_file_test_ltc_simple.json": (
        "strategy.parameters.entry_logic.name: 'SMAEntryMixin' is not a known entry rule",
        "strategy.parameters.exit_logic.name: 'SMAExitMixin' is not a known exit rule",
    ),
    "head/config/examples/enhanced_trading_config_examples.json": (
        "paper_trading_binance: is a broker preset: this is a dictionary of them",
    ),
    f"{HEAD}/converted_config.json": NO_RULES,
    f"{HEAD}/env_bot_development.json": NO_RULES,
    f"{HEAD}/env_bot_production.json": NO_RULES,
    f"{HEAD}/example_bot_001.json": NO_RULES,
    f"{HEAD}/sample_simplified_config.json": NO_RULES,
    f"{HEAD}/sample_trading.json": NO_RULES,
    f"{HEAD}/example_current_live_ibkr_bot.json": IBKR_LIVE,
    f"{OLD}/example_current_live_ibkr_bot.json": IBKR_LIVE,
    "history/9170df8/config/trading/paper_trading_p08_mtf.json": NO_RULES,
    f"{HEAD}/live_trading_config.json": SETTINGS,
    f"{HEAD}/paper_trading_config.json": SETTINGS,
    f"{PARTS}/bots/0001.json": MANIFEST,
    f"{PARTS}/bots/manifest-template.json": MANIFEST,
    f"{PARTS}/brokers/broker-binance-paper.json": (f"broker: {PART}",),
    f"{PARTS}/brokers/broker-file-sim.json": (f"broker: {PART}",),
    f"{PARTS}/brokers/broker-ibkr-live.json": (f"broker: {PART}",),
    f"{PARTS}/brokers/broker-ibkr-paper.json": (f"broker: {PART}",),
    f"{PARTS}/notifications/notifications-file.json": (f"notifications: {PART}",),
    f"{PARTS}/notifications/notifications-live.json": (f"notifications: {PART}",),
    f"{PARTS}/notifications/notifications-paper.json": (f"notifications: {PART}",),
    f"{PARTS}/portfolio/portfolio-standard.json": (f"trading: {PART}",),
    f"{PARTS}/risk/risk-global-aggressive.json": (f"portfolio: {PART}",),
    f"{PARTS}/risk/risk-global-conservative.json": (f"portfolio: {PART}",),
    f"{PARTS}/strategy-risks/risk-strategy-standard.json": (f"strategy_limits: {PART}",),
    **{
        f"{PARTS}/strategies/strategy-{name}.json": (f"strategy: {PART}",)
        for name in (
            "bb-volume-super-trend+rsibb-LTCUSDT-30m",
            "eomm-acd-breakout+rsibb-ETHUSDT-1h",
            "rsi-or-bb+ma-crossover-LTCUSDT-30m",
            "rsi-or-bb+rsi-or-bb-LTCUSDT-1h",
            "rsi-or-bb+rsibb-LTCUSDT-30m",
            "rsi-or-bb+time-based-LTCUSDT-30m",
            "rsibb+ma-crossover-LTCUSDT-4h",
            "rsibb-volume+ma-crossover-LTCUSDT-4h",
            "rsibb-volume+rsi-or-bb-LTCUSDT-1h",
            "rsibb-volume+rsibb-ETHUSDT-1h",
        )
    },
    **{
        f"{OLD_PARTS}/strategy-{name}.json": (f"strategy: {PART}",)
        for name in (
            "bb-volume-super-trend+rsibb-LTCUSDT-30m",
            "eomm-acd-breakout+rsibb-ETHUSDT-1h",
            "rsi-or-bb+advanced-atr",
            "rsi-or-bb+advanced-atr-LTCUSDT-30m",
            "rsi-or-bb+fixed-ratio-ETHUSDT-1h",
            "rsi-or-bb+ma-crossover-BTCUSDT-4h",
            "rsi-or-bb+rsi-or-bb-ETHUSDT-1h",
            "rsibb+rsibb-LTCUSDT-30m",
            "rsibb-volume+advanced-atr-LTCUSDT-4h",
            "rsibb-volume+ma-crossover-LTCUSDT-30m",
            "rsibb-volume+rsibb-LTCUSDT-1h",
            "rsibb-volume+simple-atr-LTCUSDT-4h",
        )
    },
}
EMPTY = f"{PARTS}/brokers/broker-binance-live.json"


def the_document(name: str) -> Any:
    path, _, index = name.partition("#")
    return sample_bots(path)[int(index or 0)]


@pytest.mark.parametrize("name", VALID)
def test_a_sample_that_was_meant_to_run_is_valid_and_means_what_it_says(name: str) -> None:
    parsed = parse_config(the_document(name))
    config = parsed.config
    assert config is not None, parsed.error
    rules = config.strategy
    assert VALID[name] == Bot(
        config.symbol,
        config.data.interval,
        int(config.broker.cash),
        rules.entry.name,
        rules.exit.name,
        str(rules.fraction),
        config.data.data_source,
    )
    assert (config.broker.trading_mode, config.broker.commission) == ("paper", Decimal("0.001"))


@pytest.mark.parametrize("name", REFUSED)
def test_a_sample_that_cannot_trade_or_is_no_bot_is_refused_with_the_reason(name: str) -> None:
    parsed = parse_config(the_document(name))
    assert parsed.config is None
    found = [str(problem) for problem in parsed.problems]
    assert len(found) == len(REFUSED[name]), found
    for text, beginning in zip(found, REFUSED[name], strict=True):
        assert text.startswith(beginning)


def test_the_table_lists_every_sample() -> None:
    found = set()
    for path in samples().rglob("*.json"):
        name = path.relative_to(SAMPLES).as_posix()
        text = path.read_text(encoding="utf-8")
        bots = bot_documents(json.loads(text)) if text.strip() else [None]
        found |= {name} if len(bots) == 1 else {f"{name}#{index}" for index in range(len(bots))}
    assert found == {*VALID, *REFUSED, EMPTY}


CONVERTED = sorted(
    Path(name).name
    for name in {*VALID, *REFUSED}
    if name.startswith(OLD) and f"{HEAD}/{Path(name).name}" in {*VALID, *REFUSED}
)


@pytest.mark.parametrize("file", CONVERTED)
def test_what_was_converted_by_hand_is_what_the_normaliser_makes_of_the_original(file: str) -> None:
    old, new = (parse_config(the_document(f"{folder}/{file}")).canonical for folder in (OLD, HEAD))
    assert old is not None
    assert new is not None
    assert old["symbol"] == new["symbol"]
    for section in ("broker", "data", "trading", "risk_management", "logging", "notifications"):
        for key, value in new.get(section, {}).items():
            by_hand_only = {("trading", "symbol"), ("data", "symbol"), ("notifications", "error_notifications")}
            if (section, key) not in by_hand_only:
                assert old[section][key] == value, (section, key)
    if "entry_logic" in new["strategy"]["parameters"]:
        for key, value in new["strategy"]["parameters"].items():
            assert old["strategy"]["parameters"][key] == value, key
