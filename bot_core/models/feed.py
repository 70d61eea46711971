"""The `data` section: where bars come from."""

import re

from pydantic import BaseModel, ConfigDict, Field, field_validator

KNOWN_SOURCES = ("file", "generated", "binance", "alpaca", "yahoo", "websocket", "ibkr", "coingecko")
#: Sources that this version has a feed for.
AVAILABLE_SOURCES = ("file", "generated")
_INTERVAL = re.compile(r"[1-9]\d*[smhdw]|1M|1W")


class FeedConfig(BaseModel):
    """Keys beyond these belong to the source (`file_path`, `seed`, `speed` …) and are read by its feed."""

    model_config = ConfigDict(frozen=True, extra="allow")

    data_source: str
    interval: str = "1h"
    lookback_bars: int = Field(default=500, ge=1, le=100_000)

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
