"""The `data` section: where bars come from."""

import re
from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

KNOWN_SOURCES = ("file", "generated", "binance", "alpaca", "yahoo", "websocket", "ibkr", "coingecko")
#: Sources that this version has a feed for.
AVAILABLE_SOURCES = ("file", "generated")
_INTERVAL = re.compile(r"[1-9]\d*[smhdw]|1M|1W")


class FeedConfig(BaseModel):
    """`file` reads `file_path` (and column names); `generated` reads seed, start, speed in bars a second, and bars.

    Keys beyond these belong to the source and are read by its feed.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    data_source: str
    interval: str = "1h"
    lookback_bars: int = Field(default=500, ge=1, le=100_000)
    file_path: str | None = None
    realtime_interval: float | None = Field(default=None, ge=0)
    seed: int | None = Field(default=None, ge=-(2**53), le=2**53)
    start: str | None = None
    speed: float | None = Field(default=None, ge=0, le=1_000_000)
    bars: int | None = Field(default=None, ge=-1, le=2**53)

    @field_validator("data_source")
    @classmethod
    def _available(cls, value: str) -> str:
        source = value.lower()
        if source not in KNOWN_SOURCES:
            raise ValueError(f"is no known source; allowed: {', '.join(KNOWN_SOURCES)}")
        if source not in AVAILABLE_SOURCES:
            raise ValueError(f"has no feed in this version; available: {', '.join(AVAILABLE_SOURCES)}")
        return source

    @field_validator("interval")
    @classmethod
    def _well_formed(cls, value: str) -> str:
        if not _INTERVAL.fullmatch(value):
            raise ValueError("is no interval; allowed: a number and s, m, h, d or w, such as 5m or 1h")
        return value

    @field_validator("start")
    @classmethod
    def _time(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                datetime.fromisoformat(value)
            except ValueError:
                raise ValueError("is no time; allowed: ISO 8601 such as 2024-01-01T00:00:00Z") from None
        return value

    @field_validator("file_path")
    @classmethod
    def _path(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("is empty; allowed: the path of a CSV file of bars")
        return value

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> Self:
        if self.data_source == "file" and self.file_path is None:
            raise ValueError("has no file_path, which data_source `file` needs: the path of a CSV file of bars")
        return self
