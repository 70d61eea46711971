"""`tradingbot db upgrade`."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from bot_core.models.errors import DatabaseUnavailableError
from bot_core.store.database import parse_url, safe_url
from bot_runtime.cli.options import AsJson
from bot_runtime.cli.tables import print_json
from bot_runtime.settings import Settings

if TYPE_CHECKING:
    from bot_core.store.upgrade import Upgraded

_RETRY_SECONDS = 2.0


def register(app: typer.Typer) -> None:
    commands = typer.Typer(no_args_is_help=True)
    commands.command("upgrade", help="Create what is missing; safe to run twice and by two at once.")(upgrade)
    app.add_typer(commands, name="db", help="Look after the database.")


def upgrade(
    *,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Keep trying while the database does not answer.")
    ] = 0.0,
    json: AsJson = False,
) -> int:
    url = Settings.from_environment().database_url
    done = _upgrade(url, wait)
    where = safe_url(parse_url(url))
    if done.trigger_problem:
        print(
            f"warning: no NOTIFY trigger on trading_bots ({done.trigger_problem}); changes are found by polling",
            file=sys.stderr,
        )
    if json:
        print_json({"database": where, "before": done.before, "after": done.after, "warning": done.trigger_problem})
    elif done.newer:
        print(f"{where} was made by a later version (revision {done.after}), and is left as it is")
    elif done.before == done.after:
        print(f"{where} is up to date (revision {done.after})")
    else:
        print(f"{where}: upgraded from {done.before or 'nothing'} to revision {done.after}")
    return 0


def _upgrade(url: str, wait: float) -> "Upgraded":
    from bot_core.store.upgrade import upgrade as bring_up_to_date  # noqa: PLC0415  # few commands need migrations

    until = time.monotonic() + wait
    while True:
        try:
            return bring_up_to_date(url)
        except DatabaseUnavailableError as error:
            if time.monotonic() >= until:
                raise
            print(f"waiting for the database: {error}", file=sys.stderr)
            time.sleep(_RETRY_SECONDS)
