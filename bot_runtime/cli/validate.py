"""`tradingbot validate PATH…`: read documents from files and tell every problem, without touching a database."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bot_core.models.config import ParsedConfig, parse_config
from bot_core.models.errors import TradingBotError
from bot_core.models.problem import Problem
from bot_runtime.cli.documents import json_files, read_bots
from bot_runtime.cli.subparsers import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("validate", help="check config documents; exit 0 if all are valid, else 1")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="JSON file, or folder of JSON files")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON for programs")
    output.add_argument(
        "--canonical", action="store_true", help="print the documents in the current shape; findings go to stderr"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    results = [result for path in json_files(args.paths) for result in _parsed(path)]
    if not results:
        raise TradingBotError(f"no *.json file in {', '.join(map(str, args.paths))}")
    if args.json:
        print(json.dumps([_as_json(name, parsed) for name, parsed in results], indent=2))
    else:
        for name, parsed in results:
            print_findings(name, parsed, to_stderr=args.canonical)
    if args.canonical:
        documents = [parsed.canonical for _, parsed in results if parsed.canonical is not None]
        print(json.dumps(documents[0] if len(results) == len(documents) == 1 else documents, indent=2))
    return 0 if results and all(parsed.config is not None for _, parsed in results) else 1


def print_findings(name: str, parsed: ParsedConfig, *, to_stderr: bool = False) -> None:
    """Whether it is valid, what is wrong with it, what is odd."""
    file = sys.stderr if to_stderr else sys.stdout
    print(f"{name}: {_verdict(parsed)}", file=file)
    for problem in parsed.problems:
        print(f"  problem  {problem}", file=file)
    for notice in parsed.notices:
        print(f"  notice   {notice}", file=file)


def _verdict(parsed: ParsedConfig) -> str:
    if parsed.config is None:
        return "INVALID" if parsed.is_bot else "NOT A BOT"
    return "valid"


def _parsed(path: Path) -> list[tuple[str, ParsedConfig]]:
    try:
        return [(name, parse_config(document)) for name, document in read_bots(path)]
    except TradingBotError as error:
        message = str(error).removeprefix(f"{path}: ")
        return [(str(path), ParsedConfig(config=None, problems=(Problem("config", None, message),)))]


def _as_json(name: str, parsed: ParsedConfig) -> dict[str, Any]:
    return {
        "path": name,
        "valid": parsed.config is not None,
        "problems": [str(problem) for problem in parsed.problems],
        "notices": [str(notice) for notice in parsed.notices],
    }
