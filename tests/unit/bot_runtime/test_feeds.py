import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from bot_core.models.errors import InvalidBotError
from bot_runtime.feeds.csv_bars import read_csv_bars
from bot_runtime.feeds.intervals import interval_seconds
from bot_runtime.feeds.registry import build_feed
from bot_runtime.feeds.synthetic import BLOCK, SyntheticMarket
from support.bars import START

END = datetime(2100, 1, 1, tzinfo=UTC)
EXPECTED_QUOTE = (44475.00542498, 44487.07813267, 44434.03579473, 44465.32709174, 25.04075248)
HEADER = "timestamp,open,high,low,close,volume"


class Naps:
    """Sleeps that take no time and are remembered."""

    def __init__(self):
        self.seconds = []

    async def __call__(self, seconds):
        self.seconds.append(seconds)
        await asyncio.sleep(0)


def write(folder, *rows, header=HEADER):
    path = folder / "bars.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def minute_rows(count):
    return [f"2024-01-01T00:{index:02}:00Z,10,12,9,{10 + index / 10},5" for index in range(count)]


def csv_feed(tmp_path, count=10, **data):
    write(tmp_path, *minute_rows(count))
    section = {"data_source": "file", "file_path": "bars.csv", "interval": "1m", **data}
    return build_feed(section, "BTCUSDT", data_dir=tmp_path, sleep=data.pop("sleep", asyncio.sleep))


def generated_feed(**data):
    return build_feed({"data_source": "generated", "interval": "5m", "speed": 0, **data}, "BTCUSDT")


@pytest.fixture(params=["csv", "generated"])
def feed(request, tmp_path):
    return csv_feed(tmp_path) if request.param == "csv" else generated_feed(bars=10)


async def test_every_bar_comes_once_and_in_order(feed):
    bars = [bar async for bar in feed.bars(None)]
    times = [bar.time for bar in bars]
    assert len(times) == 10
    assert times == sorted(set(times))
    assert all(time.tzinfo is UTC for time in times)
    assert feed.finite


async def test_a_restart_continues_after_the_cursor(feed):
    bars = [bar async for bar in feed.bars(None)]
    assert [bar async for bar in feed.bars(bars[3].time)] == bars[4:]
    assert [bar async for bar in feed.bars(bars[3].time + timedelta(seconds=1))] == bars[4:]
    assert [bar async for bar in feed.bars(bars[-1].time)] == []


async def test_history_ends_at_the_cursor_and_is_limited(feed):
    bars = [bar async for bar in feed.bars(None)]
    assert await feed.history(bars[5].time, None) == bars[:6]
    assert await feed.history(bars[5].time, 2) == bars[4:6]
    assert await feed.history(END, 100) == bars
    assert await feed.history(bars[0].time - timedelta(days=1), None) == []
    await feed.aclose()


async def test_a_feed_yields_to_the_loop_at_every_bar(feed):
    turns = 0

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    count = len([bar async for bar in feed.bars(None)])
    task.cancel()
    assert turns >= count


async def test_waiting_for_a_bar_is_cancelled_at_once():
    feed = build_feed({"data_source": "generated", "speed": 0.001}, "BTCUSDT")
    bars = feed.bars(None)
    await anext(bars)
    task = asyncio.ensure_future(anext(bars))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await bars.aclose()


async def test_bars_of_a_file_are_paced_when_asked(tmp_path):
    naps = Naps()
    feed = csv_feed(tmp_path, simulate_realtime=True, realtime_interval=2.5, sleep=naps)
    assert len([bar async for bar in feed.bars(None)]) == 10
    assert naps.seconds == [0] + [2.5] * 9


async def test_generated_bars_come_at_their_speed():
    naps = Naps()
    feed = build_feed({"data_source": "generated", "bars": 3}, "BTCUSDT", sleep=naps)
    assert len([bar async for bar in feed.bars(None)]) == 3
    assert naps.seconds == [0, 0.05, 0.05]


async def test_file_bars_are_read_from_the_folder_that_the_environment_names(tmp_path, monkeypatch):
    write(tmp_path, *minute_rows(4))
    monkeypatch.setenv("TRADINGBOT_DATA_DIR", str(tmp_path))
    feed = build_feed({"data_source": "FILE", "file_path": "bars.csv", "interval": "1m"}, "BTCUSDT")
    assert len(await feed.history(END, None)) == 4
    assert feed.history_capacity(100) is None


async def test_a_missing_file_is_an_invalid_bot(tmp_path):
    feed = build_feed({"data_source": "file", "file_path": "none.csv"}, "BTCUSDT", data_dir=tmp_path)
    with pytest.raises(InvalidBotError, match=r"none\.csv can't be read"):
        await feed.history(END, None)


@pytest.mark.parametrize(
    "stamps",
    [
        ["2024-01-01T00:00:00Z", "2024-01-01T00:01:00+00:00"],
        ["2024-01-01 00:00:00", "2024-01-01 00:01:00"],
        ["1704067200", "1704067260"],
        ["1704067200000", "1704067260000.0"],
        ["2024-01-01T01:00:00+01:00", "2024-01-01T01:01:00+01:00"],
    ],
)
def test_times_may_be_iso_or_epoch(tmp_path, stamps):
    bars = read_csv_bars(write(tmp_path, *(f"{stamp},1,1,1,1,0" for stamp in stamps)), 60)
    assert [bar.time for bar in bars] == [START, START + timedelta(minutes=1)]
    assert bars.notices == ()


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("Date,Open,High,Low,Close,Volume", {}),
        ("x,o,h,l,c,v", {f"{name}_col": name[0] for name in ("open", "high", "low", "close", "volume")}
         | {"datetime_col": "x"}),
        ("open_time,open,high,low,close,volume,close_time", {"datetime_col": "datetime"}),
    ],
)  # fmt: skip
def test_columns_are_found_by_the_names_of_the_document_or_the_usual_ones(tmp_path, header, columns):
    bars = read_csv_bars(write(tmp_path, "2024-01-01,1,4,0.5,2,9,7", header=header), 60, columns)
    assert bars[0] == (START, 1, 4, 0.5, 2, 9)


