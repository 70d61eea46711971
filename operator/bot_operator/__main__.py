"""`python -m bot_operator`: read the settings, set the logs up, run. Exit 1 says that it could not go on."""

import asyncio
import os
import signal
import sys

import structlog

from bot_core.logs import configure_logging
from bot_core.models.errors import FatalError
from bot_operator.app import OperatorApp
from bot_operator.election import LeadershipLostError
from bot_operator.handlers.process import watch_cluster
from bot_operator.settings import OperatorSettings, ProcessSettings, load_settings, process_settings

_log = structlog.get_logger(__name__)


async def run(settings: OperatorSettings, process: ProcessSettings) -> None:
    """Run until SIGTERM or SIGINT."""
    running = asyncio.create_task(_run(settings, process), name="operator")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, running, number)
    await asyncio.wait({running})
    if not running.cancelled():
        running.result()


def _stop(running: "asyncio.Task[None]", number: signal.Signals) -> None:
    _log.info("signalled", signal=number.name)
    running.cancel()


async def _run(settings: OperatorSettings, process: ProcessSettings) -> None:
    app = await OperatorApp.from_settings(settings, process)
    try:
        await app.run(watch_cluster)
    finally:
        await app.aclose()


def main() -> int:
    try:
        settings, process = load_settings(os.environ), process_settings(os.environ)
        configure_logging(settings.log_level, json=True)
        asyncio.run(run(settings, process))
    except LeadershipLostError as error:
        _log.error("leadership_lost", error=str(error), what="nothing more is written; this process ends")
        return 1
    except FatalError as error:
        configure_logging(json=True)
        structlog.get_logger(__name__).critical("operator_can_not_run", error=str(error), exc_info=error.__cause__)
        return 1
    except Exception:  # noqa: BLE001  # whatever it was: the supervisor starts a new process
        structlog.get_logger(__name__).critical("operator_ended", exc_info=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
