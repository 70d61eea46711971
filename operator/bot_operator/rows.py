"""Reads rows, figures and halts as records. It writes nothing and decides nothing."""

from collections.abc import Iterable

from bot_core.models.halt import halt_of
from bot_core.store.bots import BotStore
from bot_core.store.projection import ProjectionStore
from bot_core.store.wishes import Wishes, read_wishes
from bot_operator.joint import Joint
from bot_operator.record import NO_FIGURES, BotRecord


class RowReader:
    """Every method raises DatabaseUnavailableError, or SchemaMissingError where the tables are not there yet."""

    def __init__(self, store: BotStore, projection: ProjectionStore) -> None:
        self._store = store
        self._projection = projection
        # What a bot whose row is gone, and whose removal is held, is put back by; lost with the process.
        self._last: dict[int, BotRecord] = {}
        self._asked: set[int] = set()
        self._joint = Joint(self._read_asked)

    async def all(self) -> dict[int, BotRecord]:
        found = await self._read(None)
        self._last |= found
        return found

    async def get(self, bot_id: int) -> BotRecord | None:
        """As it is now. Who asks while others are being read is answered together with all who do so."""
        self._asked.add(bot_id)
        return (await self._joint.ask()).get(bot_id)

    async def _read_asked(self) -> dict[int, BotRecord]:
        asked, self._asked = self._asked, set()
        return await self._read(asked)

    async def _read(self, ids: Iterable[int] | None) -> dict[int, BotRecord]:
        rows = await self._store.all(ids)
        figures = await self._projection.figures(ids)
        halts = await self._projection.halts()
        found = (BotRecord(row, figures.get(row.id, NO_FIGURES), halt_of(halts, row.id, row.user_id)) for row in rows)
        return {record.row.id: record.knowing(self._last.get(record.row.id)) for record in found}

    async def aclose(self) -> None:
        await self._joint.aclose()

    async def wishes(self) -> Wishes:
        """What all rows ask for, in one query. A missing table is an answer."""
        return await read_wishes(self._store.database)

    def last(self, bot_id: int) -> BotRecord | None:
        """The record as it was last read in a sweep, whether its row is still there or not."""
        return self._last.get(bot_id)

    def forget(self, bot_id: int) -> None:
        """Its removal is under way: nothing is put back any more."""
        self._last.pop(bot_id, None)
