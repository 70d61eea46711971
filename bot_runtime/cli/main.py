"""`tradingbot`: run one command, turn its outcome into an exit code and a sentence.

0 done, 1 failed, 2 usage, 3 the database does not answer a one-shot command. It must not import typer or rich: `run`,
which is all that a pod needs, does without them.
"""

import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from sqlalchemy.exc import DBAPIError

from bot_core.logs import masked
from bot_core.models.errors import DatabaseUnavailableError, TradingBotError, first_line
from bot_runtime.cli.version import version_line
from bot_runtime.system.event_loop import prefer_selector_loop

_DONE, _FAILED, _USAGE, _DATABASE_UNREACHABLE, _INTERRUPTED = 0, 1, 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code. What went wrong is told on standard error, as a sentence."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    prefer_selector_loop()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what can't be written there, such as a file's odd name, is escaped
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _ended_by(lambda: _command(given), in_service=given[:1] in (["run"], ["serve"]))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python must not complain of it again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    return code


def _command(given: Sequence[str]) -> int:
    if given[:1] == ["run"]:
        from bot_runtime.cli import run  # noqa: PLC0415 - the only command that imports all of a bot and nothing else

        return run.main(given[1:])
    if list(given) == ["--version"]:
        print(version_line())
        return _DONE
    if find_spec("typer") is None or find_spec("rich") is None:
        named = f"`tradingbot {given[0]}`" if given else "`tradingbot`"
        print(
            f"{named} is in the extra `cli`, which is not installed: pip install 'tradingbot-operator[cli]'; "
            "without it there is `tradingbot run ID...`",
            file=sys.stderr,
        )
        return _USAGE
    from bot_runtime.cli.frame import run_typed  # noqa: PLC0415 - an extra

    return run_typed(given)


def _ended_by(command: Callable[[], int], *, in_service: bool) -> int:
    try:
        return command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else _DONE if end.code is None else _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - people read sentences; who looks for a fault asks for the rest
        # The log of a service must say where it broke off: nobody can ask it again.
        unforeseen = in_service and not isinstance(error, (TradingBotError, OSError))
        if unforeseen or os.environ.get("LOG_LEVEL", "").upper() == "DEBUG":
            print(masked(traceback.format_exc()), file=sys.stderr)
        print(f"tradingbot: {masked(_sentence(error))}", file=sys.stderr)
        return _DATABASE_UNREACHABLE if isinstance(error, DatabaseUnavailableError) else _FAILED


def _sentence(error: Exception) -> str:
    match error:
        case DatabaseUnavailableError():
            return f"the database does not answer: {error}"
        case TradingBotError():
            return str(error)
        case DBAPIError():
            return f"the database refuses: {first_line(error.orig or error)}"
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return f"{where}{error.strerror or first_line(error)}"
        case _:
            told = f"{type(error).__name__}: {first_line(error)}"
            return f"that is a fault of this program: {told}; LOG_LEVEL=DEBUG shows where it happened"


if __name__ == "__main__":
    sys.exit(main())
