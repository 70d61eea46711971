"""What `/status` says of the process beside its bots: version, database, brokers, companions, halts. It asks nobody."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from bot_core.models.figures import iso_utc
from bot_runtime.broker_manager import BrokerManager
from bot_runtime.companions import Companions
from bot_runtime.row_reader import RowReader


class ProcessStatus:
    def __init__(
        self,
        *,
        rows: RowReader,
        brokers: BrokerManager,
        companions: Companions,
        unready: Callable[[], str | None],
    ) -> None:
        self._version = version("tradingbot-operator")
        self._started_at = datetime.now(UTC)
        self._rows = rows
        self._brokers = brokers
        self._companions = companions
        self._unready = unready

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self._version,
            "started_at": iso_utc(self._started_at),
            "unready": self._unready(),
            "database": self._rows.to_json(),
            "brokers": self._brokers.summary(),
            "companions": self._companions.to_json(),
            "halts": [halt.facts() | {"since": iso_utc(halt.created_at)} for halt in self._rows.halts],
        }
