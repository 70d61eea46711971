"""Balance, P&L, position and heartbeat of all bots into their TradingBots, once in `statusSeconds`. Nothing else.

One read of the rows and one list of the TradingBots, whatever the size of the fleet; then one write for each bot whose
figures are others than those shown. So a bot costs the same whether its heart beats each second or each ten. What
somebody else has written there is left to a look at the bot, which tells of it. Nothing is remembered.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator

import structlog

from bot_core.models.errors import TradingBotError
from bot_operator.cluster import Cluster, RefusedObjectError, StaleLookError
from bot_operator.drift import foreign_status
from bot_operator.heartbeats import Heartbeats
from bot_operator.manifests import Document, build_status
from bot_operator.naming import object_name
from bot_operator.observed import ObservedTradingBot
from bot_operator.record import BotRecord
from bot_operator.rows import RowReader
from bot_operator.settings import OperatorSettings
from bot_operator.status import FIGURES, build_figures

WRITERS = 8
_log = structlog.get_logger(__name__)


class Projection:
    """`add` is called with a bot of which the rows tell more than figures, such as a halt."""

    def __init__(
        self,
        settings: OperatorSettings,
        rows: RowReader,
        cluster: Cluster,
        add: Callable[[int], None],
        heartbeats: Heartbeats,
    ) -> None:
        self._settings = settings
        self._rows = rows
        self._cluster = cluster
        self._add = add
        self._heartbeats = heartbeats

    async def project(self) -> None:
        """Write what has changed. What can't be read or written now is left to the next time."""
        try:
            records = await self._rows.all()
            bots = await self._cluster.tradingbots()
        except TradingBotError as error:
            self._heartbeats.blind()
            _log.warning("figures_not_read", error=str(error))
            return
        self._heartbeats.heard(records)
        shown = [(record, bots[bot_id]) for bot_id, record in records.items() if bot_id in bots]
        moved = {record.row.id: (self._manifest(record, bot), bot) for record, bot in shown if _moved(record, bot)}
        edited = {
            bot_id for bot_id, (manifest, bot) in moved.items() if foreign_status(bot.document, manifest["status"])
        }
        writes = iter([write for bot_id, write in moved.items() if bot_id not in edited])
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(self._write(writes))
        for bot_id in edited.union(_more_to_tell(shown)):
            self._add(bot_id)

    def _manifest(self, record: BotRecord, bot: ObservedTradingBot) -> Document:
        kept = {key: value for key, value in bot.status.items() if key not in FIGURES}
        return build_status(object_name(record.row.id), self._settings, kept | build_figures(record))

    async def _write(self, writes: Iterator[tuple[Document, ObservedTradingBot]]) -> None:
        """One of several that take from the same iterator; it ends where the cluster is away."""
        for manifest, bot in writes:
            try:
                # All but the figures is as it was read: where it has changed since, this must not put it back.
                await self._cluster.apply_status(manifest, bot.document)
            except (StaleLookError, RefusedObjectError) as error:
                _log.debug("figures_not_written", name=manifest["metadata"]["name"], error=str(error))
            except TradingBotError as error:
                _log.warning("figures_not_written", name=manifest["metadata"]["name"], error=str(error))
                return


def _moved(record: BotRecord, bot: ObservedTradingBot) -> bool:
    if not bot.ours or bot.deleting or not bot.phase:
        return False
    return build_figures(record) != {key: bot.status[key] for key in FIGURES if key in bot.status}


def _more_to_tell(shown: Iterable[tuple[BotRecord, ObservedTradingBot]]) -> list[int]:
    """Bots whose halt or document is another than the one shown; neither makes any news of its own."""
    return [
        record.row.id
        for record, bot in shown
        if bool(bot.status.get("halted")) != (record.halt is not None)
        or bot.status.get("configHash") != record.figures.config_hash
    ]
