"""What the process is told by its environment. Nothing here configures a bot: rows do."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from bot_core.models.errors import FatalError
from bot_core.store.database import DEFAULT_URL


@dataclass(frozen=True)
class Settings:
    """Times are in seconds."""

    database_url: str = DEFAULT_URL
    port: int = 8080
    host: str = "0.0.0.0"  # noqa: S104  # probes and scrapers come from outside the pod
    poll_seconds: float = 30.0
    heartbeat_seconds: float = 10.0
    lease_seconds: float = 30.0
    stall_seconds: float = 30.0
    drain_seconds: float = 20.0
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Raise FatalError for a value that is no number, naming the variable."""
        return cls(
            database_url=environment.get("DATABASE_URL") or DEFAULT_URL,
            port=int(_number(environment, "PORT", cls.port)),
            host=environment.get("HOST") or cls.host,
            poll_seconds=_number(environment, "TRADINGBOT_POLL_SECONDS", cls.poll_seconds),
            heartbeat_seconds=_number(environment, "TRADINGBOT_HEARTBEAT_SECONDS", cls.heartbeat_seconds),
            lease_seconds=_number(environment, "TRADINGBOT_LEASE_SECONDS", cls.lease_seconds),
            stall_seconds=_number(environment, "TRADINGBOT_STALL_SECONDS", cls.stall_seconds),
            drain_seconds=_number(environment, "TRADINGBOT_DRAIN_SECONDS", cls.drain_seconds),
            log_level=environment.get("LOG_LEVEL") or cls.log_level,
        )


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise FatalError(f"{name} is {text!r}; allowed: a number of at least 0") from None
    if value < 0:
        raise FatalError(f"{name} is {text!r}; allowed: a number of at least 0")
    return value
