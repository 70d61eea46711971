"""`tradingbot backtest`: config documents over files of bars. Touches no database and no network."""

import os
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from bot_runtime.cli.options import Documents

_SUFFIXES = (".html", ".png")


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise typer.BadParameter(f"{text!r} is no number") from error
    if not value.is_finite() or value < 0:
        raise typer.BadParameter(f"{text!r} is out of range; allowed: finite, 0 or more")
    return value


def _slippage(text: str) -> Decimal:
    value = _decimal(text)
    if value >= 10_000:  # noqa: PLR2004 - all of the price
        raise typer.BadParameter(f"{text!r} is out of range; allowed: below 10000")
    return value


def _plot(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in _SUFFIXES:
        raise typer.BadParameter(f"{text!r} is neither .html nor .png")
    return path


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"{text!r} is no number of processes; allowed: 1 or more")
    return int(text)


class _Command(TyperCommand):
    """`--bars` takes all the words that follow it, as shells write them for `--bars *.csv`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(_spread(args, "--bars")))


def _spread(words: Iterable[str], option: str) -> Iterator[str]:
    """The same words, with the option's name before each of its values."""
    values: int | None = None  # so far; None in what is no value of the option
    for word in words:
        if word.startswith("-"):
            values = 0 if word == option else None
        elif values is not None:
            if values:
                yield option
            values += 1
        yield word


def register(app: typer.Typer) -> None:
    app.command("backtest", cls=_Command, help="Run bots' documents over the bars of CSV files.")(backtest)


def backtest(
    paths: Documents,
    *,
    bars: Annotated[list[Path], typer.Option(metavar="FILE...", help="CSV or Parquet files of bars.")],
    bot: Annotated[int | None, typer.Option(metavar="N", help="Only this bot of files with several, from 0.")] = None,
    cash: Annotated[
        Decimal | None,
        typer.Option(parser=_decimal, metavar="MONEY", help="Opening cash; the document's broker.cash, or 10000."),
    ] = None,
    commission: Annotated[
        Decimal | None,
        typer.Option(parser=_decimal, metavar="FRACTION", help="The document's broker.commission, or 0.001."),
    ] = None,
    slippage_bps: Annotated[
        Decimal | None,
        typer.Option(
            parser=_slippage, metavar="POINTS", help="Basis points lost on each fill; default: the document's."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs; a list for several runs.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(parser=_plot, metavar="OUT", help=".html or .png; of several runs each gets OUT-DOCUMENT-BARS."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(parser=_jobs, metavar="N", help="Runs at once; default: one per CPU.")
    ] = None,
) -> int:
    """Return the exit code: 0 done, 1 if any run failed, with the reasons on standard error."""
    from bot_runtime.cli.backtest_batch import Order, run_batch  # noqa: PLC0415  # numpy, which help has no need of

    processes = jobs or os.cpu_count() or 1
    return run_batch(Order(paths, bars, bot, cash, commission, slippage_bps, json, plot, processes))
