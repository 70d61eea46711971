"""`tradingbot backtest`: a config document over a file of bars. Touches no database and no network."""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot_core.models.config import ParsedConfig, parse_normalised
from bot_core.models.errors import InvalidBotError, TradingBotError
from bot_core.models.shapes.normalise import normalise
from bot_core.models.strategy import StrategyConfig
from bot_runtime.cli.documents import read_bots
from bot_runtime.engine.backtest import BacktestResult, run_backtest
from bot_runtime.feeds.csv_bars import read_csv_bars
from bot_runtime.feeds.intervals import interval_seconds
from bot_runtime.strategies.registry import build_sizing, build_strategy

if TYPE_CHECKING:
    _Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse gives no other name


def add_parser(subparsers: "_Subparsers") -> None:
    """Add the `backtest` command."""
    parser = subparsers.add_parser("backtest", help="run a bot's document over the bars of a CSV file")
    parser.add_argument("path", type=Path, metavar="PATH", help="JSON config document of a bot")
    parser.add_argument("--bars", type=Path, required=True, metavar="FILE", help="CSV file of bars")
    parser.add_argument("--bot", type=int, metavar="N", help="which bot of a file with several, from 0")
    parser.add_argument("--cash", type=_decimal, help="opening cash; default: the document's broker.cash, or 10000")
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
    parsed = _parsed(_document(args.path, args.bot), args.bars)
    config = parsed.valid
    if config is None:
        raise InvalidBotError("\n".join(str(problem) for problem in parsed.problems))
    bars = read_csv_bars(args.bars, interval_seconds(config.data.interval), config.data.model_dump(exclude_none=True))
    for notice in (*parsed.notices, *bars.notices):
        print(f"notice: {notice}", file=sys.stderr)
    result = run_backtest(
        build_strategy(config.strategy),
        bars,
        position_size=build_sizing(config.strategy),
        cash=args.cash if args.cash is not None else config.broker.cash,
        commission=args.commission if args.commission is not None else config.broker.commission,
    )
    return result, config.strategy


def _document(path: Path, index: int | None) -> Any:
    bots = read_bots(path)
    if index is None and len(bots) > 1:
        raise InvalidBotError(f"{path} holds {len(bots)} bots; allowed: --bot 0 to --bot {len(bots) - 1}")
    if not 0 <= (index or 0) < len(bots):
        raise InvalidBotError(f"{path} has no bot {index}; allowed: 0 to {len(bots) - 1}")
    return bots[index or 0][1]


def _parsed(document: Any, bars: Path) -> ParsedConfig:
    """Read the document as if it traded these bars on paper, whatever its own market is."""
    given = normalise(document)
    if given.document is None:
        return parse_normalised(given)
    own = {key: given.document.get(key) for key in ("broker", "data")}
    rehearsed = {"symbol": "BACKTEST", **given.document}
    if own["broker"] is None or isinstance(own["broker"], Mapping):
        rehearsed["broker"] = {"type": "paper", **(own["broker"] or {}), "trading_mode": "paper"}
    if own["data"] is None or isinstance(own["data"], Mapping):
        rehearsed["data"] = {**(own["data"] or {}), "data_source": "file", "file_path": str(bars)}
    return parse_normalised(replace(given, document=rehearsed))


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
