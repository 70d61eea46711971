"""The commands that people type, put together by typer. What they mean is in the modules that are registered here.

A module of a command has `register(app)`, which adds typed functions; each returns its exit code. This module and those
import typer, so a process that only runs bots must not import them: main.py sees to that.
"""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
import typer.core

from bot_core.logs import configure_logging
from bot_runtime.cli import (
    backtest,
    bots,
    confirm_shrink,
    db,
    doctor,
    halt,
    limits,
    messages,
    notify,
    plugins,
    run,
    service,
    service_install,
    top,
    trace,
    validate,
)
from bot_runtime.cli.usage import UsageError
from bot_runtime.cli.version import version_line
from bot_runtime.plugins import install

HELP = "Run a fleet of trading bots whose only configuration is the rows of a table."
EPILOG = "DATABASE_URL names the database; default: sqlite:///tradingbot.db"
_USAGE = 2
_INTERRUPTED = 130

COMMANDS = (
    db,
    bots,
    halt,
    confirm_shrink,
    limits,
    validate,
    service,
    service_install,
    top,
    doctor,
    trace,
    messages,
    notify,
    backtest,
    plugins,
)


#: As the help lists them: what is needed first, first.
_ORDER = (
    "db", "bots", "serve", "run", "service", "top", "doctor", "halt", "resume", "confirm-shrink", "limits", "trace",
    "messages",
)  # fmt: skip


class _InOrder(typer.core.TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


def build_app() -> typer.Typer:
    """The whole command line. Help has colours and boxes on a terminal only, so that it can be searched elsewhere."""
    app = typer.Typer(
        name="tradingbot",
        help=HELP,
        epilog=EPILOG,
        callback=_prepare,
        no_args_is_help=True,
        cls=_InOrder,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich" if sys.stdout.isatty() else None,
    )
    for module in COMMANDS:
        module.register(app)
    app.command("run", help=run.HELP, add_help_option=False, context_settings=_ANYTHING)(_run)
    return app


def run_typed(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 2 for what can't be read. Raises what the command raises."""
    try:
        return int(build_app()(list(arguments), prog_name="tradingbot", standalone_mode=False) or 0)
    except UsageError as error:
        print(f"tradingbot: {error}", file=sys.stderr)
        return _USAGE
    except typer.TyperException as error:
        _tell(error)
        return int(error.exit_code)
    except typer.Abort:
        return _INTERRUPTED


def _show_version(value: bool) -> None:  # noqa: FBT001  # typer's signature
    if value:
        print(version_line())
        raise typer.Exit


def _prepare(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and end.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    configure_logging("WARNING", json=False)  # a service configures its own
    install()


# `run` is read by main.py, without typer; here it is for the list of commands, and says the same if it is asked.
_ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def _run(context: typer.Context) -> int:
    return run.main(context.args)


def _tell(error: typer.TyperException) -> None:
    """A sentence, and where to read more."""
    context = getattr(error, "ctx", None)
    words = error.format_message()
    if context is None:
        print(f"tradingbot: {words}", file=sys.stderr)
    elif not words:  # the help that no arguments at all ask for is on the screen already
        return
    elif not words.startswith("Usage:"):
        print(f"{context.get_usage()}\n{context.command_path}: {words}", file=sys.stderr)
    else:
        print(words, file=sys.stderr)
