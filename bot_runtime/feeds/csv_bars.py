"""Bars from a CSV file into memory, checked. Reports duplicates and gaps, invents nothing, knows no event loop."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from bot_core.models.errors import InvalidBotError
from bot_core.models.problem import Notice
from bot_runtime.domain.bar import Bar, epoch_ms, from_epoch_ms
from bot_runtime.feeds.intervals import MONTH_SECONDS
from bot_runtime.indicators.base import Floats, Integers

TIME_NAMES = ("timestamp", "datetime", "open_time", "close_time", "date", "time")
VALUE_NAMES = ("open", "high", "low", "close", "volume")
# Numbers above this, the year 2000 in milliseconds, are milliseconds; below, seconds.
_LEAST_MILLISECONDS = 946_684_800_000


@dataclass(frozen=True)
class CsvBars(Sequence[Bar]):
    """Bars in ascending order: `times` in epoch milliseconds, `values` with one row of five prices and volume each."""

    times: Integers
    values: Floats
    notices: tuple[Notice, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._bar(place) for place in range(*index.indices(len(self)))]
        return self._bar(index)

    def __iter__(self) -> Iterator[Bar]:
        return (self._bar(place) for place in range(len(self)))

    def count_until(self, time: datetime) -> int:
        """Return how many bars have a time <= `time`."""
        return int(np.searchsorted(self.times, epoch_ms(time), side="right"))

    def _bar(self, index: int) -> Bar:
        return Bar(from_epoch_ms(int(self.times[index])), *map(float, self.values[index]))


def read_csv_bars(path: Path, interval_seconds: int, columns: Mapping[str, Any] | None = None) -> CsvBars:
    """Read a file whose columns are named as `columns` (`datetime_col`, `open_col` …) says, else as usual.

    Times are ISO 8601 (UTC where no zone is given) or epoch seconds or milliseconds. Raise InvalidBotError, naming
    file and line, for what can't be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            times, values = _read_rows(csv.reader(lines), path, columns or {})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidBotError(f"data.file_path: {path} can't be read as CSV: {error}") from error
    if not times:
        raise InvalidBotError(f"data.file_path: {path} holds no bars")
    return in_order(np.array(times, dtype=np.int64), np.array(values, dtype=np.float64), interval_seconds)


def _read_rows(
    rows: Iterator[list[str]], path: Path, columns: Mapping[str, Any]
) -> tuple[list[int], list[tuple[float, ...]]]:
    header = next(rows, [])
    time_place, *value_places = column_places(header, path, columns)
    times: list[int] = []
    values: list[tuple[float, ...]] = []
    for line, row in enumerate(rows, start=2):
        if not row:
            continue
        try:
            times.append(bar_time(row[time_place]))
            values.append(checked_values(tuple([float(row[place]) for place in value_places])))
        except (ValueError, OverflowError) as error:
            raise InvalidBotError(f"{path}, line {line}: {_reason(error, row)}") from error
        except IndexError as error:
            raise InvalidBotError(f"{path}, line {line}: {len(row)} fields; the header has {len(header)}") from error
    return times, values


def column_places(header: list[str], path: Path, columns: Mapping[str, Any]) -> list[int]:
    """Return where time, open, high, low, close and volume are. Raise InvalidBotError where one is missing."""
    names = [name.strip().lower() for name in header]
    wanted: list[tuple[str, ...]] = [(str(columns.get("datetime_col") or ""), *TIME_NAMES)]
    wanted += [(str(columns.get(f"{name}_col") or ""), name) for name in VALUE_NAMES]
    places = []
    for candidates in wanted:
        found = [names.index(name.lower()) for name in candidates if name.lower() in names]
        if not found:
            allowed = ", ".join(filter(None, candidates))
            raise InvalidBotError(f"{path}, line 1: no column named {allowed}; there are: {', '.join(header)}")
        places.append(found[0])
    return places


_EARLIEST = epoch_ms(datetime(1990, 1, 1, tzinfo=UTC))
_LATEST = epoch_ms(datetime(2200, 1, 1, tzinfo=UTC))


def bar_time(text: str) -> int:
    """Return epoch milliseconds. Raise ValueError for what is no time."""
    try:
        number = float(text)
    except ValueError:
        time = datetime.fromisoformat(text.strip())
        return epoch_ms(time if time.tzinfo else time.replace(tzinfo=UTC))
    milliseconds = number if number > _LEAST_MILLISECONDS else number * 1000
    if not _EARLIEST <= milliseconds <= _LATEST:
        raise ValueError("epoch times are seconds or milliseconds, of the years 1990 to 2200")
    return int(milliseconds)


def checked_values(values: tuple[float, ...]) -> tuple[float, ...]:
    """Return open, high, low, close, volume as they are. Raise ValueError for what no bar can be."""
    open_, high, low, close, volume = values
    # An open or close outside of high and low is common in vendors' data, and harms no rule: it is let through.
    if not (0 < open_ < inf and 0 < close < inf and 0 < low <= high < inf):
        raise ValueError("prices must be above 0 and finite, high not below low")
    if not 0 <= volume < inf:
        raise ValueError("volume must be a finite number, not below 0")
    return values


def _reason(error: Exception, row: list[str]) -> str:
    return f"{error}; the row is {','.join(row)!r}; allowed: ISO 8601 or epoch time, and numbers"


def in_order(times: Integers, values: Floats, interval_seconds: int) -> CsvBars:
    """Sort the bars, drop repeated times, and note both and the gaps."""
    notices: list[Notice] = []
    steps = np.diff(times)
    if (steps < 0).any():
        notices.append(Notice("data.file_path", f"{int((steps < 0).sum())} rows are out of order; they were sorted"))
        order = np.argsort(times, kind="stable")
        times, values, steps = times[order], values[order], np.diff(times[order])
    repeated = steps == 0
    if repeated.any():
        notices.append(Notice("data.file_path", f"{int(repeated.sum())} duplicate times; the first row of each counts"))
        first = np.concatenate(([True], ~repeated))
        times, values = times[first], values[first]
    notices += _spacing(_steps(times, interval_seconds), interval_seconds * 1000)
    return CsvBars(times, values, tuple(notices))


def _steps(times: Integers, interval_seconds: int) -> Integers:
    """Milliseconds from bar to bar; from one month of the calendar to the next are those of a nominal one."""
    if interval_seconds != MONTH_SECONDS:
        return np.diff(times)
    months = times.astype("M8[ms]").astype("M8[M]").astype(np.int64)
    return np.diff(months) * (MONTH_SECONDS * 1000)


def _spacing(steps: Integers, interval: int) -> list[Notice]:
    notices = []
    wide = steps[steps >= 2 * interval]
    if len(wide):
        missing = int((wide // interval - 1).sum())
        notices.append(Notice("data.file_path", f"{len(wide)} gaps; {missing} bars are missing, none was made up"))
    close = int((steps < interval).sum())
    if close:
        text = f"{close} bars are closer together than the interval of {interval // 1000} s"
        notices.append(Notice("data.interval", text))
    return notices
