"""Observe, plan, apply for one bot, until there is nothing left to do. It decides nothing itself: `plan` does.

Errors are not handled here but by their type in the work queue. Killed anywhere, the next look goes on.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import assert_never

import structlog

from bot_core.models.errors import InvalidBotError, TransientError
from bot_core.store.bots import BotStore
from bot_operator.actions import (
    Action,
    ApplyDeployment,
    ApplyTradingBot,
    DeleteDeployment,
    DeleteTradingBot,
    EmitEvent,
    PatchStatus,
    WriteRowError,
    WriteRowStopped,
)
from bot_operator.cluster import Cluster, RefusedObjectError
from bot_operator.manifests import Document, build_event
from bot_operator.naming import object_name
from bot_operator.observed import Observed
from bot_operator.plan import plan_bot
from bot_operator.record import BotRecord, Circumstances
from bot_operator.rows import RowReader
from bot_operator.settings import OperatorSettings
from bot_operator.standing import stand
from bot_operator.waves import Waves

#: A bot settles in three plans; more means that somebody undoes each of them.
MOST_PLANS = 6
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Look:
    bot_id: int
    record: BotRecord | None
    observed: Observed
    around: Circumstances


class Reconciler:
    def __init__(
        self,
        settings: OperatorSettings,
        rows: RowReader,
        store: BotStore,
        cluster: Cluster,
        waves: Waves,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._rows = rows
        self._store = store
        self._cluster = cluster
        self._waves = waves
        self._now = now
        self._monotonic = monotonic
        # When each status was last written. Lost with the process, which costs one write too many, no more.
        self._written: dict[int, float] = {}

    async def reconcile(self, bot_id: int) -> None:
        """Make the cluster what the bot's row asks for. Raises TransientError or InvalidBotError."""
        with self._waves.looking(bot_id):
            await self._settle(await self._observe(bot_id))

    async def _settle(self, look: _Look) -> None:
        for _ in range(MOST_PLANS):
            actions = plan_bot(look.record, look.observed, look.around)
            if not actions:
                return
            for action in actions:
                look = await self._apply(action, look)
        raise TransientError(f"bot {look.bot_id} is not settled after {MOST_PLANS} plans: {actions}")

    async def _observe(self, bot_id: int) -> _Look:
        record = await self._rows.get(bot_id)
        observed = await self._cluster.observe(bot_id)
        empty = record is None and await self._rows.table_is_empty()
        since = self._monotonic() - self._written.get(bot_id, -self._settings.status_seconds)
        if record is None:
            self._written.pop(bot_id, None)
        now = self._now()
        standing = None if record is None else stand(record, observed, self._settings, now)
        turn = self._waves.take(bot_id, standing)
        around = Circumstances(
            settings=self._settings,
            now=now,
            # Half, because the ticks that look for new figures are themselves `status_seconds` apart.
            figures_due=since >= self._settings.status_seconds / 2,
            table_empty=empty,
            may_roll=turn.may_roll,
            rollout_paused=turn.paused,
        )
        return _Look(bot_id, record, observed, around)

    async def _apply(self, action: Action, look: _Look) -> _Look:
        """Carry one action out; what the cluster answered is what the next plan sees."""
        observed = look.observed
        match action:
            case ApplyTradingBot(manifest):
                observed = replace(observed, bot=await self._cluster.apply_tradingbot(manifest))
            case PatchStatus(manifest):
                observed = replace(observed, bot=await self._cluster.apply_status(manifest))
                self._written[look.bot_id] = self._monotonic()
            case ApplyDeployment(manifest):
                observed = await self._apply_deployment(manifest, look)
            case DeleteDeployment(uid):
                await self._cluster.delete_deployment(object_name(look.bot_id), uid)
                if observed.deployment is not None:
                    observed = replace(observed, deployment=replace(observed.deployment, deleting=True))
            case DeleteTradingBot(uid):
                await self._cluster.delete_tradingbot(object_name(look.bot_id), uid)
                if observed.bot is not None:
                    observed = replace(observed, bot=replace(observed.bot, deleting=True))
            case WriteRowError() | WriteRowStopped():
                look = await self._write_row(action, look)
            case EmitEvent():
                await self._emit(action, look)
            case _:
                assert_never(action)
        _tell(action)
        return replace(look, observed=observed)

    async def _write_row(self, action: WriteRowError | WriteRowStopped, look: _Look) -> _Look:
        match action:
            case WriteRowError(message, keep_status):
                await self._store.failed(look.bot_id, message, keep_status=keep_status)
            case WriteRowStopped():
                # The store asks the row itself for the reason: a request to start that came just now stands.
                await self._store.stopped(look.bot_id)
            case _:
                assert_never(action)
        record = await self._rows.get(look.bot_id)
        if record is None:
            # Whether the whole table went with it is for a new look to find out before anything is removed.
            raise TransientError(f"bot {look.bot_id}: its row went away meanwhile")
        return replace(look, record=record)

    async def _apply_deployment(self, manifest: Document, look: _Look) -> Observed:
        try:
            return replace(look.observed, deployment=await self._cluster.apply_deployment(manifest))
        except RefusedObjectError as error:
            await self._store.failed(look.bot_id, str(error), keep_status=look.observed.deployment is not None)
            raise

    async def _emit(self, event: EmitEvent, look: _Look) -> None:
        kind = "Warning" if event.warning else "Normal"
        document = build_event(
            look.bot_id, event.uid, self._settings,
            kind=kind, reason=event.reason, message=event.message, now=look.around.now,
        )  # fmt: skip
        try:
            await self._cluster.emit(document)
        except (TransientError, InvalidBotError) as error:
            # An Event tells; nothing depends on it, so the bot does not wait for it.
            _log.warning("event_not_written", reason=event.reason, error=str(error))


def _tell(action: Action) -> None:
    match action:
        case ApplyTradingBot() | ApplyDeployment():
            _log.info("applied", kind=action.manifest["kind"])
        case PatchStatus(manifest, figures_only):
            log = _log.debug if figures_only else _log.info
            log("status_written", phase=manifest["status"]["phase"], message=manifest["status"]["message"])
        case DeleteDeployment(_, why) | DeleteTradingBot(_, why):
            _log.info("deleted", kind=type(action).__name__.removeprefix("Delete"), why=why)
        case WriteRowError(message):
            _log.warning("row_error_written", message=message)
        case WriteRowStopped():
            _log.info("row_stopped_written")
        case EmitEvent(reason, message):
            _log.debug("event_written", reason=reason, message=message)
        case _:
            assert_never(action)
