"""`python -m bot_operator`: read the settings, set the logs up, run. Exit 1 says that it could not go on."""

import asyncio
import os
import sys

import structlog

from bot_core.logs import configure_logging
from bot_core.models.errors import FatalError
from bot_operator.app import OperatorApp
from bot_operator.handlers.process import run_operator
from bot_operator.settings import OperatorSettings, database_url, load_settings

DEFAULT_PORT = 8080


async def run(settings: OperatorSettings, url: str, port: int) -> None:
    app = await OperatorApp.from_settings(settings, url, port)
    try:
        await run_operator(app)
    finally:
        await app.aclose()


def main() -> int:
    try:
        settings, url = load_settings(os.environ), database_url(os.environ)
        port = int(os.environ.get("PORT", DEFAULT_PORT))
        configure_logging(settings.log_level, json=True)
        asyncio.run(run(settings, url, port))
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
