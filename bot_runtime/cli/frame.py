"""The commands that typer reads. Each module adds its own by `register`; a command returns its exit code."""

from collections.abc import Sequence

import typer

from bot_runtime.cli import configs

#: Commands that are typer's by now.
TYPED: frozenset[str] = frozenset({"config"})


def build_app() -> typer.Typer:
    app = typer.Typer(name="tradingbot", no_args_is_help=True, rich_markup_mode=None)
    app.callback()(lambda: None)  # one command alone would be the program itself
    configs.register(app)
    return app


def run_typed(arguments: Sequence[str]) -> int:
    """Run one command. Raises what the command raises; 2 for what can't be read."""
    try:
        return int(build_app()(list(arguments), prog_name="tradingbot", standalone_mode=False) or 0)
    except typer.TyperException as error:
        getattr(error, "show", lambda: None)()  # a usage error shows itself
        return int(error.exit_code)
