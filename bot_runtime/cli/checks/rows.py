"""The bots as their rows say: documents, failures, heartbeats, leases, orders, halts, stops. It only reads."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from bot_core.models.bot import BotStatus, desired_state
from bot_core.store.leases import is_dead
from bot_runtime.cli.checks.base import Case, Finding, Patient, failed, ok, warning

_SILENT_SECONDS = 45.0
_SHOWN_PROBLEMS = 3


async def check_documents(case: Case) -> Sequence[Finding]:
    patients = await case.patients()
    if case.bot_id is not None and not patients:
        return [failed(f"no bot has the id {case.bot_id}", "`tradingbot bots list` shows the ids.", case.bot_id)]
    findings = [_document(patient) for patient in patients if patient.parsed.error or patient.facts.row.unreadable]
    return findings or [ok(f"{_count(len(patients), 'document')}, each of them valid")]


def _document(patient: Patient) -> Finding:
    row, problems = patient.facts.row, patient.parsed.problems
    told = "; ".join(map(str, problems[:_SHOWN_PROBLEMS]))
    more = f"; and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
    found = row.unreadable or f"{row.name}: {told}{more}"
    remedy = f"Repair the document in the row; `tradingbot bots validate {row.id}` checks it."
    stands = not desired_state(row).run
    return warning(found, remedy, row.id) if stands else failed(found, remedy, row.id)


async def check_bots(case: Case) -> Sequence[Finding]:
    """Status, heartbeat and lease, bot by bot."""
    facts = await case.fleet()
    patients = await case.patients()
    findings = []
    for patient in patients:
        age = _age(patient, facts.at)
        findings += [finding for finding in (_status(patient, age), _lease(patient, facts.at)) if finding]
    running = sum(patient.facts.row.status == BotStatus.RUNNING for patient in patients)
    return findings or [ok(f"{_count(len(patients), 'bot')}, {running} running, heartbeats are fresh")]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _age(patient: Patient, now: datetime) -> float | None:
    beat = patient.facts.row.last_heartbeat
    return None if beat is None else (now - beat).total_seconds()


def _status(patient: Patient, age: float | None) -> Finding | None:
    row = patient.facts.row
    error = str(row.extra_metadata.get("last_error") or "no reason is given")
    if row.quarantined:
        remedy = f"Mend the cause, then `tradingbot bots start {row.id}`."
        return failed(f"{row.name} is in quarantine: {error}", remedy, row.id)
    if patient.config is None or not desired_state(row).run:
        return None  # the one is told with the documents, the other is as it was asked for
    if row.status == BotStatus.ERROR:
        return failed(f"{row.name} is in error: {error}", "It tries again by itself once the cause is mended.", row.id)
    return _heartbeat(patient, age)


def _heartbeat(patient: Patient, age: float | None) -> Finding | None:
    row = patient.facts.row
    if row.status not in {BotStatus.RUNNING, BotStatus.STARTING} or age is None:
        return warning(f"{row.name} asks to run, and no process runs it", "Start `tradingbot serve`.", row.id)
    if age <= _SILENT_SECONDS:
        return None
    remedy = "Start the process that runs it (`tradingbot serve`, its pod), or look into its log."
    return failed(f"{row.name} is {row.status}, but its last heartbeat is {age:.0f} s old", remedy, row.id)


def _lease(patient: Patient, now: datetime) -> Finding | None:
    holder, until = patient.facts.holder, patient.facts.lease_until
    if holder is None or until is None or until <= now or not is_dead(holder):
        return None
    found = f"the lease is held by a process of this machine that is dead, until {until:%H:%M:%S} UTC"
    return warning(found, "Nothing: the next process takes it over.", patient.id)


async def check_orders(case: Case) -> Sequence[Finding]:
    findings = [
        failed(
            f"{patient.facts.unknown_orders} order(s) whose outcome is unknown",
            "Let the bot run: it asks the venue for them before anything else. If it can't, look them up there.",
            patient.id,
        )
        for patient in await case.patients()
        if patient.facts.unknown_orders
    ]
    return findings or [ok("no order's outcome is unknown")]


async def check_halts(case: Case) -> Sequence[Finding]:
    facts = await case.fleet()
    users = {patient.id: patient.facts.row.user_id for patient in await case.patients()}
    standing = [
        halt
        for halt in facts.halts
        if case.bot_id is None or any(halt.concerns(bot_id, user_id) for bot_id, user_id in users.items())
    ]
    resume = {"all": "--all", "user": "--user", "bot": "--bot"}
    findings = [
        warning(str(halt), f"`tradingbot resume {resume[halt.scope]}{f' {halt.target_id}' if halt.target_id else ''}`.")
        for halt in standing
    ]
    return findings or [ok("no halt stands")]


async def check_stops(case: Case) -> Sequence[Finding]:
    """Live positions without a stop at the venue are watched by the bot alone."""
    findings = []
    for patient in await case.patients():
        config, facts = patient.config, patient.facts
        if facts.position is None or config is None or config.broker.trading_mode != "live" or facts.resting_stops:
            continue
        found = (
            f"{facts.row.name} holds {facts.position.symbol} without a stop at the venue: its process alone watches it"
        )
        remedy = "Set risk_management.stop_loss_pct, which rests at venues that keep stops; keep the process running."
        findings.append(warning(found, remedy, patient.id))
    return findings or [ok("no live position is without a stop at the venue")]


async def check_files(case: Case) -> Sequence[Finding]:
    """Bars of the past that documents read."""
    folder = Path(case.environment.get("TRADINGBOT_DATA_DIR", ""))
    findings, count = [], 0
    for patient in await case.patients():
        config = patient.config
        if config is None or config.data.data_source != "file" or not desired_state(patient.facts.row).run:
            continue
        count += 1
        path = folder / (config.data.file_path or "")
        if not path.is_file():
            remedy = "Put it there, or say in TRADINGBOT_DATA_DIR where relative paths begin."
            findings.append(failed(f"data.file_path: {path} is not there", remedy, patient.id))
    return findings or [ok(f"{count} files of bars are there" if count else "no bot reads bars from a file")]
