"""Keys of the top level that belong into a section, the `modules` container and `overrides`."""

import re
from collections.abc import Mapping

from bot_core.models.shapes.draft import Draft, Path

_MODES = frozenset({"paper", "live"})
_BROKERS = frozenset({"binance", "binance_paper", "ibkr", "alpaca", "mock", "backtrader"})


def _moves(section: Path, *keys: str, **renamed: str) -> dict[Path, Path]:
    same: dict[Path, Path] = {(key,): (*section, key) for key in keys}
    return same | {(old,): (*section, new) for old, new in renamed.items()}


#: In the order in which they are tried: where two say the same thing the first is read.
_MOVES: dict[Path, Path] = {
    **_moves((), trading_pair="symbol", pair="symbol", ticker="symbol"),
    **_moves(("data",), "interval", "lookback_bars", "retry_interval", "data_source"),
    **_moves(("data",), timeframe="interval", lookback="lookback_bars"),
    **_moves(("broker",), "commission", broker_type="type", initial_balance="cash"),
    **_moves(("strategy",), strategy_type="type"),
    **_moves(("trading",), "max_positions", "max_drawdown_pct", "max_exposure", max_open_trades="max_positions"),
    **_moves(("risk_management",), "stop_loss_pct", "take_profit_pct", "max_daily_trades", "max_daily_loss"),
    **_moves(("logging",), "save_trades", "save_equity_curve", "log_file", log_level="level"),
    **_moves(("notifications",), "telegram_enabled", "email_enabled"),
}


def lift_modules(draft: Draft) -> None:
    """`modules.X` becomes X."""
    modules = draft.get("modules")
    if modules is None:
        return
    if not isinstance(modules, Mapping):
        draft.refuse(("modules",), modules, "is not a JSON object of sections")
        draft.drop(("modules",))
        return
    for key in modules:
        draft.move(("modules", key), (key,))
    draft.drop(("modules",))


def apply_overrides(draft: Draft) -> None:
    """`overrides` replace what the document says; `initial_balance` there is the broker's cash."""
    overrides = draft.get("overrides")
    if overrides is None:
        return
    if not isinstance(overrides, Mapping):
        draft.refuse(("overrides",), overrides, "is not a JSON object")
        draft.drop(("overrides",))
        return
    for key, value in overrides.items():
        target = ("broker", "cash") if key == "initial_balance" else (key,)
        source = ("overrides", key)
        if draft.get(*target) == value and value is not None:
            draft.note(source, f"says the same as {'.'.join(target)}")
        elif draft.put(target, value, source=source):
            draft.note(source, f"is read as {'.'.join(target)}")
    draft.drop(("overrides",))


def move_to_sections(draft: Draft) -> None:
    for source, target in _MOVES.items():
        draft.move(source, target)
    _oldest_type(draft)
    _paper_flag(draft)
    _notification_switch(draft)
    if "risk_per_trade" in draft.document:
        draft.drop(("risk_per_trade",), "is not read: position_size says how much is bought")
    _position_size(draft)


def spell_ids(draft: Draft) -> None:
    """`bot_id` is text and `user_id` a number; each was written as the other."""
    bot_id, user_id = draft.get("bot_id"), draft.get("user_id")
    if isinstance(bot_id, int) and not isinstance(bot_id, bool):
        draft.put(("bot_id",), str(bot_id))
        draft.note(("bot_id",), "is read as text")
    if isinstance(user_id, str) and re.fullmatch(r"[0-9]{1,9}", user_id):
        draft.put(("user_id",), int(user_id))
        draft.note(("user_id",), "is read as a number")


def _oldest_type(draft: Draft) -> None:
    """`type` and `bot_type` of the oldest documents say paper or live, or name the broker."""
    for key in ("bot_type", "type"):
        value = draft.get(key)
        word = value.strip().lower() if isinstance(value, str) else ""
        if word in _MODES | _BROKERS:
            draft.move((key,), ("broker", "trading_mode" if word in _MODES else "type"))


def _paper_flag(draft: Draft) -> None:
    flag = draft.get("paper_trading")
    if not isinstance(flag, bool):
        return
    mode = "paper" if flag else "live"
    if draft.get("broker", "trading_mode") is None and draft.put(
        ("broker", "trading_mode"), mode, source=("paper_trading",)
    ):
        draft.drop(("paper_trading",), f"is read as broker.trading_mode {mode}")
    else:
        draft.drop(("paper_trading",), "is not read: broker.trading_mode is there as well")


def _notification_switch(draft: Draft) -> None:
    for key in ("notifications_enabled", "enable_notifications"):
        wanted = draft.get(key)
        if wanted is None:
            continue
        draft.move((key,), ("notifications", "enabled"))
        target = ("notifications", "error_notifications")
        if wanted is True and draft.get(*target) is None:
            draft.put(target, True, source=("notifications", "enabled"))


def _position_size(draft: Draft) -> None:
    size = draft.get("position_size")
    if size is None:
        return
    if draft.get("trading", "position_size") is None:
        draft.put(("trading", "position_size"), size, source=("position_size",))
    draft.move(("position_size",), ("strategy", "parameters", "position_size"))
