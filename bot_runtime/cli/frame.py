"""The commands that typer reads. Each module adds its own by `register`; a command returns its exit code."""

from collections.abc import Sequence
from importlib import import_module

import typer

#: Commands that are typer's by now.
TYPED: frozenset[str] = frozenset({"top", "doctor"})


def build_app() -> typer.Typer:
    app = typer.Typer(name="tradingbot", no_args_is_help=True, rich_markup_mode=None)

    @app.callback()
    def _group() -> None:
        """With one command alone typer would take its name for an argument."""

    for module in ("doctor", "top"):
        import_module(f"bot_runtime.cli.{module}").register(app)
    return app


def run_typed(arguments: Sequence[str]) -> int:
    """Run one command. Raises what the command raises; 2 for what can't be read."""
    try:
        return int(build_app()(list(arguments), prog_name="tradingbot", standalone_mode=False) or 0)
    except typer.TyperException as error:
        getattr(error, "show", lambda: None)()  # a usage error shows itself
        return int(error.exit_code)
