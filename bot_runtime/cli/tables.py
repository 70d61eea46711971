"""Tables for people, JSON for programs. rich draws tables on a terminal; elsewhere they are text to be searched.

People are shown six digits of an amount that count; JSON has them all. Times are UTC.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from bot_core.models.figures import few_digits

_CENT = Decimal("0.01")
_WIDEST = 60
_WORD = 24  # a time, a symbol, an amount, a position: not broken into lines


def print_json(value: Any) -> None:
    """Decimals as text, times in ISO 8601."""
    print(json.dumps(value, indent=2, default=_plain))


def print_table(rows: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str) -> int:
    """Print rows of equal keys; returns the exit code 0."""
    if as_json:
        print_json(list(rows))
    elif not rows:
        print(empty)
    elif sys.stdout.isatty():
        _draw(rows)
    else:
        _write(rows)
    return 0


def cents(amount: Decimal | None) -> Decimal | None:
    """Money as people read it; less than one keeps its digits, since a quote currency may be bitcoin."""
    return amount if amount is None or 0 < abs(amount) < 1 else amount.quantize(_CENT)


def _write(rows: Sequence[Mapping[str, Any]]) -> None:
    cells = [[name.upper() for name in rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _draw(rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - only for terminals
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for name in rows[0]:
        values = [row[name] for row in rows if row[name] is not None]
        short = max(len(_cell(value)) for value in [name, *values]) <= _WORD
        numbers = values and all(isinstance(value, (int, float, Decimal)) for value in values)
        table.add_column(name.replace("_", " "), justify="right" if numbers else "left", no_wrap=short)
    for row in rows:
        # A row's text is text: it must not be read as markup.
        table.add_row(*(Text(_cell(value), style=_style(value)) for value in row.values()))
    Console().print(table)


def _style(value: Any) -> str:
    return "red" if isinstance(value, Decimal) and value < 0 else ""


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    match value:
        case datetime():
            text = f"{value:%Y-%m-%d %H:%M:%S}Z"
        case Decimal() if value.is_finite() and value != round(value, 2):
            text = few_digits(value)
        case float():
            text = f"{value:.2f}"
        case _:
            text = str(_plain(value))
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, datetime) else str(value)
