"""Tables for people, JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

_WIDEST = 60


def print_json(value: Any) -> None:
    """Decimals as text, times in ISO 8601."""
    print(json.dumps(value, indent=2, default=_plain))


def print_table(rows: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str) -> int:
    """Print rows of equal keys; returns the exit code 0."""
    if as_json:
        print_json(list(rows))
        return 0
    if not rows:
        print(empty)
        return 0
    cells = [[name.upper() for name in rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    return 0


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(_plain(value))
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, datetime) else str(value)
