"""A halt: a latched stop of one bot, one user's bots or all. Pure; who reads and writes them is the store."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class HaltScope(StrEnum):
    BOT = "bot"
    USER = "user"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Halt:
    """No entry is sent while it stands, exits are. With `flatten`, the position is closed as well.

    `target_id` is the bot's or the user's id, None for all; whoever reads the halt of one bot may leave it out.
    """

    id: int
    scope: HaltScope
    flatten: bool
    reason: str
    created_by: str
    created_at: datetime
    target_id: int | None = None

    def __str__(self) -> str:
        whom = {HaltScope.BOT: "this bot", HaltScope.USER: "this user's bots", HaltScope.ALL: "all bots"}[self.scope]
        why = f": {self.reason}" if self.reason else ""
        return f"halted ({whom}) by {self.created_by} since {self.created_at:%Y-%m-%d %H:%M:%S} UTC{why}"

    def facts(self) -> dict[str, Any]:
        """What programs are told; `since` is aware UTC."""
        return {
            "id": self.id,
            "scope": self.scope,
            "target_id": self.target_id,
            "flatten": self.flatten,
            "reason": self.reason,
            "by": self.created_by,
            "since": self.created_at,
        }

    def concerns(self, bot_id: int, user_id: int) -> bool:
        """Whether it halts this bot of this user."""
        return self.scope is HaltScope.ALL or self.target_id == (user_id if self.scope is HaltScope.USER else bot_id)


def halt_of(halts: Iterable[Halt], bot_id: int, user_id: int) -> Halt | None:
    """The halt that counts for a bot, of those that stand: one that flattens, else the oldest."""
    mine = [halt for halt in halts if halt.concerns(bot_id, user_id)]
    return min(mine, key=lambda halt: (not halt.flatten, halt.created_at, halt.id), default=None)
