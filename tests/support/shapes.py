"""A bot in every shape that documents have had: all mean the same trades. And the samples beside the checkout."""

import json
from pathlib import Path
from typing import Any

import pytest

from bot_core.models.shapes.normalise import bot_documents

SAMPLES = Path(__file__).parents[2].parent / "shared" / "etrading" / "samples"

ENTRY = {"name": "RSIBBVolumeEntryMixin", "params": {"e_rsi_period": 10, "e_rsi_oversold": 35}}
EXIT = {"name": "RSIBBExitMixin", "params": {"x_rsi_overbought": 65}}
_RULES = {"entry_logic": ENTRY, "exit_logic": EXIT}
_DATA = {"data_source": "binance", "interval": "4h", "lookback_bars": 300}
_RISK = {"stop_loss_pct": 5.0, "max_daily_trades": 10, "trailing_stop": True, "trailing_stop_pct": 2.0}
_TELEGRAM = {"telegram_enabled": True, "position_opened": True, "error_notifications": True}
_BROKER = {"type": "binance", "trading_mode": "paper", "cash": 5000.0, "commission": 0.002}

CURRENT: dict[str, Any] = {
    "bot_id": "0001",
    "symbol": "LTCUSDT",
    "broker": _BROKER,
    "data": _DATA,
    "strategy": {"type": "CustomStrategy", "parameters": {**_RULES, "position_size": 0.2}},
    "trading": {"position_size": 0.2, "max_positions": 3},
    "risk_management": _RISK,
    "notifications": _TELEGRAM,
}
SHAPES: dict[str, dict[str, Any]] = {
    "A": CURRENT,
    "B": {key: value for key, value in CURRENT.items() if key != "bot_id"} | {"id": "0001", "enabled": True},
    "L": {
        "broker": {"type": "binance_paper", "initial_balance": 5000.0, "commission": 0.002},
        "data": _DATA,
        "trading": {"symbol": "LTC/USDT", "position_size": 0.2, "max_positions": 3},
        "strategy": {"name": "CustomStrategy", **_RULES, "position_size": 0.2},
        "risk_management": _RISK | {"trailing_stop": {"enabled": True, "trailing_pct": 2.0}, "trailing_stop_pct": None},
        "notifications": {"enabled": True, "telegram": {"enabled": True, "notify_on": ["trade_entry", "error"]}},
    },
    "F": {
        "symbol": "ltcusdt",
        "broker_type": "binance_paper",
        "initial_balance": 5000.0,
        "commission": 0.002,
        "paper_trading": True,
        "data_source": "binance",
        "timeframe": "4h",
        "lookback_bars": 300,
        "strategy_type": "custom",
        "strategy_params": dict(_RULES),
        "position_size": 0.2,
        "max_open_trades": 3,
        "stop_loss_pct": 5.0,
        "max_daily_trades": 10,
        "risk_management": {"trailing_stop": True, "trailing_stop_pct": 2.0},
        "notifications_enabled": True,
        "telegram_enabled": True,
        "notifications": {"position_opened": True},
    },
    "M": {
        "modules": {
            "broker": _BROKER | {"cash": 1.5},
            "strategy": {"type": "CustomStrategy", "parameters": {"strategy_config": dict(_RULES)}},
            "risk_management": _RISK,
            "notifications": _TELEGRAM,
        },
        "overrides": {"symbol": "LTCUSDT", "initial_balance": 5000.0},
        "data": _DATA,
        "trading": {"position_size": 0.2, "max_positions": 3},
    },
    "U": {
        "type": "paper",
        "bot_type": "paper",
        "strategy_type": "custom",
        "trading_pair": "LTCUSDT",
        "initial_balance": 5000.0,
        "commission": 0.002,
        "interval": "4h",
        "lookback": 300,
        "position_size": 0.2,
        "max_positions": 3,
        "risk_management": _RISK,
        "notifications": _TELEGRAM,
        "strategy_params": {
            "entry": {"rsi_period": 10, "rsi_oversold": 35},
            "exit": {"rsi_overbought": 65},
        },
    },
}


def samples() -> Path:
    """The folder of sample documents; skips loudly where the given material is not beside the checkout."""
    if not SAMPLES.is_dir():
        pytest.skip(f"SAMPLE DOCUMENTS NOT CHECKED: {SAMPLES} is not there")
    return SAMPLES


def sample_bots(path: str) -> list[Any]:
    return bot_documents(json.loads((samples() / path).read_text(encoding="utf-8")))
