"""What a check is and what it finds; runs many at once, each bounded in time. Knows none of them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from bot_core.logs import masked
from bot_core.models.config import BotConfig, ParsedConfig, parse_config
from bot_core.models.errors import DatabaseUnavailableError, first_line
from bot_core.models.fleet import BotFacts, FleetFacts
from bot_core.store.fleet import read_fleet
from bot_core.store.looking import LookingDatabase


class Outcome(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """`remedy` is a sentence that says what to do; empty where nothing is to be done.

    `unreachable` marks that the database itself did not answer.
    """

    outcome: Outcome
    found: str
    remedy: str = ""
    check: str = ""
    bot_id: int | None = None
    unreachable: bool = False

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("check", "outcome", "bot_id", "found", "remedy")}


def ok(found: str) -> Finding:
    return Finding(Outcome.OK, found)


def warning(found: str, remedy: str, bot_id: int | None = None) -> Finding:
    return Finding(Outcome.WARNING, found, remedy, bot_id=bot_id)


def failed(found: str, remedy: str, bot_id: int | None = None) -> Finding:
    return Finding(Outcome.FAILED, found, remedy, bot_id=bot_id)


def skipped(found: str) -> Finding:
    return Finding(Outcome.SKIPPED, found)


@dataclass(frozen=True, slots=True)
class Patient:
    """One bot with its document, as far as that could be read."""

    facts: BotFacts
    parsed: ParsedConfig

    @property
    def id(self) -> int:
        return self.facts.row.id

    @property
    def config(self) -> BotConfig | None:
        return self.parsed.config


class Case:
    """What checks look at. The tables are read once, by whoever asks first."""

    def __init__(
        self, database: LookingDatabase, environment: Mapping[str, str], *, bot_id: int | None = None, port: int = 8080
    ) -> None:
        self.database = database
        self.environment = environment
        self.bot_id = bot_id
        self.port = port
        self._reading: asyncio.Task[FleetFacts] | None = None

    async def fleet(self) -> FleetFacts:
        """Raises as `Database.read` does, to each who asks."""
        if self._reading is None:
            self._reading = asyncio.create_task(read_fleet(self.database))
        return await asyncio.shield(self._reading)

    async def patients(self) -> list[Patient]:
        """The bots that are looked at: all, or the one that was named."""
        facts = await self.fleet()
        chosen = [bot for bot in facts.bots if self.bot_id in {None, bot.row.id}]
        return [Patient(bot, parse_config(bot.row.config)) for bot in chosen]

    async def aclose(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)


Check = Callable[[Case], Awaitable[Sequence[Finding]]]


async def run_checks(case: Case, checks: Mapping[str, Check], seconds: float) -> list[Finding]:
    """All at once; the findings in the order of the checks. One that hangs or raises is a finding itself."""
    found = await asyncio.gather(*(_bounded(name, check, case, seconds) for name, check in checks.items()))
    return [finding for findings in found for finding in findings]


async def _bounded(name: str, check: Check, case: Case, seconds: float) -> list[Finding]:
    try:
        async with asyncio.timeout(seconds):
            findings = list(await check(case))
    except TimeoutError:
        findings = [failed(f"no result in {seconds:g} s", "Look at what this check waits for, or give --timeout.")]
    except DatabaseUnavailableError:
        findings = [skipped("the database does not answer, and this is in it")]
    except Exception as error:  # noqa: BLE001  # one check must not end the others
        findings = [failed(f"{type(error).__name__}: {first_line(error)}", "Report it if the message is no help.")]
    return [_named(name, finding) for finding in findings]


def _named(name: str, finding: Finding) -> Finding:
    return replace(finding, found=masked(finding.found), remedy=masked(finding.remedy), check=name)
