"""Names and labels by which an object is ours. Pure. An object without these labels is somebody else's."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MANAGER = "tradingbot-operator"
GROUP = "tradingbot.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
BOT_ID_LABEL = "tradingbot.dev/bot-id"
TEMPLATE_HASH = "tradingbot.dev/template-hash"
#: Of everything that was applied: equal means that whatever differs was changed by somebody else.
APPLIED_HASH = "tradingbot.dev/applied-hash"
#: On any held TradingBot: the code by which a person lets go what the safety brake holds.
CONFIRM_SHRINK = "tradingbot.dev/confirm-shrink"
PLACEMENT = "tradingbot.dev/placement"
#: On a Deployment: what the chart's part of its pod was built from.
REVISION = "tradingbot.dev/revision"
#: On a TradingBot, by a person: its failure on this revision shall not hold the roll-out up.
RESUME_ROLLOUT = "tradingbot.dev/resume-rollout"
NAME_LABEL = "app.kubernetes.io/name"
INSTANCE_LABEL = "app.kubernetes.io/instance"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"


def object_name(bot_id: int) -> str:
    """The name of a bot's TradingBot and of the Deployment that runs it."""
    return f"bot-{bot_id}"


def owner_labels(release: str) -> dict[str, str]:
    """What every object of this release carries, and what every list and watch selects."""
    return {MANAGED_BY_LABEL: MANAGER, INSTANCE_LABEL: release}


def bot_labels(release: str, bot_id: int) -> dict[str, str]:
    return {NAME_LABEL: "tradingbot", **owner_labels(release), BOT_ID_LABEL: str(bot_id)}


def is_ours(labels: Mapping[str, str], release: str) -> bool:
    return all(labels.get(key) == value for key, value in owner_labels(release).items())


def labelled_bot_id(labels: Mapping[str, Any]) -> int | None:
    """The bot that an object names, or None where its label holds no id."""
    text = str(labels.get(BOT_ID_LABEL, ""))
    return int(text) if text.isdecimal() else None


def named_bot_id(name: str) -> int | None:
    """The bot that a TradingBot or Deployment is named after, whatever its labels say."""
    prefix, _, number = name.partition("-")
    return int(number) if prefix == "bot" and number.isdecimal() else None


def selector(labels: Mapping[str, str]) -> str:
    """Labels as the API's query parameter."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


@dataclass(frozen=True, slots=True)
class Workload:
    """What one Deployment runs: a set of bots, today always of one."""

    name: str
    bot_ids: tuple[int, ...]

    @classmethod
    def of(cls, bot_ids: Iterable[int]) -> "Workload":
        ids = tuple(sorted(bot_ids))
        return cls(name=object_name(ids[0]), bot_ids=ids)
