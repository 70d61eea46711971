"""Reads rows, figures and halts as records. It writes nothing and decides nothing."""

from bot_core.models.halt import halt_of
from bot_core.store.bots import BotStore
from bot_core.store.projection import ProjectionStore
from bot_core.store.wishes import Wishes, read_wishes
from bot_operator.record import NO_FIGURES, BotRecord


class RowReader:
    """Every method raises DatabaseUnavailableError, or SchemaMissingError where the tables are not there yet."""

    def __init__(self, store: BotStore, projection: ProjectionStore) -> None:
        self._store = store
        self._projection = projection
        # What a bot whose row is gone, and whose removal is held, is put back by; lost with the process.
        self._last: dict[int, BotRecord] = {}

    async def all(self) -> dict[int, BotRecord]:
        rows = await self._store.all()
        figures = await self._projection.figures()
        halts = await self._projection.halts()
        found = {
            row.id: BotRecord(row, figures.get(row.id, NO_FIGURES), halt_of(halts, row.id, row.user_id)) for row in rows
        }
        self._last |= found
        return found

    async def get(self, bot_id: int) -> BotRecord | None:
        row = await self._store.get(bot_id)
        if row is None:
            return None
        figures = await self._projection.figures([bot_id])
        halts = await self._projection.halts()
        return BotRecord(row, figures.get(bot_id, NO_FIGURES), halt_of(halts, row.id, row.user_id))

    async def wishes(self) -> Wishes:
        """What all rows ask for, in one query. A missing table is an answer."""
        return await read_wishes(self._store.database)

    def last(self, bot_id: int) -> BotRecord | None:
        """The record as it was last read in a sweep, whether its row is still there or not."""
        return self._last.get(bot_id)

    def forget(self, bot_id: int) -> None:
        """Its removal is under way: nothing is put back any more."""
        self._last.pop(bot_id, None)
