"""What the process is told by its environment. Nothing here configures a bot: rows do."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot_core.logs import hide
from bot_core.models.brake import BrakeLimits
from bot_core.models.errors import FatalError
from bot_core.store.database import DEFAULT_URL

ANY_ADDRESS = "0.0.0.0"  # noqa: S104  # of a pod: probes and scrapers come from outside
THIS_MACHINE = "127.0.0.1"
_SHORTEST_TOKEN = 8
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True)
class Settings:
    """Times are in seconds, unless the name says minutes."""

    database_url: str = DEFAULT_URL
    listen_url: str = field(default="", repr=False)
    idle_seconds: float = 0.0
    port: int = 8080
    host: str = ANY_ADDRESS
    http_token: str = field(default="", repr=False)
    poll_seconds: float = 30.0
    heartbeat_seconds: float = 10.0
    lease_seconds: float = 30.0
    stall_seconds: float = 60.0
    drain_seconds: float = 20.0
    quarantine_failures: int = 5
    quarantine_minutes: float = 10.0
    exit_when_blocked: bool = False
    warn_cpu: float = 0.9
    warn_memory: float = 0.85
    warn_fds: float = 0.8
    warn_loop_lag: float = 0.25
    performance_trades: int = 20
    brake: BrakeLimits = field(default_factory=BrakeLimits)
    log_level: str = "INFO"

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ, *, default_host: str = ANY_ADDRESS
    ) -> "Settings":
        """Raise FatalError for a value that is not allowed, naming the variable, the value and what is."""
        lease = number(environment, "TRADINGBOT_LEASE_SECONDS", cls.lease_seconds, low=3)
        beat = min(cls.heartbeat_seconds, lease / 3)
        return cls(
            database_url=environment.get("DATABASE_URL") or DEFAULT_URL,
            listen_url=environment.get("DATABASE_LISTEN_URL", ""),
            idle_seconds=number(environment, "DATABASE_IDLE_SECONDS", cls.idle_seconds, low=0),
            port=int(number(environment, "PORT", cls.port, low=0, high=65535)),
            host=environment.get("HOST") or default_host,
            http_token=_token(environment),
            poll_seconds=number(environment, "TRADINGBOT_POLL_SECONDS", cls.poll_seconds, low=0.1),
            # A lease must outlast two heartbeats that fail.
            heartbeat_seconds=number(
                environment,
                "TRADINGBOT_HEARTBEAT_SECONDS",
                beat,
                low=0.1,
                high=lease / 3,
            ),
            lease_seconds=lease,
            stall_seconds=number(environment, "TRADINGBOT_STALL_SECONDS", cls.stall_seconds, low=45),
            drain_seconds=number(environment, "TRADINGBOT_DRAIN_SECONDS", cls.drain_seconds, low=0),
            quarantine_failures=int(
                number(environment, "TRADINGBOT_QUARANTINE_FAILURES", cls.quarantine_failures, low=1, high=1000)
            ),
            quarantine_minutes=number(
                environment, "TRADINGBOT_QUARANTINE_MINUTES", cls.quarantine_minutes, low=0.1, high=1440
            ),
            exit_when_blocked=_flag(environment, "TRADINGBOT_EXIT_WHEN_BLOCKED", default=cls.exit_when_blocked),
            **_watching(environment),
            brake=_brake(environment),
            log_level=_level(environment.get("LOG_LEVEL") or cls.log_level),
        )


def _watching(environment: Mapping[str, str]) -> dict[str, Any]:
    """When the process warns of what it uses, as shares of 1 and seconds, and how often it writes figures."""
    default = Settings
    return {
        "warn_cpu": number(environment, "TRADINGBOT_WARN_CPU", default.warn_cpu, low=0.01, high=100),
        "warn_memory": number(environment, "TRADINGBOT_WARN_MEMORY", default.warn_memory, low=0.01, high=1),
        "warn_fds": number(environment, "TRADINGBOT_WARN_FDS", default.warn_fds, low=0.01, high=1),
        "warn_loop_lag": number(environment, "TRADINGBOT_WARN_LOOP_LAG", default.warn_loop_lag, low=0.01, high=60),
        "performance_trades": int(
            number(environment, "TRADINGBOT_PERFORMANCE_TRADES", default.performance_trades, low=1, high=100_000)
        ),
    }


def _brake(environment: Mapping[str, str]) -> BrakeLimits:
    """The safety brake, as the chart's `safety` sets it for the operator."""

    def read(name: str, default: float, low: float, high: float) -> float:
        return number(environment, f"TRADINGBOT_SAFETY_{name}", default, low=low, high=high)

    default = BrakeLimits()
    return BrakeLimits(
        max_shrink_percent=read("MAX_SHRINK_PERCENT", default.max_shrink_percent, 0, 100),
        min_bots=int(read("MIN_BOTS", default.min_bots, 1, 1_000_000)),
        confirm_seconds=read("CONFIRM_SECONDS", default.confirm_seconds, 0, 86_400),
        ask_above_percent=read("ASK_ABOVE_PERCENT", default.ask_above_percent, 0, 100),
        window_seconds=read("WINDOW_SECONDS", default.window_seconds, 0, 86_400),
    )


def number(environment: Mapping[str, str], name: str, default: float, *, low: float, high: float = 86_400) -> float:
    """A variable's value. Raise FatalError for one that is no number, or outside, naming all three."""
    text = environment.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise FatalError(f"{name} is {text!r}; allowed: a number from {low:g} to {high:g}")
    return value


def _token(environment: Mapping[str, str]) -> str:
    """The token of `/status` and `/metrics`, masked in every log line from now on; empty where none is set."""
    name, file = "TRADINGBOT_HTTP_TOKEN", environment.get("TRADINGBOT_HTTP_TOKEN_FILE")
    token = environment.get(name, "").strip()
    if file and token:
        raise FatalError(f"both {name} and {name}_FILE are set; allowed: one of them")
    if file:
        name = f"{name}_FILE"
        try:
            token = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as error:
            raise FatalError(f"{name}: {file} can't be read ({getattr(error, 'strerror', 'no text')})") from error
    if (file or token) and (len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
        raise FatalError(f"{name} holds no token; allowed: {_SHORTEST_TOKEN} or more printable ASCII characters")
    hide(token)
    return token


def _flag(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environment.get(name)
    if not text:
        return default
    if text.lower() not in {"true", "false"}:
        raise FatalError(f"{name} is {text!r}; allowed: true, false")
    return text.lower() == "true"


def _level(name: str) -> str:
    if name.upper() not in LEVELS:
        raise FatalError(f"LOG_LEVEL is {name!r}; allowed: {', '.join(LEVELS)}")
    return name.upper()
