"""`tradingbot validate PATH…`: read documents from files and tell every problem, without touching a database."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bot_core.models.config import ParsedConfig, parse_config
from bot_core.models.errors import TradingBotError
from bot_core.models.problem import Problem
from bot_runtime.cli.documents import json_files, read_bots
from bot_runtime.cli.options import AsJson, Documents
from bot_runtime.cli.tables import print_json
from bot_runtime.cli.usage import UsageError


def register(app: typer.Typer) -> None:
    app.command("validate", help="Check config documents; exit 0 if all are valid, else 1.")(validate)


def validate(
    paths: Documents,
    *,
    json: AsJson = False,
    canonical: Annotated[
        bool,
        typer.Option("--canonical", help="Print the documents in the current shape; findings go to standard error."),
    ] = False,
) -> int:
    if json and canonical:
        raise UsageError("--json and --canonical exclude each other")
    results = [result for path in json_files(paths) for result in _parsed(path)]
    if not results:
        raise TradingBotError(f"no *.json file in {', '.join(map(str, paths))}")
    if json:
        print_json([_as_json(name, parsed) for name, parsed in results])
    else:
        for name, parsed in results:
            print_findings(name, parsed, to_stderr=canonical)
    if canonical:
        documents = [parsed.canonical for _, parsed in results if parsed.canonical is not None]
        print_json(documents[0] if len(results) == len(documents) == 1 else documents)
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
