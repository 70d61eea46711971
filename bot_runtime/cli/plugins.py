"""`tradingbot plugins`: what was found beside the built-in parts, and what can't be used and why."""

from typing import Any

import typer

from bot_core.models.errors import InvalidBotError
from bot_runtime.cli.options import AsJson
from bot_runtime.cli.tables import print_table
from bot_runtime.plugins import Plugins, installed_plugins


def register(app: typer.Typer) -> None:
    app.command("plugins", help="List plugins; exit 1 if one can't be used.")(plugins)


def plugins(*, json: AsJson = False) -> int:
    installed = installed_plugins()
    rows = _rows(installed)
    print_table(rows, as_json=json, empty="no plugins; docs/plugins.md says how to make one")
    return 1 if installed.troubles else 0


def _rows(plugins: Plugins) -> list[dict[str, Any]]:
    rows = []
    for group, name in sorted(plugins.candidates):
        try:
            plugins.find(group, name)
        except InvalidBotError:
            continue
        rows.append({"plugin": f"{group} {name}", "source": plugins.candidates[group, name].source, "trouble": None})
    refused = [{"plugin": plugin, "source": None, "trouble": why} for plugin, why in plugins.troubles.items()]
    return rows + refused
