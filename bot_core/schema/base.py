"""The one metadata that all tables hang on, and the pieces that several of them share."""

from typing import Any

from sqlalchemy import Column, Identity, Integer, MetaData, func

from bot_core.schema.types import AwareUTC, BigId

metadata = MetaData()


def identity(*, big: bool = False) -> Column[Any]:
    """The `id` of the existing platform's tables: generated always, so it is never sent."""
    return Column("id", BigId if big else Integer, Identity(always=True), primary_key=True)


def created_at() -> Column[Any]:
    return Column("created_at", AwareUTC(), server_default=func.now())
