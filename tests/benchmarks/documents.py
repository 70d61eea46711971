"""The documents that benchmarks run."""

from typing import Any

from support.bars import strategy_document
from support.bots import a_document

#: RSI and Bollinger bands to enter, ATR to leave: what the other frameworks are given as well.
RSI_BB_ATR: dict[str, dict[str, Any]] = {
    "entry_params": {"e_rsi_oversold": 30, "e_cooldown_bars": 5},
    "exit_params": {"x_sl_multiplier": 2.0},
}


def paper_bot(**data: Any) -> dict[str, Any]:
    """One symbol, bars of a minute, 500 of them kept."""
    generated = {"data_source": "generated", "interval": "1m", "seed": 5, "lookback_bars": 500}
    return a_document(data=generated | data, strategy=strategy_document(**RSI_BB_ATR))
