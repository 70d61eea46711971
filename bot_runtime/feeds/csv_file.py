"""A feed of the bars in a CSV or Parquet file. The file is read once, in a thread, when first needed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from bot_core.models.errors import InvalidBotError
from bot_core.models.problem import Notice
from bot_runtime.domain.bar import Bar
from bot_runtime.feeds.base import Pace, PastFeed, Sleeper
from bot_runtime.feeds.csv_bars import CsvBars
from bot_runtime.feeds.intervals import interval_seconds
from bot_runtime.feeds.options import number_option
from bot_runtime.feeds.parquet_bars import read_bars

_DEFAULT_REALTIME_SECONDS = 1.0


class CsvFeed(PastFeed):
    """Bars of the past, as fast as they are taken, or paced with `simulate_realtime` and `realtime_interval`."""

    finite = True

    def __init__(self, data: Mapping[str, Any], *, data_dir: Path = Path(), sleep: Sleeper = asyncio.sleep) -> None:
        self.interval_seconds = interval_seconds(data.get("interval", "1h"))
        name = data.get("file_path")
        if not isinstance(name, str) or not name:
            raise InvalidBotError(f"data.file_path: {name!r} names no file; it is needed with data_source file")
        self._path = data_dir / name
        self._columns = data
        paced = data.get("simulate_realtime", False)
        if not isinstance(paced, bool):
            raise InvalidBotError(f"data.simulate_realtime: {paced!r} is neither true nor false")
        wait = number_option(data, "realtime_interval", _DEFAULT_REALTIME_SECONDS, low=0, high=86_400)
        self._seconds = wait if paced else 0.0
        self._sleep = sleep
        self._loading = asyncio.Lock()
        self._loaded: CsvBars | None = None

    @property
    def notices(self) -> tuple[Notice, ...]:
        return () if self._loaded is None else self._loaded.notices

    def history_capacity(self, warmup: int) -> int | None:  # noqa: ARG002 - the port
        """Keep all: a replay must see what a backtest over the whole file sees."""
        return None

    async def newest(self) -> datetime | None:
        """As of all bars of the past; the file is read, so that one that can't be never counts as one that ran."""
        await self._bars()
        return None

    async def history(self, until: datetime, limit: int | None) -> list[Bar]:
        loaded = await self._bars()
        end = loaded.count_until(until)
        start = 0 if limit is None else max(0, end - limit)
        bars: list[Bar] = loaded[start:end]
        return bars

    async def bars(self, after: datetime | None) -> AsyncIterator[Bar]:
        loaded = await self._bars()
        pace = Pace(self._seconds, self._sleep)
        for index in range(0 if after is None else loaded.count_until(after), len(loaded)):
            await pace.next_bar()
            yield loaded[index]

    async def aclose(self) -> None:
        self._loaded = None

    async def _bars(self) -> CsvBars:
        async with self._loading:
            if self._loaded is None:
                self._loaded = await asyncio.to_thread(read_bars, self._path, self.interval_seconds, self._columns)
            return self._loaded
