"""The `data` section: where bars come from."""

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import field_validator, model_validator

from bot_core.models.exchanges import CCXT_EXCHANGES
from bot_core.models.extensions import Group, extension_names
from bot_core.models.section import Section
from bot_core.models.values import FLAG, MAYBE_FLAG, number, one_of, optional, text, whole

KNOWN_SOURCES = ("file", "generated", "binance", "alpaca", "yahoo", "websocket", "ibkr", "coingecko")
#: Exchanges of ccxt are sources too, by their ids.
EXCHANGES = ("binance", *CCXT_EXCHANGES)
TRANSPORTS = ("rest", "websocket")
_INTERVAL = re.compile(r"[1-9]\d{0,5}[smhdw]|1M|1W")
_Name = Annotated[str | None, optional(text())]
_Seconds = Annotated[float | None, optional(number(0, 86_400))]


class FeedConfig(Section):
    """`file` reads `file_path` (and column names); `generated` reads seed, start, speed in bars a second, and bars.

    Live sources read `symbol` where it is not that of the bot, `testnet`, `transport` and `coin_id`.

    Keys beyond these belong to the source and are read by its feed.
    """

    inert: ClassVar[frozenset[str]] = frozenset(
        {"separator", "fromdate", "todate", "timezone", "reverse", "datetime_format", "_comment"}
    )

    data_source: str
    symbol: _Name = None
    interval: str = "1h"
    lookback_bars: Annotated[int, whole(1, 100_000)] = 500
    file_path: str | None = None
    datetime_col: _Name = None
    open_col: _Name = None
    high_col: _Name = None
    low_col: _Name = None
    close_col: _Name = None
    volume_col: _Name = None
    simulate_realtime: Annotated[bool, FLAG] = False
    realtime_interval: _Seconds = None
    seed: Annotated[int | None, optional(whole(-(2**53), 2**53))] = None
    start: str | None = None
    speed: Annotated[float | None, optional(number(0, 1_000_000))] = None
    bars: Annotated[int | None, optional(whole(-1, 2**53))] = None
    retry_interval: _Seconds = None
    polling_interval: _Seconds = None
    host: _Name = None
    port: Annotated[int | None, optional(whole(1, 65_535))] = None
    client_id: Annotated[int | None, optional(whole(0, 2**31 - 1))] = None
    testnet: Annotated[bool | None, MAYBE_FLAG] = None
    transport: Annotated[str | None, optional(one_of(TRANSPORTS, "transport"))] = None
    coin_id: _Name = None

    @field_validator("data_source", mode="before")
    @classmethod
    def _known_source(cls, value: Any) -> str:
        source = value.lower() if isinstance(value, str) else value
        if isinstance(source, str) and (source in KNOWN_SOURCES or source in EXCHANGES):
            return source
        known = (*KNOWN_SOURCES, *extension_names(Group.FEEDS))
        if not isinstance(source, str) or source not in known:
            raise ValueError(f"is no known source; allowed: {', '.join(known)}, or an exchange of ccxt such as kraken")
        return source

    @field_validator("interval", mode="before")
    @classmethod
    def _well_formed(cls, value: Any) -> str:
        if not isinstance(value, str) or not _INTERVAL.fullmatch(value):
            raise ValueError("is no interval; allowed: a number and s, m, h, d or w, such as 5m or 1h, or 1M, 1W")
        return value

    @field_validator("start", mode="before")
    @classmethod
    def _time(cls, value: Any) -> str | None:
        try:
            if value is not None:
                datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise ValueError("is no time; allowed: ISO 8601 such as 2024-01-01T00:00:00Z") from None
        return None if value is None else str(value)

    @field_validator("file_path", mode="before")
    @classmethod
    def _path(cls, value: Any) -> str | None:
        if value is not None and (not isinstance(value, str) or not value.strip() or "\0" in value):
            what = "is empty" if isinstance(value, str) else "is no path"
            raise ValueError(f"{what}; allowed: the path of a CSV or Parquet file of bars")
        return value

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> Self:
        if self.data_source == "file" and self.file_path is None:
            raise ValueError("has no file_path, which data_source `file` needs: the path of a CSV or Parquet file")
        return self
