"""What live bots need beside their row: names of variables that hold keys, and libraries. Never a value."""

from collections.abc import Sequence
from importlib.util import find_spec

from bot_core.models.bot import desired_state
from bot_core.models.broker import KEYED_BROKERS
from bot_core.models.config import BotConfig
from bot_core.models.errors import InvalidBotError
from bot_core.models.feed import EXCHANGES
from bot_runtime.brokers.credentials import find_credentials
from bot_runtime.cli.checks.base import Case, Finding, failed, ok

_ELSEWHERE = "Set them where the bot runs (and here, for this check): EnvironmentFile of the unit, Secret of the pod."
_INSTALL = "pip install 'tradingbot-operator[live]'."


async def check_credentials(case: Case) -> Sequence[Finding]:
    findings: list[Finding] = []
    live = [patient for patient in await case.patients() if patient.config and _needs_keys(patient.config)]
    for patient in live:
        config = patient.config
        if config is None or not desired_state(patient.facts.row).run:
            continue
        try:
            find_credentials(
                config.broker.type,
                config.credentials_secret,
                testnet=bool(config.broker.testnet),
                environment=case.environment,
            )
        except InvalidBotError as error:
            findings.append(failed(str(error), _ELSEWHERE, patient.id))
    return findings or [ok(f"{len(live)} live bots, each with its keys" if live else "no bot needs keys")]


def _needs_keys(config: BotConfig) -> bool:
    return config.broker.trading_mode == "live" and config.broker.type in KEYED_BROKERS


async def check_libraries(case: Case) -> Sequence[Finding]:
    findings = []
    needed = 0
    for patient in await case.patients():
        config = patient.config
        library = None if config is None or not desired_state(patient.facts.row).run else _library(config)
        needed += library is not None
        if library is not None and find_spec(library) is None:
            findings.append(failed(f"{library} is not installed, which this bot needs", _INSTALL, patient.id))
    return findings or [ok(f"{needed} bots need the extra `live`, which is here" if needed else "none needed")]


def _library(config: BotConfig) -> str | None:
    live_at = config.broker.type if config.broker.trading_mode == "live" else ""
    if "ibkr" in {config.data.data_source, live_at}:
        return "ib_async"
    exchanges = {*EXCHANGES, "websocket"}
    return "ccxt" if config.data.data_source in exchanges or live_at in exchanges else None
