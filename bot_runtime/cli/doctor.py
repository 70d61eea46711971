"""`tradingbot doctor`: what is wrong, and what to do about it. It changes nothing."""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from bot_core.models.errors import FatalError
from bot_core.store.database import DEFAULT_URL, parse_url
from bot_core.store.looking import LookingDatabase
from bot_runtime.cli.checks import credentials, database, machine, messages, process, rows, service, sqlite_file, venues
from bot_runtime.cli.checks.base import Case, Check, Finding, Outcome, failed, run_checks
from bot_runtime.cli.connection import connected
from bot_runtime.cli.options import AsJson, bot_id
from bot_runtime.cli.tables import print_json
from bot_runtime.settings import Settings

_UNREACHABLE = 3
_MARKS = {Outcome.OK: "ok", Outcome.WARNING: "WARNING", Outcome.FAILED: "FAILED", Outcome.SKIPPED: "-"}
_COLORS = {Outcome.OK: "green", Outcome.WARNING: "yellow", Outcome.FAILED: "red", Outcome.SKIPPED: "bright_black"}
_DATABASE = "database"
_HELP = "Look for what is wrong, and say what to do. Exit 0: nothing failed; 1: something did; 3: no database."
CHECKS: dict[str, Check] = {
    "program": process.check_versions,
    "environment": process.check_environment,
    _DATABASE: database.check_answer,
    "tables": database.check_tables,
    "privileges": database.check_privileges,
    "wake-ups": database.check_notifications_of_rows,
    "SQLite file": sqlite_file.check_sqlite,
    "clock": machine.check_clock,
    "service": service.check_service,
    "documents": rows.check_documents,
    "bots": rows.check_bots,
    "orders": rows.check_orders,
    "halts": rows.check_halts,
    "stops": rows.check_stops,
    "files of bars": rows.check_files,
    "credentials": credentials.check_credentials,
    "libraries": credentials.check_libraries,
    "notifications": messages.check_wishes,
    "queue": messages.check_queue,
}
#: What asks somebody outside.
OUTSIDE: dict[str, Check] = {"channels": messages.check_channels, "venues": venues.check_venues}
#: Of one bot alone.
OF_BOTS = (
    "documents",
    "bots",
    "orders",
    "halts",
    "stops",
    "files of bars",
    "credentials",
    "libraries",
    "notifications",
)


def register(app: typer.Typer) -> None:
    app.command("doctor", help=_HELP)(doctor)


def doctor(
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Ask neither venues nor message services.")] = False,
    bot: Annotated[int | None, typer.Option(parser=bot_id, metavar="ID", help="Only what concerns this bot.")] = None,
    seconds: Annotated[
        float, typer.Option("--timeout", min=1, max=300, metavar="SECONDS", help="How long one check may take.")
    ] = 20.0,
    json: AsJson = False,
) -> int:
    chosen = {name: check for name, check in CHECKS.items() if bot is None or name in {_DATABASE, *OF_BOTS}}
    chosen |= {} if offline else _outside(bot)

    async def examine(database: LookingDatabase) -> int:
        case = Case(database, os.environ, bot_id=bot, port=_port())
        try:
            return _tell(await run_checks(case, chosen, seconds), as_json=json)
        finally:
            await case.aclose()

    url = os.environ.get("DATABASE_URL") or DEFAULT_URL
    try:  # what else the environment says is judged by a check
        parse_url(url)
    except FatalError as error:
        unread = failed(str(error), "Set DATABASE_URL to what is allowed.")
        return _tell([replace(unread, check=_DATABASE)], as_json=json)
    return connected(lambda: LookingDatabase(url, pool_size=4), examine)


def _tell(findings: Sequence[Finding], *, as_json: bool) -> int:
    """Print the findings; return the exit code."""
    code = 1 if any(finding.outcome is Outcome.FAILED for finding in findings) else 0
    if any(finding.check == _DATABASE and finding.unreachable for finding in findings):
        code = _UNREACHABLE
    if as_json:
        print_json({"exit_code": code, "findings": [finding.to_json() for finding in findings]})
    else:
        _print(findings)
    return code


def _outside(bot: int | None) -> dict[str, Check]:
    return OUTSIDE if bot is None else {"venues": OUTSIDE["venues"]}


def _port() -> int:
    try:
        return Settings.from_environment().port
    except FatalError:
        return Settings.port  # told by the check of the environment


def _print(findings: Sequence[Finding]) -> None:
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        whom = "" if finding.bot_id is None else f"bot {finding.bot_id}: "
        mark = _painted(f"{_MARKS[finding.outcome]:<7}", _COLORS[finding.outcome])
        print(f"{mark}  {finding.check:<{width}}  {whom}{finding.found}")
        if finding.remedy:
            print(f"{'':7}  {'':<{width}}  -> {finding.remedy}")
    counted = Counter(finding.outcome for finding in findings)
    print(f"\n{counted[Outcome.OK]} ok, {counted[Outcome.WARNING]} with a warning, {counted[Outcome.FAILED]} failed")


def _painted(text: str, color: str) -> str:
    return typer.style(text, fg=color) if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text
