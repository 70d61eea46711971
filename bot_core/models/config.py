"""The config document of one bot, read into one frozen model.

`parse_config` finds every problem at once and never raises on bad input. It reads the document alone: no
file, no environment, no database.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bot_core.models.broker import BrokerConfig
from bot_core.models.feed import FeedConfig
from bot_core.models.notification import NotificationConfig
from bot_core.models.problem import Notice, Problem, looks_secret
from bot_core.models.strategy import StrategyConfig, parse_strategy

_Section = TypeVar("_Section", bound=BaseModel)
_SYMBOL = re.compile(r"[A-Z0-9]{1,20}")
#: Top-level keys that are known and not read here.
_OTHER_KEYS = frozenset(
    {
        "bot_id", "id", "name", "description", "version", "environment", "enabled", "user_id", "_comment",
        "trading", "risk_management", "logging", "scheduling", "performance", "testing", "trading_settings",
    }
)  # fmt: skip
_READ_KEYS = frozenset({"symbol", "broker", "data", "strategy", "notifications", "update_policy"})


class UpdatePolicy(StrEnum):
    """When a changed document is applied to a running bot."""

    NOW = "now"
    WHEN_FLAT = "when_flat"
    MANUAL = "manual"


class BotConfig(BaseModel):
    """A document that can run."""

    model_config = ConfigDict(frozen=True)

    symbol: str
    broker: BrokerConfig
    data: FeedConfig
    strategy: StrategyConfig
    notifications: NotificationConfig = NotificationConfig()
    update_policy: UpdatePolicy = UpdatePolicy.NOW


class ParsedConfig(BaseModel):
    """What reading a document gave: a config exactly when there is no problem."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    config: BotConfig | None
    problems: tuple[Problem, ...]
    notices: tuple[Notice, ...]

    @property
    def error(self) -> str:
        """All problems in one text, for `extra_metadata.last_error`; empty where there is none.

        Both sides write it in these very words, or each would overwrite the other's.
        """
        return "invalid configuration: " + "; ".join(map(str, self.problems)) if self.problems else ""


def parse_config(document: Any) -> ParsedConfig:
    """Read a config document; all problems are collected, each with its path, the value and what is allowed."""
    if not isinstance(document, Mapping):
        problem = Problem(path="config", value=document, message="is not a JSON object")
        return ParsedConfig(config=None, problems=(problem,), notices=())
    problems: list[Problem] = []
    notices = [Notice(path=key, message="is not known here; kept, not read") for key in _unknown_keys(document)]
    if not isinstance(document.get("enabled", True), bool):
        problems.append(Problem("enabled", document["enabled"], "is no truth value; allowed: true, false"))
    notices += [
        Notice(path, "looks like a secret; it is not read, and a row is no place for it") for path in _secrets(document)
    ]
    symbol = _symbol(document, problems)
    broker = _section(BrokerConfig, document, "broker", problems)
    data = _section(FeedConfig, document, "data", problems)
    notifications = _section(NotificationConfig, document, "notifications", problems, default={})
    policy = _update_policy(document, problems)
    strategy, found, told = parse_strategy(document["strategy"]) if "strategy" in document else (None, [], [])
    if "strategy" not in document:
        problems.append(Problem(path="strategy", value=None, message="is missing; it names an entry and an exit rule"))
    problems += found
    notices += told
    if problems or broker is None or data is None or strategy is None or notifications is None:
        return ParsedConfig(config=None, problems=tuple(problems), notices=tuple(notices))
    config = BotConfig(
        symbol=symbol, broker=broker, data=data, strategy=strategy, notifications=notifications, update_policy=policy
    )
    return ParsedConfig(config=config, problems=(), notices=tuple(notices))


def _secrets(document: Mapping[str, Any], path: str = "") -> list[str]:
    """The paths of values that look like credentials."""
    found = []
    for key, value in document.items():
        here = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping):
            found += _secrets(value, here)
        elif isinstance(value, str) and value and looks_secret(str(key)):
            found.append(here)
    return found


def _unknown_keys(document: Mapping[str, Any]) -> list[str]:
    return sorted(str(key) for key in document if key not in _OTHER_KEYS | _READ_KEYS)


def _symbol(document: Mapping[str, Any], problems: list[Problem]) -> str:
    value = document.get("symbol")
    text = re.sub(r"[/.\-]", "", value).upper() if isinstance(value, str) else ""
    if _SYMBOL.fullmatch(text):
        return text
    message = "is missing" if value is None else "is no symbol; allowed: 1 to 20 letters and digits, such as BTCUSDT"
    problems.append(Problem(path="symbol", value=value, message=message))
    return ""


def _update_policy(document: Mapping[str, Any], problems: list[Problem]) -> UpdatePolicy:
    value = document.get("update_policy", UpdatePolicy.NOW)
    if value not in list(UpdatePolicy):
        allowed = ", ".join(UpdatePolicy)
        problems.append(Problem(path="update_policy", value=value, message=f"is no update policy; allowed: {allowed}"))
        return UpdatePolicy.NOW
    return UpdatePolicy(value)


def _section(
    model: type[_Section], document: Mapping[str, Any], key: str, problems: list[Problem], default: Any = None
) -> _Section | None:
    value = document.get(key, default)
    if value is None:
        problems.append(Problem(path=key, value=None, message="is missing; it must be a JSON object"))
        return None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        for item in error.errors():
            path = ".".join([key, *(str(part) for part in item["loc"])])
            missing = item["type"] == "missing"
            message = "is missing" if missing else item["msg"].removeprefix("Value error, ")
            problems.append(Problem(path=path, value=None if missing else item["input"], message=message))
        return None
