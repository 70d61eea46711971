"""One look at everything: every row and every object, each listed once. It only names bots to look at.

A sweep changes nothing: whoever looks at a bot reads its row and objects again. So a stale sweep does no harm, and
one that fails does nothing at all. Others have their turn between one bot and the next.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from bot_core.models.brake import TableState
from bot_core.models.errors import SchemaMissingError, TradingBotError
from bot_operator.brake import Showing, hold_of
from bot_operator.cluster import Cluster
from bot_operator.gate import Gate
from bot_operator.health import SweepHealth
from bot_operator.heartbeats import Heartbeats
from bot_operator.manifests import build_event
from bot_operator.metrics import Metrics
from bot_operator.observed import Observed
from bot_operator.plan import plan_bot
from bot_operator.record import BotRecord, Circumstances
from bot_operator.rollout import Update
from bot_operator.rows import RowReader
from bot_operator.settings import OperatorSettings
from bot_operator.sightings import Sightings
from bot_operator.standing import Standing, stand
from bot_operator.turns import in_turns
from bot_operator.waves import Waves
from bot_operator.workqueue import WorkQueue

_log = structlog.get_logger(__name__)


class Sweep:
    def __init__(
        self,
        settings: OperatorSettings,
        rows: RowReader,
        cluster: Cluster,
        gate: Gate,
        queue: WorkQueue,
        metrics: Metrics,
        health: SweepHealth,
        waves: Waves,
        heartbeats: Heartbeats,
        sightings: Sightings,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._rows = rows
        self._cluster = cluster
        self._gate = gate
        self._queue = queue
        self._metrics = metrics
        self._health = health
        self._waves = waves
        self._heartbeats = heartbeats
        self._sightings = sightings
        self._now = now
        self._pause_told = False

    async def everything(self) -> bool:
        """Queue every bot that is not as its row asks, orphans among them. False when not all could be read."""
        self._health.tried()
        mark = self._waves.mark()
        self._sightings.mark()
        records = await self._read_rows()
        seen = None if records is None else await self._read_cluster()
        showing = None if seen is None else await self._judge(seen)
        if records is None or seen is None or showing is None:
            self._health.failed()
            return False
        records = {bot_id: self._with_hold(record, seen.get(bot_id), showing) for bot_id, record in records.items()}
        self._sightings.swept(seen.keys())
        self._waves.swept(await self._standings(records, seen), mark)
        await self._tell_pause(seen)
        async for bot_id in in_turns(sorted(records.keys() | seen.keys())):
            self._health.tried()
            self._heartbeats.look(bot_id, records.get(bot_id), seen.get(bot_id, Observed()))
            if self._needs_a_look(records.get(bot_id), bot_id, seen.get(bot_id, Observed()), showing):
                self._queue.add(bot_id, news=False)
        self._heartbeats.tell()
        self._metrics.swept(item.bot.phase for item in seen.values() if item.bot is not None)
        if showing.verdict.table is TableState.MISSING:
            self._health.failed()  # what runs is looked after, but this is no table to be ready on
            return False
        self._health.succeeded()
        return True

    def _with_hold(self, record: BotRecord, observed: Observed | None, showing: Showing) -> BotRecord:
        if record.asked.run or observed is None or observed.nothing:
            return record
        return replace(record, hold=hold_of(showing, record.row.id, self._settings))

    async def _standings(self, records: Mapping[int, BotRecord], seen: Mapping[int, Observed]) -> dict[int, Standing]:
        found = {}
        async for bot_id in in_turns(records.keys() & seen.keys()):
            self._health.tried()
            try:
                standing = stand(records[bot_id], seen[bot_id], self._settings, self._now())
            except Exception:  # noqa: BLE001, S112  # as below
                continue
            if standing is not None:
                found[bot_id] = standing
        return found

    def _needs_a_look(self, record: BotRecord | None, bot_id: int, observed: Observed, showing: Showing) -> bool:
        if observed.bot is not None and showing.code and observed.bot.confirmation == showing.code:
            return True  # a person's word that waits to be heard
        gone = record is None and not observed.nothing
        turn = self._waves.turn(bot_id)
        around = Circumstances(
            self._settings,
            self._now(),
            hold=hold_of(showing, bot_id, self._settings) if gone else record.hold if record else None,
            last=self._rows.last(bot_id) if record is None else None,
            may_roll=turn.may_roll,
            rollout_paused=turn.paused,
        )
        try:
            return bool(plan_bot(record, observed, around))
        except Exception:  # noqa: BLE001  # one bad row never touches another: this one fails again in its own back-off
            return True

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
            records = await self._rows.all()
        except TradingBotError as error:
            self._metrics.read_failed("database")
            self._heartbeats.blind()
            _log.warning("rows_not_read", error=str(error), what="nothing is removed")
            return {} if isinstance(error, SchemaMissingError) and await self._table_missing() else None
        self._health.tried()
        self._metrics.rows_read()
        return records

    async def _table_missing(self) -> bool:
        """Whether it is the table of bots itself that is gone: then there are no rows, which the brake judges."""
        try:
            return (await self._rows.wishes()).table is TableState.MISSING
        except TradingBotError:
            return False

    async def _judge(self, seen: Mapping[int, Observed]) -> Showing | None:
        self._gate.seen(seen)
        try:
            return await self._gate.ask()
        except TradingBotError as error:
            self._metrics.read_failed("database")
            _log.warning("brake_not_judged", error=str(error), what="nothing is removed")
            return None

    async def _read_cluster(self) -> dict[int, Observed] | None:
        try:
            return await self._cluster.observe_all(self._health.tried)
        except TradingBotError as error:
            self._metrics.read_failed("cluster")
            self._heartbeats.blind()
            _log.warning("cluster_not_read", error=str(error), what="nothing is removed")
            return None


def _knows_of_pause(observed: Observed) -> bool:
    return observed.bot is not None and observed.bot.status.get("update") == Update.PAUSED
