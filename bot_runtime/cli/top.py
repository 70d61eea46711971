"""`tradingbot top`: the whole fleet from the database, live on a terminal, else once."""

import sys
from decimal import Decimal
from typing import Annotated, Any

import typer

from bot_core.models.fleet import FleetFacts, News
from bot_core.store.fleet import read_fleet
from bot_core.store.looking import LookingDatabase
from bot_runtime.cli.connection import looking
from bot_runtime.cli.fleet_view import FleetLine, Totals, arranged, fleet_lines, totals
from bot_runtime.cli.fleet_view import Order as By
from bot_runtime.cli.halt import name_of
from bot_runtime.cli.options import AsJson
from bot_runtime.cli.tables import print_json, print_table

_HELP = "Watch the fleet live: phases, positions, P&L, what holds a bot."
_CENT = Decimal("0.01")


def register(app: typer.Typer) -> None:
    app.command("top", help=_HELP)(top)


def top(
    interval: Annotated[
        float, typer.Option(min=0.1, max=3600, metavar="SECONDS", help="Time between two looks.")
    ] = 1.0,
    by: Annotated[By, typer.Option("--sort", help="How --once and --json sort.")] = By.ID,
    words: Annotated[str, typer.Option("--filter", metavar="WORDS", help="Only bots whose line has these words.")] = "",
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Print one table and end; so it does without a terminal.")
    ] = False,
    json: AsJson = False,
) -> int:
    """It only reads the database; JSON is one snapshot of everything."""
    if once or json or not (sys.stdout.isatty() and sys.stdin.isatty()):
        return looking(lambda database: _once(database, by, words, as_json=json))
    return looking(lambda database: _live(database, interval))


async def _once(database: LookingDatabase, by: By, words: str, *, as_json: bool) -> int:
    return _print(await read_fleet(database), database.safe_url, by, words, as_json=as_json)


async def _live(database: LookingDatabase, interval: float) -> int:
    from rich.console import Console  # noqa: PLC0415  # only for terminals

    from bot_runtime.cli.fleet_live import LiveFleet  # noqa: PLC0415

    await LiveFleet(database, Console(), interval=interval).run()
    return 0


def _print(facts: FleetFacts, where: str, by: By, words: str, *, as_json: bool) -> int:
    lines = fleet_lines(facts)
    chosen = arranged(lines, by, words)
    if as_json:
        print_json(snapshot(facts, where, totals(lines), chosen))
        return 0
    print_table([_row(line) for line in chosen], as_json=False, empty="no bots; `tradingbot bots import` makes some")
    print()
    print(_summary(facts, totals(lines), where))
    return 0


def snapshot(facts: FleetFacts, where: str, sums: Totals, lines: list[FleetLine]) -> dict[str, Any]:
    """The whole view as plain values; totals are of all bots, whatever is filtered."""
    return {
        "at": facts.at,
        "database": where,
        "totals": sums.to_json(),
        "halts": [halt.facts() for halt in facts.halts],
        "notifications": dict(facts.notifications),
        "bots": [line.to_json() for line in lines],
        "trades": [_news(news) for news in facts.trades],
        "events": [_news(news) for news in facts.events],
    }


def _news(news: News) -> dict[str, Any]:
    return {"at": news.at, "bot_id": news.bot_id, "kind": news.kind, "text": news.text}


def _row(line: FleetLine) -> dict[str, Any]:
    return {
        "id": line.bot_id,
        "bot": line.name,
        "market": line.market or None,
        "mode": line.mode or None,
        "status": line.phase,
        "position": line.position or None,
        "unrealised": _cents(line.unrealised),
        "today": _cents(line.today),
        "pnl": _cents(line.pnl),
        "balance": _cents(line.balance),
        "orders": line.orders or None,
        "beat": None if line.heartbeat_age is None else f"{line.heartbeat_age:.0f} s",
        "held by": line.note or None,
    }


def _cents(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount.quantize(_CENT)


def _summary(facts: FleetFacts, sums: Totals, where: str) -> str:
    counted = ", ".join(f"{number} {phase}" for phase, number in sums.phases.items()) or "none"
    waiting = facts.notifications.get("PENDING", 0) + facts.notifications.get("PROCESSING", 0)
    halts = "".join(f"\n{name_of(halt.scope, halt.target_id)}: {halt}" for halt in facts.halts)
    return (
        f"{sums.bots} bots: {counted}; P&L today {sums.today:+.2f}, total {sums.pnl:+.2f}, "
        f"unrealised {sums.unrealised:+.2f}; exposure {sums.exposure:.2f}; open orders {sums.orders}; "
        f"{len(facts.halts)} halts; notifications {waiting} pending, {facts.notifications.get('FAILED', 0)} failed\n"
        f"{where}, {facts.at:%Y-%m-%d %H:%M:%S} UTC{halts}"
    )
