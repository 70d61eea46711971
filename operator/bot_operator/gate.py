"""The gate that every removal passes: one fresh reading of all that should run, judged by the safety brake.

Whoever would stop a bot asks here. However many ask at once, the rows are read once; but never is an answer older than
the question, so that what came as single wishes is judged as what it is. It stops nothing itself.
"""

from collections.abc import Callable, Mapping

import structlog

from bot_core.store.brake import Brake
from bot_operator.brake import Showing, hold_of
from bot_operator.cluster import Cluster
from bot_operator.joint import Joint
from bot_operator.observed import Observed
from bot_operator.record import Hold
from bot_operator.rows import RowReader
from bot_operator.settings import OperatorSettings

_log = structlog.get_logger(__name__)


class Gate:
    """`on_verdict` hears of every judgement."""

    def __init__(
        self,
        settings: OperatorSettings,
        brake: Brake,
        rows: RowReader,
        cluster: Cluster,
        *,
        on_verdict: Callable[[Showing], None] = lambda _showing: None,
    ) -> None:
        self._settings = settings
        self._brake = brake
        self._rows = rows
        self._cluster = cluster
        self._on_verdict = on_verdict
        self._running: set[int] | None = None  # what the cluster holds, as last seen; never remembered past a start
        self._joint = Joint(self._judge)

    def seen(self, everything: Mapping[int, Observed]) -> None:
        """Take note of what the cluster runs."""
        self._running = {bot_id for bot_id, observed in everything.items() if observed.runs}

    def noted(self, bot_id: int, *, runs: bool) -> None:
        """A Deployment was applied, is being deleted, or was seen."""
        if self._running is not None:
            (self._running.add if runs else self._running.discard)(bot_id)

    async def ask(self) -> Showing:
        """Judge a reading that begins after this question. Raises TransientError; then nothing may be stopped."""
        return await self._joint.ask()

    async def aclose(self) -> None:
        await self._joint.aclose()

    async def hold(self, bot_id: int, showing: Showing, confirmation: str) -> tuple[Hold | None, Showing]:
        """What holds this bot, after its annotation was heeded where that is a person's word on what is held."""
        if confirmation and confirmation == showing.code:
            by = f"annotation of TradingBot bot-{bot_id}"
            if await self._brake.confirm(confirmation, by=by):
                _log.warning("shrink_confirmed", code=confirmation, by=by)
                showing = await self.ask()
        return hold_of(showing, bot_id, self._settings), showing

    async def _judge(self) -> Showing:
        if self._running is None:
            self.seen(await self._cluster.observe_all())
        wishes = await self._rows.wishes()
        braked = await self._brake.judge(self._running or (), wishes.wanted, wishes.table)
        showing = Showing(braked.verdict, braked.code)
        self._on_verdict(showing)
        return showing
