"""The machine's clock: whether something keeps it right. What venues say of it is found with the venues."""

import asyncio
import shutil
from collections.abc import Sequence

from bot_runtime.cli.checks.base import Case, Finding, ok, skipped, warning

_REMEDY = "Turn on time synchronisation (systemd-timesyncd, chrony): venues refuse orders that are late by their clock."


async def check_clock(_: Case) -> Sequence[Finding]:
    program = shutil.which("timedatectl")
    if program is None:
        return [skipped("timedatectl is not here to say whether the clock is kept by NTP")]
    process = await asyncio.create_subprocess_exec(
        program, "show", "--property=NTPSynchronized", "--value",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        said = (await process.communicate())[0].decode().strip()
    except asyncio.CancelledError:
        process.kill()
        raise
    return [judged(said)]


def judged(said: str) -> Finding:
    """What `NTPSynchronized` says."""
    if said == "yes":
        return ok("the machine's clock is synchronised by NTP")
    if said == "no":
        return warning("the machine's clock is not synchronised by NTP", _REMEDY)
    return skipped("timedatectl does not say whether the clock is synchronised")
