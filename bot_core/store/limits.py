"""Placeholder until the limits are merged."""

from datetime import date
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection


async def reserve(
    connection: AsyncConnection, *, bot_id: int, user_id: int, account: str, mode: str, value: Decimal, day: date
) -> str | None:
    return None
