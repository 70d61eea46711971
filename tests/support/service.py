"""`tradingbot serve` and `run` as real processes: started on a random port, ended by their process id."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from support.postgres import free_port
from support.waiting import wait_until


class Service:
    """One process. Its output goes to a file in `folder`."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        *arguments: str,
        port: int | None = None,
        module: str = "bot_runtime",
        **environment: str,
    ) -> None:
        self.port = port or free_port()
        self.log = folder / f"service-{self.port}-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments, "--port", str(self.port)],
                env=os.environ
                | {
                    "DATABASE_URL": database_url,
                    "LOG_FORMAT": "json",
                    "TRADINGBOT_POLL_SECONDS": "1",
                    "HOST": "127.0.0.1",
                }
                | environment,
                stdout=log,
                stderr=log,
                cwd=folder,
            )

    def get(self, path: str) -> tuple[int, Any]:
        """Status code and JSON body; (0, None) while nothing listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, _body(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _body(error.read())
        except OSError:
            return 0, None

    def bot(self, bot_id: int) -> dict[str, Any]:
        _, status = self.get("/status")
        return next((bot for bot in (status or {}).get("bots", []) if bot["id"] == bot_id), {})

    def wait_for_phase(self, bot_id: int, phase: str, timeout: float = 30) -> dict[str, Any]:
        return wait_until(
            lambda: (bot := self.bot(bot_id)) and bot["phase"] == phase and bot,
            timeout,
            f"phase {phase} of bot {bot_id}",
            tell=self.log.read_text,
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, how: signal.Signals = signal.SIGTERM, timeout: float = 30) -> int:
        """Ask it to end and return its exit code."""
        self.process.send_signal(how)
        return self.process.wait(timeout)

    def events(self) -> list[dict[str, Any]]:
        """The log so far, line by line."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()


def _body(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode()
