"""Sample rows for a first look, and one for a trial: paper bots on generated bars. Data only."""

from typing import Any

SAMPLE_USER = "trader@example.com"


def sample_documents(*, speed: float = 20.0) -> list[dict[str, Any]]:
    """Documents of three bots; `speed` is in bars a second."""
    return [
        _document(
            "BTC dips, ATR stop", "BTCUSDT", "1h", speed, 7,
            ("RSIOrBBEntryMixin", {"e_rsi_period": 14, "e_rsi_oversold": 30, "e_bb_period": 20, "e_bb_dev": 2.0,
                                   "e_cooldown_bars": 4}),
            ("ATRExitMixin", {"x_atr_period": 14, "x_sl_multiplier": 2.0}),
        ),
        _document(
            "ETH capitulation, band exit", "ETHUSDT", "15m", speed, 11,
            ("RSIBBVolumeEntryMixin", {"e_rsi_period": 14, "e_rsi_oversold": 35, "e_bb_period": 20, "e_bb_dev": 2.0,
                                       "e_vol_ma_period": 20, "e_min_volume_ratio": 1.1}),
            ("ATRExitMixin", {"x_atr_period": 14, "x_sl_multiplier": 2.5}),
        ),
        _document(
            "LTC mean reversion", "LTCUSDT", "5m", speed, 13,
            ("RSIOrBBEntryMixin", {"e_rsi_period": 20, "e_rsi_oversold": 25, "e_bb_period": 16, "e_bb_dev": 2.08}),
            ("RSIBBExitMixin", {"x_rsi_period": 9, "x_rsi_overbought": 60, "x_bb_period": 12, "x_bb_dev": 1.5}),
        ),
    ]  # fmt: skip


def trial_document() -> dict[str, Any]:
    """A bot that has closed a trade within seconds, and tells nobody of it."""
    return _document(
        "Trial", "ETHUSDT", "1h", 50.0, 3,
        ("RSIOrBBEntryMixin", {"e_rsi_period": 14, "e_rsi_oversold": 40, "e_bb_period": 20, "e_bb_dev": 2.0,
                               "e_cooldown_bars": 3}),
        ("ATRExitMixin", {"x_atr_period": 14, "x_sl_multiplier": 1.0}),
    )  # fmt: skip


def _document(
    name: str,
    symbol: str,
    interval: str,
    speed: float,
    seed: int,
    entry: tuple[str, dict[str, Any]],
    exit_: tuple[str, dict[str, Any]],
) -> dict[str, Any]:
    return {
        "name": name,
        "enabled": True,
        "symbol": symbol,
        "broker": {"type": "paper", "trading_mode": "paper", "cash": 10000.0, "commission": 0.001},
        "data": {"data_source": "generated", "interval": interval, "seed": seed, "speed": speed},
        "strategy": {
            "type": "CustomStrategy",
            "parameters": {
                "entry_logic": {"name": entry[0], "params": entry[1]},
                "exit_logic": {"name": exit_[0], "params": exit_[1]},
                "position_size": 0.1,
            },
        },
        "notifications": {"position_opened": False, "position_closed": False, "error_notifications": False},
    }
