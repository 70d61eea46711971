"""`tradingbot validate PATH…`: read documents from files and tell every problem, without touching a database."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bot_core.models.config import ParsedConfig, parse_config
from bot_core.models.errors import TradingBotError
from bot_runtime.cli.subparsers import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("validate", help="check config documents; exit 0 if all are valid, else 1")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="JSON file, or folder of JSON files")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    results = [(path, _parsed(path)) for path in json_files(args.paths)]
    if not results:
        raise TradingBotError(f"no *.json file in {', '.join(map(str, args.paths))}")
    if args.json:
        print(json.dumps([_as_json(path, parsed) for path, parsed in results], indent=2))
    else:
        for path, parsed in results:
            print_findings(str(path), parsed)
    return 0 if all(parsed.config is not None for _, parsed in results) else 1


def json_files(paths: list[Path]) -> Iterator[Path]:
    """The files named, and the *.json files of the folders named, in the order of their names."""
    for path in paths:
        if path.is_dir():
            yield from sorted(path.rglob("*.json"))
        else:
            yield path


def read_document(path: Path) -> Any:
    """Raise TradingBotError naming the file, the line and what is wrong."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise TradingBotError(f"{path}: can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise TradingBotError(f"{path}: is no JSON document: {error}") from error


def print_findings(name: str, parsed: ParsedConfig) -> None:
    print(f"{name}: {'valid' if parsed.config is not None else 'INVALID'}")
    for problem in parsed.problems:
        print(f"  problem  {problem}")
    for notice in parsed.notices:
        print(f"  notice   {notice}")


def _parsed(path: Path) -> ParsedConfig:
    return parse_config(read_document(path))


def _as_json(path: Path, parsed: ParsedConfig) -> dict[str, Any]:
    return {
        "path": str(path),
        "valid": parsed.config is not None,
        "problems": [str(problem) for problem in parsed.problems],
        "notices": [str(notice) for notice in parsed.notices],
    }