def test_disorder_duplicates_and_gaps_are_reported_and_nothing_is_made_up(tmp_path):
    rows = minute_rows(10)
    path = write(tmp_path, *rows[:3], rows[2], rows[7], rows[6])
    bars = read_csv_bars(path, 60)
    assert [bar.time.minute for bar in bars] == [0, 1, 2, 6, 7]
    assert [notice.message for notice in bars.notices] == [
        "1 rows are out of order; they were sorted",
        "1 duplicate times; the first row of each counts",
        "1 gaps; 3 bars are missing, none was made up",
    ]


def test_bars_closer_than_the_interval_are_reported(tmp_path):
    (notice,) = read_csv_bars(write(tmp_path, *minute_rows(5)), 3600).notices
    assert str(notice) == "data.interval: 4 bars are closer together than the interval of 3600 s"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("yesterday,1,1,1,1,1", "line 3: Invalid isoformat string: 'yesterday'"),
        ("2024-01-01,1,1,one,1,1", "line 3: could not convert string to float: 'one'"),
        ("2024-01-01,0,1,1,1,1", "line 3: prices must be above 0"),
        ("2024-01-01,1,nan,1,1,1", "line 3: prices must be above 0 and finite"),
        ("2024-01-01,1,1,2,1,1", "high not below low"),
        ("2024-01-01,1,1,1,1,-1", "volume must be"),
        ("2024-01-01,1,1", "line 3: 3 fields; the header has 6"),
    ],
)
def test_a_bad_row_is_named_with_file_line_and_value(tmp_path, row, message):
    path = write(tmp_path, minute_rows(1)[0], row)
    with pytest.raises(InvalidBotError, match=message) as caught:
        read_csv_bars(path, 60)
    assert str(path) in str(caught.value)


def test_a_file_without_bars_or_columns_is_refused(tmp_path):
    with pytest.raises(InvalidBotError, match="holds no bars"):
        read_csv_bars(write(tmp_path), 60)
    with pytest.raises(InvalidBotError, match="no column named volume; there are: time,"):
        read_csv_bars(write(tmp_path, header="time,open,high,low,close"), 60)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1m", 60), ("5m", 300), ("90s", 90), ("1h", 3600), ("2h", 7200), ("1d", 86400), ("1w", 604800), ("1W", 604800),
     ("1M", 2592000)],
)  # fmt: skip
def test_intervals(text, seconds):
    assert interval_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "0m", "1D", "m", "-1m", "2M", None, 60])
def test_what_is_no_interval_is_refused(text):
    with pytest.raises(InvalidBotError, match="is no interval; allowed"):
        interval_seconds(text)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"data_source": "tarot"}, "'tarot' has no feed; available: file, generated, .* and the exchanges of ccxt"),
        ({"data_source": "kraken", "transport": "websocket"}, "'websocket' is not there for kraken: .* allowed: rest"),
        ({"data_source": "binance", "transport": "post"}, "'post' is no transport; allowed: rest, websocket"),
        ({"data_source": "binance", "interval": "5"}, "is no interval"),
        ({"data_source": "coingecko", "symbol": "PEPEUSDT"}, r"data\.coin_id: is missing, and 'PEPEUSDT' is no pair"),
        ({"data_source": "file"}, "names no file"),
        ({"data_source": "file", "file_path": "x", "simulate_realtime": "yes"}, "neither true nor false"),
        ({"data_source": "generated", "speed": -1}, "out of range"),
        ({"data_source": "generated", "seed": "x"}, "is no number"),
        ({"data_source": "generated", "start": "soon"}, "is no time"),
        ({"data_source": "generated", "interval": "5"}, "is no interval"),
    ],
)
def test_a_feed_that_cannot_be_is_an_invalid_bot(data, message):
    with pytest.raises(InvalidBotError, match=message):
        build_feed(data, "BTCUSDT")


def test_any_generated_bar_is_there_at_once_and_always_the_same():
    indices = [0, 1, BLOCK - 1, BLOCK, 10**9]
    forward = [SyntheticMarket(5, "BTCUSDT", 60).quote(index) for index in indices]
    market = SyntheticMarket(5, "BTCUSDT", 60)
    assert [market.quote(index) for index in reversed(indices)] == forward[::-1]
    assert SyntheticMarket(6, "BTCUSDT", 60).quote(0) != forward[0]
    assert SyntheticMarket(5, "ETHUSDT", 60).quote(0) != forward[0]


def test_generated_bars_are_consistent_and_continuous_across_blocks():
    market = SyntheticMarket(5, "XRPUSDT", 3600)
    quotes = [market.quote(index) for index in range(3 * BLOCK)]
    assert all(q.low <= min(q.open, q.close) <= max(q.open, q.close) <= q.high and q.low > 0 for q in quotes)
    assert all(later.open == earlier.close for earlier, later in pairwise(quotes))
    assert all(q.volume > 0 for q in quotes)


def test_generated_bars_do_not_change_from_release_to_release():
    quote = SyntheticMarket(1, "BTCUSDT", 60).quote(1000)
    assert quote == pytest.approx(EXPECTED_QUOTE, rel=1e-9)


async def test_an_endless_feed_says_so():
    feed = generated_feed()
    assert not feed.finite
    assert feed.history_capacity(500) == 500
    assert len(await feed.history(START + timedelta(days=1000), 3)) == 3
