"""A halt: a latched stop of one bot, one user's bots or all. Pure; who reads and writes them is the store."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class HaltScope(StrEnum):
    BOT = "bot"
    USER = "user"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Halt:
    """No entry is sent while it stands, exits are. With `flatten`, the position is closed as well."""

    id: int
    scope: HaltScope
    flatten: bool
    reason: str
    created_by: str
    created_at: datetime

    def __str__(self) -> str:
        whom = {HaltScope.BOT: "this bot", HaltScope.USER: "this user's bots", HaltScope.ALL: "all bots"}[self.scope]
        why = f": {self.reason}" if self.reason else ""
        return f"halted ({whom}) by {self.created_by} since {self.created_at:%Y-%m-%d %H:%M:%S} UTC{why}"
