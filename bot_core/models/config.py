"""The config document of one bot, of any shape, read into one frozen model.

`parse_config` finds every problem at once and never raises on bad input. It reads the document alone: no
file, no environment, no database.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict

from bot_core.models.broker import KEYED_BROKERS, BrokerConfig
from bot_core.models.feed import FeedConfig
from bot_core.models.kubernetes import KubernetesConfig, kubernetes_notices
from bot_core.models.notification import NotificationConfig
from bot_core.models.operation import (
    SECRET_NAME,
    LoggingConfig,
    OnStop,
    Resources,
    SchedulingConfig,
    UpdatePolicy,
    logging_notices,
)
from bot_core.models.problem import Notice, Problem
from bot_core.models.risk import RiskConfig, TradingConfig
from bot_core.models.risk_notices import risk_notices
from bot_core.models.section import Section, parse_section, unknown_keys
from bot_core.models.shapes.normalise import Normalised, normalise
from bot_core.models.shapes.recognise import Shape
from bot_core.models.strategy import StrategyConfig, parse_strategy
from bot_core.models.values import FLAG, one_of, optional, text, whole

__all__ = ["BotConfig", "OnStop", "ParsedConfig", "UpdatePolicy", "parse_config"]

_REQUIRED = {
    "symbol": "1 to 20 letters and digits, such as BTCUSDT",
    "broker": "a JSON object with type and trading_mode",
    "data": "a JSON object with data_source",
    "strategy": "a JSON object that names an entry and an exit rule",
}
_SECTIONS: dict[str, type[Section]] = {
    "broker": BrokerConfig,
    "data": FeedConfig,
    "trading": TradingConfig,
    "risk_management": RiskConfig,
    "notifications": NotificationConfig,
    "logging": LoggingConfig,
    "scheduling": SchedulingConfig,
    "resources": Resources,
    "kubernetes": KubernetesConfig,
}
#: Top-level keys that other programs know and nothing here reads.
_INERT = frozenset(
    {"id", "version", "environment", "performance", "testing", "trading_settings", "notification_service_url",
     "_comment", "_warning", "name", "description"}
)  # fmt: skip


#: Sources of bars of the past, or of bars that are made up.
_NOT_LIVE = ("file", "generated")


class _TopLevel(Section):
    """The keys of the document that are no sections."""

    symbol: Annotated[str, text(20, pattern=r"[A-Z0-9]{1,20}", allowed=_REQUIRED["symbol"])]
    bot_id: Annotated[str | None, optional(text(100))] = None
    enabled: Annotated[bool, FLAG] = True
    user_id: Annotated[int | None, optional(whole(1, 2**31 - 1))] = None
    update_policy: Annotated[UpdatePolicy, one_of([*UpdatePolicy], "update policy")] = UpdatePolicy.NOW
    on_stop: Annotated[OnStop, one_of([*OnStop], "way to stop")] = OnStop.CANCEL
    credentials_secret: Annotated[str | None, SECRET_NAME] = None


class BotConfig(BaseModel):
    """A valid document. `bot_id` None means the row's id, `user_id` None the row's user; the row knows its name."""

    model_config = ConfigDict(frozen=True)

    symbol: str
    bot_id: str | None = None
    enabled: bool = True
    user_id: int | None = None
    broker: BrokerConfig
    data: FeedConfig
    strategy: StrategyConfig
    trading: TradingConfig = TradingConfig()
    risk_management: RiskConfig = RiskConfig()
    notifications: NotificationConfig = NotificationConfig()
    logging: LoggingConfig = LoggingConfig()
    scheduling: SchedulingConfig = SchedulingConfig()
    resources: Resources = Resources()
    kubernetes: KubernetesConfig = KubernetesConfig()
    credentials_secret: str | None = None
    update_policy: UpdatePolicy = UpdatePolicy.NOW
    on_stop: OnStop = OnStop.CANCEL


class ParsedConfig(BaseModel):
    """What reading a document gave; `config` is there exactly when the document has no problems."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    config: BotConfig | None
    problems: tuple[Problem, ...]
    notices: tuple[Notice, ...] = ()
    shape: Shape | None = None
    canonical: Mapping[str, Any] | None = None

    @property
    def is_bot(self) -> bool:
        """False where the document is none of a bot: a part file, settings, a list, nothing."""
        return self.canonical is not None

    @property
    def error(self) -> str:
        """Why it does not run, in one text, for `extra_metadata.last_error`; empty where it may run.

        Both sides write it in these very words, or each would overwrite the other's.
        """
        return "invalid configuration: " + "; ".join(map(str, self.problems)) if self.problems else ""


