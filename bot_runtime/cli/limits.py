"""`tradingbot limits …`: what the bots of a user, of a broker account or all of them may risk together."""

import sys
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

import typer

from bot_core.models.limit import EVERYBODY, Limit, LimitScope
from bot_core.store.database import Database
from bot_core.store.limits import LimitStore
from bot_runtime.cli.confirmation import agreed
from bot_runtime.cli.connection import actor, user_id, with_database
from bot_runtime.cli.options import AsJson, Yes
from bot_runtime.cli.tables import print_json, print_table
from bot_runtime.cli.usage import UsageError, require_one

_MOST = Decimal(10) ** 12  # the columns hold twelve digits before the point


def _money(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount < _MOST:
        raise typer.BadParameter(f"{text!r} is no amount; allowed: a number from 0 up to 10^12")
    return amount


class Mode(StrEnum):
    PAPER = "paper"
    LIVE = "live"


_User: TypeAlias = Annotated[str | None, typer.Option(metavar="EMAIL|ID", help="The bots of a user.")]
_Account: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME", help="The bots that trade with an account, such as binance:bot-keys.")
]
_All: TypeAlias = Annotated[bool, typer.Option("--all", help="All bots.")]
_Mode: TypeAlias = Annotated[Mode, typer.Option(help="Which trading counts.")]
_Exposure: TypeAlias = Annotated[
    Decimal | None,
    typer.Option(
        parser=_money, metavar="MONEY", help="Most value of open positions and entries on their way, quote currency."
    ),
]
_Loss: TypeAlias = Annotated[
    Decimal | None,
    typer.Option(
        parser=_money,
        metavar="MONEY",
        help="Net loss of a UTC day's closed trades at which entries end, quote currency.",
    ),
]


def register(app: typer.Typer) -> None:
    limits = typer.Typer(no_args_is_help=True)
    limits.command("list", help="List limits, one line each.")(list_)
    limits.command("set", help="Make a limit or change it; what is not given stays as it is.")(set_)
    limits.command("clear", help="Remove a limit.")(clear)
    app.add_typer(limits, name="limits", help="Limits across bots: exposure and daily loss.")


@dataclass(frozen=True, slots=True)
class _Whose:
    everybody: bool
    user: str | None
    account: str | None
    mode: str

    @classmethod
    def of(cls, everybody: bool, user: str | None, account: str | None, mode: Mode) -> "_Whose":  # noqa: FBT001
        require_one(user=user, account=account, all=everybody)
        return cls(everybody, user, account, mode.value)


def list_(*, json: AsJson = False) -> int:
    return with_database(lambda database: _list(database, as_json=json))


def set_(
    *,
    user: _User = None,
    account: _Account = None,
    everybody: _All = False,
    mode: _Mode = Mode.LIVE,
    max_exposure: _Exposure = None,
    max_daily_loss: _Loss = None,
    json: AsJson = False,
) -> int:
    whose = _Whose.of(everybody, user, account, mode)
    if max_exposure is None and max_daily_loss is None:
        raise UsageError("limits set: give --max-exposure, --max-daily-loss or both")
    return with_database(lambda database: _set(database, whose, max_exposure, max_daily_loss, as_json=json))


def clear(
    *,
    user: _User = None,
    account: _Account = None,
    everybody: _All = False,
    mode: _Mode = Mode.LIVE,
    yes: Yes = False,
    json: AsJson = False,
) -> int:
    whose = _Whose.of(everybody, user, account, mode)
    return with_database(lambda database: _clear(database, whose, yes=yes, as_json=json))


async def _list(database: Database, *, as_json: bool) -> int:
    rows = [_limit_json(limit) for limit in await LimitStore(database).all()]
    return print_table(rows, as_json=as_json, empty="no limits across bots; `tradingbot limits set` makes some")


async def _set(
    database: Database, whose: _Whose, max_exposure: Decimal | None, max_daily_loss: Decimal | None, *, as_json: bool
) -> int:
    scope, target = await _target(database, whose)
    limit = await LimitStore(database).set(
        scope, target, whose.mode, max_exposure=max_exposure, max_daily_loss=max_daily_loss, by=actor()
    )
    if as_json:
        print_json(_limit_json(limit))
    else:
        values = {"max_exposure": limit.max_exposure, "max_daily_loss": limit.max_daily_loss}
        words = [f"{name} {value.normalize():f}" for name, value in values.items() if value is not None]
        print(f"{limit}: {', '.join(words)}")
    return 0


async def _clear(database: Database, whose: _Whose, *, yes: bool, as_json: bool) -> int:
    scope, target = await _target(database, whose)
    name = f"{'all bots' if scope is LimitScope.ALL else f'{scope} {target}'} ({whose.mode})"
    # Without its limit a bot may trade more than before.
    if not yes and not agreed(f"{name}: remove the limit?", without_terminal=True):
        print("nothing was removed", file=sys.stderr)
        return 1
    cleared = await LimitStore(database).clear(scope, target, whose.mode)
    if as_json:
        print_json({"cleared": cleared})
    elif cleared:
        print(f"{name}: the limit is removed")
    if not cleared:
        print(f"{name} has no limit", file=sys.stderr)
    return 0 if cleared else 1


async def _target(database: Database, whose: _Whose) -> tuple[LimitScope, str]:
    if whose.everybody:
        return LimitScope.ALL, EVERYBODY
    if whose.account is not None:
        return LimitScope.ACCOUNT, whose.account
    return LimitScope.USER, str(await user_id(database, whose.user or ""))


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
