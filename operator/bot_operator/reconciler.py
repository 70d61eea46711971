"""Observe, plan, apply for one bot, until there is nothing left to do. It decides nothing itself: `plan` does.

Errors are not handled here but by their type in the work queue. Killed anywhere, the next look goes on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, assert_never

import structlog

from bot_core.models.brake import TableState
from bot_core.models.errors import (
    DatabaseUnavailableError,
    InvalidBotError,
    SchemaMissingError,
    TradingBotError,
    TransientError,
)
from bot_operator.actions import (
    Action,
    ApplyDeployment,
    ApplyTradingBot,
    DeleteDeployment,
    DeletePod,
    DeleteTradingBot,
    Deletion,
    EmitEvent,
    PatchStatus,
    QuarantineRow,
    RestoreDeployment,
    RestoreStatus,
    RestoreTradingBot,
    RowWrite,
)
from bot_operator.cluster import Cluster, RefusedForNowError, RefusedObjectError, StaleLookError
from bot_operator.drift import find_drift
from bot_operator.gate import Gate
from bot_operator.heartbeats import Heartbeats
from bot_operator.manifests import Document, build_event
from bot_operator.naming import object_name
from bot_operator.observed import Observed, ObservedDeployment, ObservedTradingBot
from bot_operator.operator_log import tell
from bot_operator.parts import stands
from bot_operator.plan import is_first_start, plan_bot
from bot_operator.record import BotRecord, Circumstances, Hold
from bot_operator.row_writer import RowWriter
from bot_operator.rows import RowReader
from bot_operator.settings import OperatorSettings
from bot_operator.sightings import Sightings
from bot_operator.standing import stand
from bot_operator.waves import Waves

#: A bot settles in three plans; more means that somebody undoes each of them.
MOST_PLANS = 6
#: Errors on purpose that say nothing of the other parts of a plan; all others of ours end the look.
_OF_ONE_PART = (DatabaseUnavailableError, RefusedForNowError, RefusedObjectError)
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
        writer: RowWriter,
        cluster: Cluster,
        gate: Gate,
        waves: Waves,
        heartbeats: Heartbeats,
        sightings: Sightings,
        *,
        again: Callable[[int], None] = lambda _bot_id: None,
        on_recovery: Callable[[str], None] = lambda _outcome: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._rows = rows
        self._writer = writer
        self._cluster = cluster
        self._gate = gate
        self._waves = waves
        self._heartbeats = heartbeats
        self._sightings = sightings
        self._again = again
        self._on_recovery = on_recovery
        self._now = now

    async def reconcile(self, bot_id: int) -> None:
        """Make the cluster what the bot's row asks for. Raises TransientError or InvalidBotError."""
        with self._waves.looking(bot_id):
            await self._settle(await self._observe(bot_id))

    async def _settle(self, look: _Look) -> None:
        done: list[Action] = []
        for _ in range(MOST_PLANS):
            actions = plan_bot(look.record, look.observed, look.around)
            if not actions:
                return
            if all(action in done for action in actions):
                break  # what was written did not stay, as where an older CRD knows no such field
            try:
                starts = is_first_start(actions, look.observed)
                look = await self._carry_out(actions, look)
                done += actions
                if starts:
                    self._again(look.bot_id)  # what there is to tell waits for the bots that have no Deployment yet
                    return
            except StaleLookError as error:
                _log.info("looked_again", why=str(error))
                look, done = await self._observe(look.bot_id), []
        raise TransientError(f"bot {look.bot_id} is not settled; planned last: {actions}")

    async def _observe(self, bot_id: int) -> _Look:
        is_new = self._sightings.nothing_of(bot_id)
        self._sightings.noted(bot_id)
        record = await self._record(bot_id)
        observed = await self._cluster.observe(bot_id, is_new=is_new)
        hold = await self._hold(bot_id, record, observed)
        if record is not None:
            record = replace(record, hold=hold)
        elif hold is None:
            self._rows.forget(bot_id)
        silent_for = self._heartbeats.look(bot_id, record, observed)
        now = self._now()
        standing = None if record is None else stand(record, observed, self._settings, now)
        turn = self._waves.take(bot_id, standing)
        around = Circumstances(
            settings=self._settings,
            now=now,
            hold=hold,
            last=self._rows.last(bot_id) if record is None else None,
            silent_for=silent_for,
            may_roll=turn.may_roll,
            rollout_paused=turn.paused,
        )
        return _Look(bot_id, record, observed, around)

    async def _record(self, bot_id: int) -> BotRecord | None:
        try:
            return await self._rows.get(bot_id)
        except SchemaMissingError:
            if (await self._gate.ask()).verdict.table is not TableState.MISSING:
                raise
            return None  # the table of bots itself is gone, and with it every row

    async def _hold(self, bot_id: int, record: BotRecord | None, observed: Observed) -> Hold | None:
        """Ask the gate before anything is removed or stopped; nobody else decides that it may be."""
        wants_removal = not observed.nothing if record is None else observed.runs and not record.asked.run
        if not wants_removal:
            return None
        self._gate.noted(bot_id, runs=observed.runs)
        showing = await self._gate.ask()
        hold, showing = await self._gate.hold(bot_id, showing, observed.bot.confirmation if observed.bot else "")
        if hold is None and observed.runs and bot_id not in showing.verdict.free:
            raise TransientError(f"bot {bot_id}: its row asks for it again: looking once more")
        return hold

    async def _carry_out(self, actions: list[Action], look: _Look) -> _Look:
        """All of a plan. What fails ends only what depends on it, and is raised last."""
        failed: list[Action] = []
        errors: list[Exception] = []
        last: Action | None = None
        for action in actions:
            last = last if isinstance(action, EmitEvent) else action
            if not stands(action, failed, last):
                failed += [] if isinstance(action, EmitEvent) else [action]
                continue
            try:
                look = await self._apply(action, look)
            except Exception as error:
                if isinstance(error, TradingBotError) and not isinstance(error, _OF_ONE_PART):
                    raise
                _log.warning("action_failed", action=type(action).__name__, error=str(error))
                failed.append(action)
                errors.append(error)
        if errors:
            raise next((error for error in errors if not isinstance(error, InvalidBotError)), errors[0])
        return look

    async def _apply(self, action: Action, look: _Look) -> _Look:
        """Carry one action out; what the cluster answered is what the next plan sees."""
        observed = look.observed
        match action:
            case ApplyTradingBot() | RestoreTradingBot() | PatchStatus() | RestoreStatus():
                observed = replace(observed, bot=await self._write_tradingbot(action, look))
            case ApplyDeployment() | RestoreDeployment():
                observed = replace(observed, deployment=await self._write_deployment(action, look))
            case DeleteDeployment() | DeleteTradingBot() | DeletePod():
                observed = await self._delete(action, look)
            case EmitEvent():
                await self._emit(action, look)
            case QuarantineRow():
                look = await self._write_row(action, look)
                self._on_recovery("quarantined")
            case _:
                look = await self._write_row(action, look)
        tell(action)
        return replace(look, observed=observed)

    async def _write_row(self, action: RowWrite, look: _Look) -> _Look:
        record = await self._writer.write(look.bot_id, action, look.record)
        if look.record is not None and record.asked.run != look.record.asked.run:
            # The gate was asked of what the row said before.
            raise StaleLookError(f"bot {look.bot_id}: its row asks for something else by now")
        return replace(look, record=replace(record, hold=look.around.hold))

    async def _delete(self, action: Deletion, look: _Look) -> Observed:
        name, observed = object_name(look.bot_id), look.observed
        match action:
            case DeleteDeployment(uid):
                await self._cluster.delete_deployment(name, uid)
                self._gate.noted(look.bot_id, runs=False)
                if observed.deployment is not None:
                    return replace(observed, deployment=replace(observed.deployment, deleting=True))
            case DeleteTradingBot(uid):
                await self._cluster.delete_tradingbot(name, uid)
                if observed.bot is not None:
                    return replace(observed, bot=replace(observed.bot, deleting=True))
            case DeletePod(pod_name, uid):
                await self._cluster.delete_pod(pod_name, uid)
                self._on_recovery("pod_deleted")
                pods = (replace(pod, deleting=True) if pod.uid == uid else pod for pod in observed.pods)
                return replace(observed, pods=tuple(pods))
            case _:
                assert_never(action)
        return observed

    async def _write_tradingbot(
        self, action: ApplyTradingBot | RestoreTradingBot | PatchStatus | RestoreStatus, look: _Look
    ) -> ObservedTradingBot:
        held = None if look.observed.bot is None else look.observed.bot.document
        match action:
            case ApplyTradingBot(manifest):
                return await self._cluster.apply_tradingbot(manifest, held)
            case RestoreTradingBot(manifest):
                bot = await self._cluster.restore_tradingbot(manifest, held)
                _must_be(bot.document, manifest)
                return bot
            case PatchStatus(manifest):
                bot = await self._cluster.apply_status(manifest, held)
            case RestoreStatus(manifest):
                bot = await self._cluster.restore_status(manifest, held)
            case _:
                assert_never(action)
        return bot

    async def _write_deployment(self, action: ApplyDeployment | RestoreDeployment, look: _Look) -> ObservedDeployment:
        held = None if look.observed.deployment is None else look.observed.deployment.document
        try:
            if isinstance(action, ApplyDeployment):
                deployment = await self._cluster.apply_deployment(action.manifest, held)
                self._gate.noted(look.bot_id, runs=True)
                return deployment
            deployment = await self._cluster.restore_deployment(action.manifest, held)
        except (RefusedObjectError, RefusedForNowError) as error:
            await self._writer.refused(look.bot_id, str(error), look.record, keep_status=held is not None)
            raise
        _must_be(deployment.document, action.manifest)
        return deployment

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


def _must_be(held: Mapping[str, Any], manifest: Document) -> None:
    """Put back, an object is what its manifest says; else something in the cluster changes what we write."""
    left = find_drift(held, manifest)
    if left:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        raise TransientError(f"{kind} {name} was put back, and the cluster changed it again: {', '.join(left.fields)}")
