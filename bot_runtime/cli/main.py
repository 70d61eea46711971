"""`tradingbot`: parse the command line, run one command, turn its outcome into an exit code.

0 done, 1 failed, 2 usage, 3 the database does not answer a one-shot command.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from sqlalchemy.exc import DBAPIError

from bot_core.logs import configure_logging, masked
from bot_core.models.errors import DatabaseUnavailableError, TradingBotError, first_line
from bot_runtime.cli import backtest, bots, db, halt, limits, plugins, service, validate
from bot_runtime.cli.frame import TYPED, run_typed
from bot_runtime.plugins import install
from bot_runtime.system.event_loop import prefer_selector_loop

_DATABASE_UNREACHABLE = 3


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tradingbot",
        description="Run a fleet of trading bots whose only configuration is the rows of a table.",
        epilog="DATABASE_URL names the database; default: sqlite:///tradingbot.db",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('tradingbot-operator')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in (db, bots, halt, limits, validate, service, backtest, plugins):
        module.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    args = None if given[:1] and given[0] in TYPED else build_parser().parse_args(given)
    prefer_selector_loop()
    configure_logging("WARNING", json=False)  # a service configures its own
    try:
        install()
        return run_typed(given) if args is None else int(args.run(args))
    except DatabaseUnavailableError as error:
        print(f"tradingbot: the database does not answer: {masked(str(error))}", file=sys.stderr)
        return _DATABASE_UNREACHABLE
    except TradingBotError as error:
        print(f"tradingbot: {masked(str(error))}", file=sys.stderr)
        return 1
    except DBAPIError as error:
        print(f"tradingbot: the database refuses: {masked(first_line(error.orig or error))}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python must not complain of it again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
