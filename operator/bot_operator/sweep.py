"""One look at everything: every row and every object, each listed once. It only names bots to look at.

A sweep changes nothing: whoever looks at a bot reads its row and objects again. So a stale sweep does no harm, and
one that fails does nothing at all.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from bot_core.models.errors import TradingBotError
from bot_operator.cluster import Cluster
from bot_operator.health import SweepHealth
from bot_operator.metrics import Metrics
from bot_operator.observed import Observed
from bot_operator.plan import plan_bot
from bot_operator.record import BotRecord, Circumstances
from bot_operator.recovery import HeartbeatWatch
from bot_operator.rows import RowReader
from bot_operator.settings import OperatorSettings
from bot_operator.workqueue import WorkQueue

_log = structlog.get_logger(__name__)


class Sweep:
    def __init__(
        self,
        settings: OperatorSettings,
        rows: RowReader,
        cluster: Cluster,
        queue: WorkQueue,
        metrics: Metrics,
        health: SweepHealth,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        heartbeats: HeartbeatWatch | None = None,
    ) -> None:
        self._settings = settings
        self._rows = rows
        self._cluster = cluster
        self._queue = queue
        self._metrics = metrics
        self._health = health
        self._now = now
        self._monotonic = monotonic
        self._heartbeats = heartbeats or HeartbeatWatch(settings)
        self._figures: dict[int, tuple[object, ...]] = {}  # an optimisation: lost, it costs one look at each bot

    async def everything(self) -> bool:
        """Queue every bot that is not as its row asks, orphans among them. False when not all could be read."""
        self._health.tried()
        records = await self._read_rows()
        seen = None if records is None else await self._read_cluster()
        if records is None or seen is None:
            self._health.failed()
            return False
        around = Circumstances(self._settings, self._now(), table_empty=not records)
        for bot_id in sorted(records.keys() | seen.keys()):
            self._heartbeats.look(bot_id, records.get(bot_id), seen.get(bot_id, Observed()), self._monotonic())
            if _needs_a_look(records.get(bot_id), seen.get(bot_id, Observed()), around):
                self._queue.add(bot_id, news=False)
        held = 0 if records else len(seen)
        if held:
            _log.error("table_is_empty", held=held, what="nothing is removed: reading nothing is not an order to stop")
        self._look_for_silence()
        self._metrics.swept([item.bot.phase for item in seen.values() if item.bot is not None], held)
        self._figures = {bot_id: _figures(record) for bot_id, record in records.items()}
        self._health.succeeded()
        return True

    async def figures(self) -> None:
        """Queue the bots whose figures (balance, heartbeat …) are others than at the last look."""
        records = await self._read_rows()
        if records is None:
            return
        latest = {bot_id: _figures(record) for bot_id, record in records.items()}
        for bot_id, figures in latest.items():
            if self._figures.get(bot_id) != figures:
                self._queue.add(bot_id, news=False)
        self._figures = latest
        self._heartbeats.heard(records, self._monotonic())
        self._look_for_silence()

    def _look_for_silence(self) -> None:
        """Queue the bots whose pods are to be replaced; say so where too many are silent for that."""
        now = self._monotonic()
        held = self._heartbeats.held(now)
        if held:
            _log.error("recovery_held", silent=held, what="too many at once: it is not the bots; no pod is deleted")
        self._metrics.recoveries_held(held)
        for bot_id in self._heartbeats.overdue(now):
            self._queue.add(bot_id, news=False)

    async def _read_rows(self) -> dict[int, BotRecord] | None:
        try:
            return await self._rows.all()
        except TradingBotError as error:
            self._metrics.read_failed("database")
            self._heartbeats.blind()
            _log.warning("rows_not_read", error=str(error), what="nothing is removed")
            return None

    async def _read_cluster(self) -> dict[int, Observed] | None:
        try:
            return await self._cluster.observe_all()
        except TradingBotError as error:
            self._metrics.read_failed("cluster")
            self._heartbeats.blind()
            _log.warning("cluster_not_read", error=str(error), what="nothing is removed")
            return None


def _needs_a_look(record: BotRecord | None, observed: Observed, around: Circumstances) -> bool:
    try:
        return bool(plan_bot(record, observed, around))
    except Exception:  # noqa: BLE001  # one bad row never touches another: this one fails again in its own back-off
        return True


def _figures(record: BotRecord) -> tuple[object, ...]:
    row = record.row
    return (row.current_balance, row.total_pnl, row.last_heartbeat, record.figures, record.halt)
