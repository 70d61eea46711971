"""The composition root: settings in, a runner out. The only place where the process's singletons are made."""

import socket
from collections.abc import Collection

from bot_core.store.bots import BotStore
from bot_core.store.brake import Brake
from bot_core.store.database import Database
from bot_core.store.leases import LeaseStore, process_holder
from bot_core.store.shrinks import ShrinkStore
from bot_runtime import tracing
from bot_runtime.engine.assembly import Surroundings
from bot_runtime.engine.board import FleetBoard
from bot_runtime.engine.bot_engine import Rhythm
from bot_runtime.engine.failures import FailureLimit
from bot_runtime.engine.progress import Progress
from bot_runtime.notifications.companion import build_dispatcher
from bot_runtime.performance_recorder import PerformanceRecorder
from bot_runtime.settings import Settings
from bot_runtime.stop_brake import PodBrake, ServiceBrake, StopBrake
from bot_runtime.strategy_manager import StrategyManager
from bot_runtime.system.pressure import Thresholds
from bot_runtime.system.resources import ResourceWatch
from bot_runtime.system.service_manager import service_manager_links
from bot_runtime.trading_runner import TradingRunner


def build_runner(
    settings: Settings,
    *,
    ids: Collection[int] | None = None,
    user: str | None = None,
    resume: bool = True,
    deliver: bool = False,
    alone: bool = True,
) -> tuple[TradingRunner, FleetBoard]:
    """A runner of the named bots, or of every row that asks to run. Must be called inside an event loop.

    `user` is an id or address; without `resume`, bots of the last process wait until somebody asks for them. With
    `deliver`, it delivers messages beside them, where a channel is set up. `alone`: no
    other process runs the rest of the fleet.
    """
    one_bot = ids is not None and len(ids) == 1
    fleet = FleetBoard()
    database = Database(
        settings.database_url,
        pool_size=2 if one_bot else 10,
        idle_seconds=settings.idle_seconds,
        observe=fleet.process.database.observe,
    )
    holder = process_holder()
    around = Surroundings(
        database=database,
        store=BotStore(database, actor=f"runtime {holder}"),
        leases=LeaseStore(database, holder, seconds=settings.lease_seconds),
        fleet=fleet,
        progress=Progress(),
        rhythm=Rhythm(settings.heartbeat_seconds),
    )
    manager = StrategyManager(
        around,
        ids=ids,
        user=user,
        resume=resume,
        poll_seconds=settings.poll_seconds,
        drain_seconds=settings.drain_seconds,
        stall_seconds=settings.stall_seconds,
        limit=FailureLimit(settings.quarantine_failures, settings.quarantine_minutes * 60),
        brake=_build_brake(settings, database, user or "", alone=alone),
    )
    limits = Thresholds(settings.warn_cpu, settings.warn_memory, settings.warn_fds, settings.warn_loop_lag)
    runner = TradingRunner(settings, around, manager)
    runner.companions.add(
        *([tracing.Tracing()] if tracing.wanted() else []),
        ResourceWatch(fleet.process.resources, limits),
        PerformanceRecorder(database, fleet, holder, every=settings.performance_trades),
        *service_manager_links(
            fleet, runner.health.liveness, unread=lambda: manager.rows.reason, stopping=runner.stop.is_set
        ),
    )
    dispatcher = (
        build_dispatcher(settings.database_url, holder, lease_seconds=settings.lease_seconds) if deliver else None
    )
    if dispatcher is not None:
        runner.companions.add(dispatcher)
    return runner, fleet


def _build_brake(settings: Settings, database: Database, user: str, *, alone: bool) -> StopBrake:
    if not alone:
        return PodBrake(database, settings.brake)
    holder = f"service {socket.gethostname()} {user}".rstrip()  # the same after a restart
    return ServiceBrake(Brake(ShrinkStore(database), settings.brake, holder))
