"""One look at everything: every row and every object, each listed once. It only names bots to look at.

A sweep changes nothing: whoever looks at a bot reads its row and objects again. So a stale sweep does no harm, and
one that fails does nothing at all.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from bot_core.models.errors import TradingBotError
from bot_operator.cluster import Cluster
from bot_operator.health import SweepHealth
from bot_operator.manifests import build_event
from bot_operator.metrics import Metrics
from bot_operator.observed import Observed
from bot_operator.plan import plan_bot
from bot_operator.record import BotRecord, Circumstances
from bot_operator.rollout import Update
from bot_operator.rows import RowReader
from bot_operator.settings import OperatorSettings
from bot_operator.standing import Standing, stand
from bot_operator.waves import Waves
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
        waves: Waves,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._rows = rows
        self._cluster = cluster
        self._queue = queue
        self._metrics = metrics
        self._health = health
        self._waves = waves
        self._now = now
        self._pause_told = False
        self._figures: dict[int, tuple[object, ...]] = {}  # an optimisation: lost, it costs one look at each bot

    async def everything(self) -> bool:
        """Queue every bot that is not as its row asks, orphans among them. False when not all could be read."""
        self._health.tried()
        mark = self._waves.mark()
        records = await self._read_rows()
        seen = None if records is None else await self._read_cluster()
        if records is None or seen is None:
            self._health.failed()
            return False
        around = Circumstances(self._settings, self._now(), table_empty=not records)
        self._waves.swept(_standings(records, seen, around), mark)
        await self._tell_pause(seen)
        for bot_id in sorted(records.keys() | seen.keys()):
            turn = self._waves.turn(bot_id)
            here = replace(around, may_roll=turn.may_roll, rollout_paused=turn.paused)
            if _needs_a_look(records.get(bot_id), seen.get(bot_id, Observed()), here):
                self._queue.add(bot_id, news=False)
        held = 0 if records else len(seen)
        if held:
            _log.error("table_is_empty", held=held, what="nothing is removed: reading nothing is not an order to stop")
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

    async def _tell_pause(self, seen: dict[int, Observed]) -> None:
        """An Event on a bot that failed when the roll-out is paused; once, as the bots that wait for it remember."""
        rollout = self._waves.rollout
        told, self._pause_told = self._pause_told, bool(rollout.paused)
        self._metrics.rolled_out(rollout.counts, paused=bool(rollout.paused))
        if not rollout.paused or told or any(_knows_of_pause(item) for item in seen.values()):
            return
        _log.error("rollout_paused", why=rollout.paused)
        bot_id = rollout.failed[0]
        bot = seen.get(bot_id, Observed()).bot
        event = build_event(
            bot_id, bot.uid if bot else "", self._settings,
            kind="Warning", reason="RolloutPaused", message=rollout.paused, now=self._now(),
        )  # fmt: skip
        try:
            await self._cluster.emit(event)
        except TradingBotError as error:
            _log.warning("event_not_written", reason="RolloutPaused", error=str(error))

    async def _read_rows(self) -> dict[int, BotRecord] | None:
        try:
            return await self._rows.all()
        except TradingBotError as error:
            self._metrics.read_failed("database")
            _log.warning("rows_not_read", error=str(error), what="nothing is removed")
            return None

    async def _read_cluster(self) -> dict[int, Observed] | None:
        try:
            return await self._cluster.observe_all()
        except TradingBotError as error:
            self._metrics.read_failed("cluster")
            _log.warning("cluster_not_read", error=str(error), what="nothing is removed")
            return None


def _standings(records: dict[int, BotRecord], seen: dict[int, Observed], around: Circumstances) -> dict[int, Standing]:
    found = {}
    for bot_id in records.keys() & seen.keys():
        try:
            standing = stand(records[bot_id], seen[bot_id], around.settings, around.now)
        except Exception:  # noqa: BLE001, S112  # as below
            continue
        if standing is not None:
            found[bot_id] = standing
    return found


def _knows_of_pause(observed: Observed) -> bool:
    return observed.bot is not None and observed.bot.status.get("update") == Update.PAUSED


def _needs_a_look(record: BotRecord | None, observed: Observed, around: Circumstances) -> bool:
    try:
        return bool(plan_bot(record, observed, around))
    except Exception:  # noqa: BLE001  # one bad row never touches another: this one fails again in its own back-off
        return True


def _figures(record: BotRecord) -> tuple[object, ...]:
    row = record.row
    return (row.current_balance, row.total_pnl, row.last_heartbeat, record.figures, record.halt)