def parse_config(document: Any) -> ParsedConfig:
    """Read a document of any shape; all problems are collected, each with its path, the value and what is allowed."""
    return parse_normalised(normalise(document))


def parse_normalised(given: Normalised) -> ParsedConfig:
    """Judge a document that was normalised before; paths are those of the original."""
    if given.document is None:
        return ParsedConfig(config=None, problems=given.problems)
    problems: list[Problem] = []
    notices: list[Notice] = []
    parts = _parts(given.document, problems, notices)
    _judge_live(given.document, problems)
    problems = [*given.problems, *map(given.at_origin, problems)]
    return ParsedConfig(
        config=None if problems else BotConfig(**parts),
        problems=tuple(problems),
        notices=(*given.notices, *map(given.noted_at_origin, notices)),
        shape=given.shape,
        canonical=given.document,
    )


def _parts(document: Mapping[str, Any], problems: list[Problem], notices: list[Notice]) -> dict[str, Any]:
    """The fields of a BotConfig that could be read."""
    missing = [key for key in _REQUIRED if document.get(key) is None]
    problems += [Problem(key, None, f"is missing; allowed: {_REQUIRED[key]}") for key in missing]
    notices += unknown_keys(
        [key for key in document if key not in _INERT], [*_SECTIONS, *_TopLevel.model_fields, "strategy"]
    )
    parts = _top_level(document, problems)
    for key, model in _SECTIONS.items():
        if document.get(key) is not None:
            parts[key] = parse_section(model, document[key], key, problems, notices)
    notices += risk_notices(parts)
    notices += logging_notices(document.get("logging"))
    notices += kubernetes_notices(document.get("kubernetes"))
    if "strategy" not in missing:
        parts["strategy"], found, told = parse_strategy(document["strategy"])
        problems += found
        notices += told
    return parts


def _top_level(document: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    given = {key: document[key] for key in _TopLevel.model_fields if document.get(key) is not None}
    found: list[Problem] = []
    top = parse_section(_TopLevel, {"symbol": "MISSING"} | given, "", found, [])
    problems += [Problem(problem.path.removeprefix("."), problem.value, problem.message) for problem in found]
    return {} if top is None else top.model_dump()


def _judge_live(document: Mapping[str, Any], problems: list[Problem]) -> None:
    """Real money needs the owner's word and a reference to credentials, both in the document."""
    broker = document.get("broker")
    if not isinstance(broker, Mapping) or broker.get("trading_mode") != "live":
        return
    said = broker.get("live_trading_confirmed")
    if said is not True:
        message = "does not confirm live trading; allowed with trading_mode live: true"
        problems.append(Problem("broker.live_trading_confirmed", said, message))
    if _word(document, "broker", "type") in KEYED_BROKERS and document.get("credentials_secret") is None:
        message = (
            "is missing; live trading needs a name for its keys: add one such as bot-keys, which stands for the "
            "environment variables BOT_KEYS_API_KEY and BOT_KEYS_API_SECRET, on Kubernetes for the Secret of that name"
        )
        problems.append(Problem("credentials_secret", None, message))
    source = _word(document, "data", "data_source").lower()
    if source in _NOT_LIVE:
        message = "gives no live data, and orders of live trading must never follow bars of the past; allowed: "
        problems.append(Problem("data.data_source", source, f"{message}a live source, such as binance"))


def _word(document: Mapping[str, Any], section: str, key: str) -> str:
    values = document.get(section)
    value = values.get(key) if isinstance(values, Mapping) else None
    return value if isinstance(value, str) else ""
