"""`tradingbot backtest`: a config document over a file of bars. Touches no database and no network."""

import argparse
import json
import sys
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot_core.models.errors import InvalidBotError, TradingBotError
from bot_core.models.strategy import StrategyConfig, parse_strategy
from bot_runtime.engine.backtest import BacktestResult, run_backtest
from bot_runtime.feeds.csv_bars import read_csv_bars
from bot_runtime.feeds.intervals import interval_seconds
from bot_runtime.strategies.registry import build_sizing, build_strategy

if TYPE_CHECKING:
    _Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse gives no other name

_DEFAULT_CASH = Decimal(10_000)
_DEFAULT_COMMISSION = Decimal("0.001")


def add_parser(subparsers: "_Subparsers") -> None:
    """Add the `backtest` command."""
    parser = subparsers.add_parser("backtest", help="run a bot's document over the bars of a CSV file")
    parser.add_argument("path", type=Path, metavar="PATH", help="JSON config document of a bot")
    parser.add_argument("--bars", type=Path, required=True, metavar="FILE", help="CSV file of bars")
    parser.add_argument("--cash", type=_decimal, help="opening cash; the document's broker.cash, or 10000")
    parser.add_argument("--commission", type=_decimal, help="fraction; the document's broker.commission, or 0.001")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Return the exit code: 0 done, 1 failed, with the reasons on standard error."""
    try:
        result, config = _backtest(args)
    except TradingBotError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(result.to_json(), indent=2) if args.json else _table(result, config))
    return 0


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from error
    if not value.is_finite() or value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is out of range; allowed: finite, 0 or more")
    return value


def _backtest(args: argparse.Namespace) -> tuple[BacktestResult, StrategyConfig]:
    document = _read_document(args.path)
    config, problems, notices = parse_strategy(document.get("strategy"))
    if config is None:
        raise InvalidBotError("\n".join(str(problem) for problem in problems))
    data = _section(document, "data")
    bars = read_csv_bars(args.bars, interval_seconds(data.get("interval", "1h")), data)
    for notice in (*notices, *bars.notices):
        print(f"notice: {notice}", file=sys.stderr)
    broker = _section(document, "broker")
    result = run_backtest(
        build_strategy(config),
        bars,
        position_size=build_sizing(config),
        cash=args.cash if args.cash is not None else _amount(broker, "cash", _DEFAULT_CASH),
        commission=args.commission
        if args.commission is not None
        else _amount(broker, "commission", _DEFAULT_COMMISSION),
    )
    return result, config


def _read_document(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InvalidBotError(f"{path} can't be read as JSON: {error}") from error
    if not isinstance(document, Mapping):
        raise InvalidBotError(f"{path} holds no JSON object")
    return document


def _section(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    section = document.get(key)
    return section if isinstance(section, Mapping) else {}


def _amount(broker: Mapping[str, Any], key: str, default: Decimal) -> Decimal:
    value = broker.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise InvalidBotError(f"broker.{key}: {value!r} is no amount; allowed: a number, 0 or more")
    return Decimal(str(value))


def _table(result: BacktestResult, config: StrategyConfig) -> str:
    head = f"{'entry':<20} {'price':>14} {'size':>16} {'exit':<20} {'price':>14} {'net P&L':>14}  reason"
    lines = [f"{config.entry.name} + {config.exit.name}", "", head]
    lines += [
        f"{trade.entry_time:%Y-%m-%d %H:%M:%S}  {trade.entry_price:>14.8g} {trade.size:>16.8f} "
        f"{trade.exit_time:%Y-%m-%d %H:%M:%S}  {trade.exit_price:>14.8g} {trade.net_pnl:>14.8f}  {trade.exit_reason}"
        for trade in result.trades
    ]
    position = result.open_position
    if position is not None:
        lines.append(
            f"{position.entry_time:%Y-%m-%d %H:%M:%S}  {position.entry_price:>14.8g} {position.quantity:>16.8f} open"
        )
    won = sum(trade.net_pnl > 0 for trade in result.trades)
    net = sum((trade.net_pnl for trade in result.trades), Decimal(0))
    lines += ["", f"{len(result.trades)} trades, {won} won; net P&L {net:.8f}; final value {result.final_value:.8f}"]
    return "\n".join(lines)
