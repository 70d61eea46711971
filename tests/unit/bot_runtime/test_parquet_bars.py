import importlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from pyarrow import parquet

from bot_core.models.errors import InvalidBotError
from bot_runtime.feeds.csv_bars import read_csv_bars
from bot_runtime.feeds.parquet_bars import read_bars
from support.bars import START

MINUTES = [START + timedelta(minutes=index) for index in range(4)]


def write(folder, times, name="bars.parquet", time_name="timestamp", **changes):
    count = len(times)
    columns = {time_name: times, "open": [10.0] * count, "high": [12.0] * count, "low": [9.0] * count,
               "close": [11.0] * count, "volume": [5] * count} | changes  # fmt: skip
    path = folder / name
    parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    "times",
    [
        MINUTES,
        pa.array([time.replace(tzinfo=None) for time in MINUTES], pa.timestamp("ns")),
        pa.array([time.astimezone(ZoneInfo("Asia/Tokyo")) for time in MINUTES], pa.timestamp("us", tz="Asia/Tokyo")),
        [int(time.timestamp() * 1000) for time in MINUTES],
        [int(time.timestamp()) for time in MINUTES],
        [time.isoformat() for time in MINUTES],
    ],
    ids=["aware", "naive", "zone", "milliseconds", "seconds", "text"],
)
def test_times_may_be_timestamps_epoch_or_iso(tmp_path, times):
    bars = read_bars(write(tmp_path, times), 60)
    assert [bar.time for bar in bars] == MINUTES
    assert bars[0] == (START, 10, 12, 9, 11, 5)
    assert bars.notices == ()


def test_dates_and_times_before_2000_are_read(tmp_path):
    bars = read_bars(write(tmp_path, [date(1995, 1, 2), date(1995, 1, 3)]), 86_400)
    assert [bar.time for bar in bars] == [datetime(1995, 1, 2, tzinfo=UTC), datetime(1995, 1, 3, tzinfo=UTC)]


def test_columns_are_found_by_the_names_of_the_document(tmp_path):
    path = write(tmp_path, MINUTES, time_name="when", c=[Decimal("1.5")] * 4, low=[1.0] * 4)
    bars = read_bars(path, 60, {"datetime_col": "when", "close_col": "c"})
    assert bars[3].close == 1.5
    with pytest.raises(InvalidBotError, match=r"no column named timestamp, .*; there are: when, open"):
        read_bars(path, 60)


def test_disorder_duplicates_and_gaps_are_reported_as_for_csv(tmp_path):
    times = [MINUTES[0], MINUTES[3], MINUTES[1], MINUTES[1]]
    bars = read_bars(write(tmp_path, times), 60)
    rows = [f"{time.isoformat()},10,12,9,11,5" for time in times]
    csv = tmp_path / "bars.csv"
    csv.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n")
    same = read_csv_bars(csv, 60)
    assert list(bars) == list(same)
    assert [notice.message for notice in bars.notices] == [notice.message for notice in same.notices]
    assert len(bars.notices) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"high": [12.0, 12.0, 1.0, 12.0]}, "row 3: prices must be above 0 and finite, high not below low"),
        ({"close": [11.0, None, 11.0, 11.0]}, "row 2: .*NoneType"),
        ({"volume": [5.0, 5.0, 5.0, float("nan")]}, "row 4: volume must be"),
        ({"timestamp": ["2024-01-01", "soon", "2024-01-03", "2024-01-04"]}, "row 2: Invalid isoformat string: 'soon'"),
    ],
)
def test_a_bad_row_is_named(tmp_path, changes, message):
    with pytest.raises(InvalidBotError, match=message):
        read_bars(write(tmp_path, MINUTES, **changes), 60)


def test_a_file_that_is_none_or_empty_is_refused(tmp_path):
    broken = tmp_path / "broken.parquet"
    broken.write_text("timestamp,open")
    with pytest.raises(InvalidBotError, match=r"broken\.parquet can't be read as Parquet"):
        read_bars(broken, 60)
    with pytest.raises(InvalidBotError, match=r"none\.parquet can't be read as Parquet"):
        read_bars(tmp_path / "none.parquet", 60)
    with pytest.raises(InvalidBotError, match="holds no bars"):
        read_bars(write(tmp_path, []), 60)


def test_without_pyarrow_the_error_says_what_to_install(tmp_path, monkeypatch):
    found = importlib.import_module

    def missing(name, *args):
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return found(name, *args)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(InvalidBotError, match=r"need pyarrow, .* extra `parquet`"):
        read_bars(tmp_path / "bars.parquet", 60)


@pytest.mark.parametrize(
    ("months", "messages"),
    [((1, 2, 3, 4), []), ((1, 2, 4), ["1 gaps; 1 bars are missing, none was made up"])],
)
def test_months_of_any_length_are_no_gap_and_a_missing_one_is(tmp_path, months, messages):
    bars = read_bars(write(tmp_path, [date(2023, month, 1) for month in months]), 30 * 86_400)
    assert [notice.message for notice in bars.notices] == messages
