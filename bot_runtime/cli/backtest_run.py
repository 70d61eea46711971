"""One run of `tradingbot backtest`, from file names to an outcome. Runs in this process or in one of a pool."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from bot_core.models.config import ParsedConfig, parse_normalised
from bot_core.models.errors import InvalidBotError, TradingBotError
from bot_core.models.shapes.normalise import normalise
from bot_runtime.cli.backtest_report import figures, trade_table
from bot_runtime.cli.documents import read_bots
from bot_runtime.cli.progress import Advance
from bot_runtime.engine.backtest import BacktestResult
from bot_runtime.engine.document_backtest import backtest_document
from bot_runtime.engine.performance import Summary
from bot_runtime.feeds.csv_bars import CsvBars
from bot_runtime.feeds.intervals import interval_seconds
from bot_runtime.feeds.parquet_bars import read_bars
from bot_runtime.plots.chart import Chart
from bot_runtime.plots.html import render_html
from bot_runtime.plots.png import render_png


class Form(StrEnum):
    """What a run is asked to tell besides its summary."""

    TRADES = "trades"
    JSON = "json"
    JSON_LINE = "json line"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Job:
    """What to run; None leaves the value to the document."""

    path: Path
    bars: Path
    form: Form
    bot: int = 0
    cash: Decimal | None = None
    commission: Decimal | None = None
    slippage_bps: Decimal | None = None
    plot: Path | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Small, since it may come from another process: the text is made there. Either `summary` or `error` is there."""

    job: Job
    title: str = ""
    notices: tuple[str, ...] = ()
    summary: Summary | None = None
    text: str = ""
    error: str = ""


def run_job(job: Job, progress: Advance | None = None) -> Outcome:
    """Run, plot and describe. Whatever goes wrong is in the outcome: it must not touch the other runs."""
    try:
        return _run(job, progress)
    except TradingBotError as error:
        return Outcome(job, error=str(error))
    except OSError as error:
        return Outcome(job, error=f"{error.filename or job.path}: {error.strerror or error}")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a rule may be anybody's code
        return Outcome(job, error=f"the run broke off: {type(error).__name__}: {error}")


def _run(job: Job, progress: Advance | None) -> Outcome:
    parsed = _rehearsed(_document(job.path, job.bot), job.bars)
    config = parsed.config
    if config is None:
        raise InvalidBotError("\n".join(str(problem) for problem in parsed.problems))
    data = config.data.model_dump(exclude_none=True)
    names = tuple((name, str(value)) for name, value in data.items() if name.endswith("_col"))
    bars = _read_bars(job.bars, interval_seconds(config.data.interval), names)
    result = backtest_document(
        config,
        bars,
        cash=job.cash,
        commission=job.commission,
        slippage_bps=job.slippage_bps,
        progress=None if progress is None else lambda done: progress(done, len(bars)),
    )
    title = f"{config.strategy.entry.name} + {config.strategy.exit.name}"
    summary = result.summary
    if job.plot is not None:
        _write_plot(job, job.plot, title, result, summary)
    return Outcome(
        job,
        title,
        tuple(str(notice) for notice in (*parsed.notices, *bars.notices)),
        summary,
        _text(job, result, summary),
    )


@lru_cache(maxsize=4)
def _read_bars(path: Path, seconds: int, names: tuple[tuple[str, str], ...]) -> CsvBars:
    """Many documents over the same bars read them once a process."""
    return read_bars(path, seconds, dict(names))


def _document(path: Path, bot: int) -> Any:
    bots = read_bots(path)
    if not 0 <= bot < len(bots):
        raise InvalidBotError(f"{path} has no bot {bot}; allowed: 0 to {len(bots) - 1}")
    return bots[bot][1]


def _rehearsed(document: Any, bars: Path) -> ParsedConfig:
    """Read the document as if it traded these bars on paper, whatever its own market is."""
    given = normalise(document)
    if given.document is None:
        return parse_normalised(given)
    own = {key: given.document.get(key) for key in ("broker", "data")}
    changed = {"symbol": "BACKTEST", **given.document}
    if own["broker"] is None or isinstance(own["broker"], Mapping):
        changed["broker"] = {"type": "paper", **(own["broker"] or {}), "trading_mode": "paper"}
    if own["data"] is None or isinstance(own["data"], Mapping):
        changed["data"] = {**(own["data"] or {}), "data_source": "file", "file_path": str(bars)}
    return parse_normalised(replace(given, document=changed))


def _write_plot(job: Job, plot: Path, title: str, result: BacktestResult, summary: Summary) -> None:
    chart = Chart(
        title=f"{title} · {job.path.stem} on {job.bars.stem}",
        figures=figures(summary),
        opening_cash=float(result.opening_cash),
        equity=result.equity,
        trades=result.trades,
        open_position=result.open_position,
    )
    if plot.suffix.lower() == ".png":
        plot.write_bytes(render_png(chart))
    else:
        plot.write_text(render_html(chart), encoding="utf-8")


def _text(job: Job, result: BacktestResult, summary: Summary) -> str:
    match job.form:
        case Form.JSON | Form.JSON_LINE:
            indent = 2 if job.form is Form.JSON else None
            return json.dumps({**result.to_json(), "summary": summary.to_json()}, allow_nan=False, indent=indent)
        case Form.TRADES:
            return trade_table(result)
        case Form.NOTHING:
            return ""
