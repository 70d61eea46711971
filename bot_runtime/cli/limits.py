"""`tradingbot limits …`: what the bots of a user, of a broker account or all of them may risk together."""

import argparse
import sys
from decimal import Decimal, InvalidOperation
from typing import Any

from bot_core.models.limit import EVERYBODY, Limit, LimitScope
from bot_core.store.database import Database
from bot_core.store.limits import LimitStore
from bot_runtime.cli.connection import actor, user_id, with_database
from bot_runtime.cli.subparsers import Subparsers
from bot_runtime.cli.tables import print_json, print_table

_MOST = Decimal(10) ** 12  # the columns hold twelve digits before the point


def add_parser(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("limits", help="limits across bots: exposure and daily loss")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    listing = commands.add_parser("list", help="one line a limit")
    listing.add_argument("--json", action="store_true", help="print JSON for programs")
    listing.set_defaults(run=with_database(_list))
    setting = commands.add_parser("set", help="make a limit or change it; what is not given stays as it is")
    _add_target(setting)
    exposure = "most value of open positions and entries on their way, quote currency"
    setting.add_argument("--max-exposure", type=_money, metavar="MONEY", help=exposure)
    loss = "net loss of a UTC day's closed trades at which entries end, quote currency"
    setting.add_argument("--max-daily-loss", type=_money, metavar="MONEY", help=loss)
    setting.set_defaults(run=with_database(_set))
    clearing = commands.add_parser("clear", help="remove a limit")
    _add_target(clearing)
    clearing.set_defaults(run=with_database(_clear))


def _add_target(parser: argparse.ArgumentParser) -> None:
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--user", metavar="EMAIL|ID", help="the bots of a user")
    whose.add_argument(
        "--account", metavar="NAME", help="the bots that trade with an account, such as binance:bot-keys"
    )
    whose.add_argument("--all", action="store_true", help="all bots")
    parser.add_argument("--mode", choices=("paper", "live"), default="live", help="which trading counts; default: live")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


async def _list(database: Database, args: argparse.Namespace) -> int:
    rows = [_limit_json(limit) for limit in await LimitStore(database).all()]
    return print_table(rows, as_json=args.json, empty="no limits across bots; `tradingbot limits set` makes some")


async def _set(database: Database, args: argparse.Namespace) -> int:
    if args.max_exposure is None and args.max_daily_loss is None:
        print("tradingbot limits set: give --max-exposure, --max-daily-loss or both", file=sys.stderr)
        return 2
    scope, target = await _target(database, args)
    limit = await LimitStore(database).set(
        scope, target, args.mode, max_exposure=args.max_exposure, max_daily_loss=args.max_daily_loss, by=actor()
    )
    if args.json:
        print_json(_limit_json(limit))
    else:
        values = {"max_exposure": limit.max_exposure, "max_daily_loss": limit.max_daily_loss}
        words = [f"{name} {value.normalize():f}" for name, value in values.items() if value is not None]
        print(f"{limit}: {', '.join(words)}")
    return 0


async def _clear(database: Database, args: argparse.Namespace) -> int:
    scope, target = await _target(database, args)
    cleared = await LimitStore(database).clear(scope, target, args.mode)
    whose = "all bots" if scope is LimitScope.ALL else f"{scope} {target}"
    if args.json:
        print_json({"cleared": cleared})
    elif cleared:
        print(f"{whose} ({args.mode}): the limit is removed")
    if not cleared:
        print(f"{whose} ({args.mode}) has no limit", file=sys.stderr)
    return 0 if cleared else 1


async def _target(database: Database, args: argparse.Namespace) -> tuple[LimitScope, str]:
    if args.all:
        return LimitScope.ALL, EVERYBODY
    if args.account is not None:
        return LimitScope.ACCOUNT, args.account
    return LimitScope.USER, str(await user_id(database, args.user))


def _limit_json(limit: Limit) -> dict[str, Any]:
    return {
        "scope": limit.scope,
        "target": limit.target,
        "mode": limit.trading_mode,
        "max_exposure": limit.max_exposure,
        "max_daily_loss": limit.max_daily_loss,
        "updated_by": limit.updated_by,
        "updated_at": limit.updated_at,
    }


def _money(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount < _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount; allowed: a number from 0 up to 10^12")
    return amount
