"""`tradingbot plugins`: what was found beside the built-in parts, and what can't be used and why."""

import argparse
from typing import Any

from bot_core.models.errors import InvalidBotError
from bot_runtime.cli.subparsers import Subparsers
from bot_runtime.cli.tables import print_table
from bot_runtime.plugins import Plugins, installed_plugins


def add_parser(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("plugins", help="list plugins; exit 1 if one can't be used")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    plugins = installed_plugins()
    rows = _rows(plugins)
    print_table(rows, as_json=args.json, empty="no plugins; docs/plugins.md says how to make one")
    return 1 if plugins.troubles else 0


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
