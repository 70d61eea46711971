"""Bars from a Parquet file into memory, checked as those of a CSV file are. Imports pyarrow only when asked to read."""

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bot_core.models.errors import InvalidBotError
from bot_runtime.feeds.csv_bars import CsvBars, bar_time, checked_values, column_places, in_order, read_csv_bars

SUFFIX = ".parquet"


def read_bars(path: Path, interval_seconds: int, columns: Mapping[str, Any] | None = None) -> CsvBars:
    """Read a file of bars, Parquet or CSV by its name. Raise InvalidBotError for what can't be read."""
    read = read_parquet_bars if path.suffix.lower() == SUFFIX else read_csv_bars
    return read(path, interval_seconds, columns)


def read_parquet_bars(path: Path, interval_seconds: int, columns: Mapping[str, Any] | None = None) -> CsvBars:
    """Read a file with columns, times and checks as `read_csv_bars` has them; times may be timestamps or dates too.

    Raise InvalidBotError, naming file and row, for what can't be read, and where pyarrow is missing.
    """
    arrow, parquet = _library()
    try:
        with parquet.ParquetFile(path) as file:
            header = list(file.schema_arrow.names)
            places = column_places(header, path, columns or {})
            table = file.read(columns=[header[place] for place in dict.fromkeys(places)])
    except (OSError, arrow.ArrowException) as error:
        raise InvalidBotError(f"data.file_path: {path} can't be read as Parquet: {error}") from error
    time, *values = (table.column(header[place]) for place in places)
    if not table.num_rows:
        raise InvalidBotError(f"data.file_path: {path} holds no bars")
    times, rows = _checked_rows(path, _times(arrow, time), zip(*(column.to_pylist() for column in values), strict=True))
    return in_order(np.array(times, dtype=np.int64), np.array(rows, dtype=np.float64), interval_seconds)


def _library() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise InvalidBotError(
            "data.file_path: Parquet files need pyarrow, which is not installed; "
            "install the extra `parquet` (pip install 'tradingbot-operator[parquet]'), or give a CSV file"
        ) from error


def _times(arrow: Any, column: Any) -> list[Any]:
    """Timestamps and dates as datetimes of whole milliseconds; anything else as it is."""
    if arrow.types.is_date(column.type):
        column = column.cast(arrow.timestamp("ms"))
    elif arrow.types.is_timestamp(column.type):
        zone = None if column.type.tz is None else "UTC"
        column = column.cast(arrow.timestamp("ms", tz=zone), safe=False)
    values: list[Any] = column.to_pylist()
    return values


def _checked_rows(
    path: Path, times: Iterable[Any], rows: Iterable[tuple[Any, ...]]
) -> tuple[list[int], list[tuple[float, ...]]]:
    found_times: list[int] = []
    found_rows: list[tuple[float, ...]] = []
    for number, (time, row) in enumerate(zip(times, rows, strict=True), start=1):
        try:
            found_times.append(bar_time(str(time)))
            found_rows.append(checked_values(tuple([float(value) for value in row])))
        except (TypeError, ValueError, OverflowError) as error:
            given = ",".join(map(str, (time, *row)))
            raise InvalidBotError(
                f"{path}, row {number}: {error}; the row is {given!r}; "
                "allowed: timestamps, ISO 8601 or epoch time, and numbers"
            ) from error
    return found_times, found_rows
