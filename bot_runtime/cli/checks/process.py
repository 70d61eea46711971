"""The program itself: versions, and the environment that it is told by. Reads no value into a finding."""

import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from bot_core.models.errors import FatalError
from bot_runtime.cli.checks.base import Case, Finding, failed, ok, warning
from bot_runtime.settings import Settings

_OLDEST = (3, 11)
_PREFIX = "TRADINGBOT_"
_LONG = 10  # shorter names are near to each other by chance
_PLAIN = ("DATABASE_URL", "LOG_LEVEL", "LOG_FORMAT", "TRADING_NOTIFY_EMAIL", "TRADING_NOTIFY_TELEGRAM_CHAT_ID")
_NAME = re.compile(rf"\b{_PREFIX}[A-Z][A-Z0-9_]*[A-Z0-9]\b")


async def check_versions(_: Case) -> Sequence[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    found = f"tradingbot-operator {version('tradingbot-operator')}, Python {python}, {sys.platform}"
    if sys.version_info < _OLDEST:
        return [failed(found, "Install Python 3.11 or later.")]
    return [ok(found)]


async def check_environment(case: Case) -> Sequence[Finding]:
    findings = [_misspelt(name) for name in sorted(misspelt(case.environment))]
    try:
        Settings.from_environment(case.environment)
    except FatalError as error:
        findings.append(failed(str(error), "Set the variable to what is allowed, or unset it."))
    given = [name for name in case.environment if name in known_variables()]
    return findings or [ok(f"{len(given)} variables are set, each of them is known")]


def _misspelt(name: str) -> Finding:
    near = difflib.get_close_matches(name, sorted(known_variables()), n=1, cutoff=0.6)
    remedy = f"Did you mean {near[0]}?" if near else "Take it away: nothing reads it."
    return warning(f"{name} is no variable that anything here reads", remedy)


def misspelt(environment: Mapping[str, str]) -> list[str]:
    """Names of ours that nobody reads, and names so near to one of ours that they must be meant for it."""
    known = known_variables()
    ours = [name for name in environment if name.startswith(_PREFIX) and name not in known]
    near = [name for name in environment if name not in known and len(name) >= _LONG and name not in ours]
    return ours + [name for name in near if difflib.get_close_matches(name, known, n=1, cutoff=0.9)]


@cache
def known_variables() -> frozenset[str]:
    """Every name that the installed program mentions: read from its own source, so that no list falls behind."""
    package = Path(__file__).resolve().parents[2]
    texts = [path.read_text(encoding="utf-8") for path in package.rglob("*.py")]
    return frozenset(_PLAIN).union(*(_NAME.findall(text) for text in texts))
