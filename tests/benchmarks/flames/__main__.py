"""`python -m benchmarks.flames [NAME…]`: write docs/flame/NAME.svg. Samples of the processor, not of waiting."""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

from benchmarks.bot_process import bot_process, prepared
from benchmarks.context import Context, NotInstalledError
from benchmarks.documents import paper_bot
from benchmarks.flames.drawing import drawn, merged
from benchmarks.processes import answers, watched
from benchmarks.report import PROJECT
from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from support.bots import insert_bot
from support.postgres import free_port

FLAMES = PROJECT / "docs" / "flame"
_START_SECONDS, _LOOP_SECONDS = 3, 10
_RATE = 500


def py_spy() -> Path:
    """Raise NotInstalledError where there is none."""
    program = PROJECT / ".bench" / "flame" / "bin" / "py-spy"
    if not program.exists():
        raise NotInstalledError("py-spy is not installed: `make flame` does it")
    return program


def recorded(context: Context, seconds: int, *what: str | Path, environment: dict[str, str] | None = None) -> list[str]:
    """Return the stacks of a process (`--pid N`), or of a command that ends when the time is over."""
    raw = context.folder / "stacks"
    command = [py_spy(), "record", "--format", "raw", "--function", "--rate", str(_RATE), "--output", raw]
    done = subprocess.run(
        [*command, "--duration", str(seconds), *what], env=environment, capture_output=True, text=True, check=False
    )
    assert raw.exists(), f"py-spy failed: {done.stdout}{done.stderr}"
    return raw.read_text().splitlines()


def pod_start(context: Context) -> str:
    """`tradingbot run 1`, from the process until 500 bars are taken in and it is ready."""
    url = prepared(context)
    environment = {"DATABASE_URL": url, "PORT": str(free_port()), "HOST": "127.0.0.1", "PATH": os.environ["PATH"]}
    command = ("--", context.bot_python, "-m", "bot_runtime", "run", "1")
    stacks = recorded(context, context.size(_START_SECONDS, 2), *command, environment=environment)
    return drawn(merged(stacks, "process"), "Start of a pod's process until it is ready, and its first idle moments")


def bar_live(context: Context) -> str:
    """Bars as fast as they are taken, by way of feed, engine, journal and PostgreSQL."""
    url = context.postgres.url(context.postgres.create_database())
    upgrade(url)
    asyncio.run(_insert(url))
    with bot_process(context.bot_python, url, context.folder / "bar-live") as (process, port):
        process.until(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
        stacks = recorded(context, context.size(_LOOP_SECONDS, 1), "--pid", str(process.process.pid))
    return drawn(merged(stacks, "process"), "Bars of a live paper bot, one after the other, on PostgreSQL")


async def _insert(url: str) -> None:
    async with aclosing(Database(url)) as database:
        await insert_bot(database, paper_bot(speed=0))


def reconcile(context: Context) -> str:
    """A changed row becomes a changed Deployment; the API server is one in memory."""
    url = context.postgres.url(context.postgres.create_database())
    upgrade(url)
    home = context.folder / "reconcile"
    environment = {"PYTHONPATH": os.pathsep.join((str(PROJECT / "tests"), str(PROJECT / "operator"), str(PROJECT)))}
    command = [sys.executable, "-m", "benchmarks.flames.reconciles", url]
    with watched(command, environment, home / "log") as process:
        process.until((home / "ready").exists)
        stacks = recorded(context, context.size(_LOOP_SECONDS, 1), "--pid", str(process.process.pid))
    return drawn(merged(stacks, "reconcile", under="Reconciler.reconcile"), "One reconcile of a bot whose row changed")


ALL: dict[str, Callable[[Context], str]] = {"pod-start": pod_start, "bar-live": bar_live, "reconcile": reconcile}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make flame", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*ALL, []], help=", ".join(ALL))
    FLAMES.mkdir(exist_ok=True)
    for name in parser.parse_args().names or ALL:
        with tempfile.TemporaryDirectory(prefix="tradingbot-flame-") as folder, Context(Path(folder)) as context:
            path = FLAMES / f"{name}.svg"
            path.write_text(ALL[name](context))
            print(f"{path.relative_to(PROJECT)}: {path.stat().st_size // 1024} kB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
