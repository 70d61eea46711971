"""Reads rows, figures and halts as records. It writes nothing and decides nothing."""

from bot_core.models.halt import halt_of
from bot_core.store.bots import BotStore
from bot_core.store.projection import ProjectionStore
from bot_operator.record import NO_FIGURES, BotRecord


class RowReader:
    """Every method raises DatabaseUnavailableError, or SchemaMissingError where the tables are not there yet."""

    def __init__(self, store: BotStore, projection: ProjectionStore) -> None:
        self._store = store
        self._projection = projection

    async def all(self) -> dict[int, BotRecord]:
        rows = await self._store.all()
        figures = await self._projection.figures()
        halts = await self._projection.halts()
        return {
            row.id: BotRecord(row, figures.get(row.id, NO_FIGURES), halt_of(halts, row.id, row.user_id)) for row in rows
        }

    async def get(self, bot_id: int) -> BotRecord | None:
        row = await self._store.get(bot_id)
        if row is None:
            return None
        figures = await self._projection.figures([bot_id])
        halts = await self._projection.halts()
        return BotRecord(row, figures.get(bot_id, NO_FIGURES), halt_of(halts, row.id, row.user_id))

    async def table_is_empty(self) -> bool:
        return not await self._projection.any_bot()
