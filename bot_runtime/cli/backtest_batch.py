"""The runs of one `tradingbot backtest`: each document over each file of bars, here or in processes of their own."""

import multiprocessing
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count, product
from json import dumps
from pathlib import Path

from bot_core.logs import configure_logging
from bot_core.models.errors import TradingBotError
from bot_runtime.cli.backtest_report import RUN_HEADS, columns, figure_lines, run_cells
from bot_runtime.cli.backtest_run import Form, Job, Outcome, run_job
from bot_runtime.cli.documents import json_files, read_bots
from bot_runtime.cli.progress import progress_bar
from bot_runtime.plots.png import require_png
from bot_runtime.plugins import install


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for."""

    paths: Sequence[Path]
    bars: Sequence[Path]
    bot: int | None
    cash: Decimal | None
    commission: Decimal | None
    slippage_bps: Decimal | None
    as_json: bool
    plot: Path | None
    processes: int

    @property
    def several(self) -> bool:
        """What a program gets must follow from what it asked for, not from how many files a folder holds."""
        return len(self.paths) > 1 or len(self.bars) > 1 or self.paths[0].is_dir()


def run_batch(order: Order) -> int:
    jobs = _jobs_of(order)
    outcomes = _run_all(jobs, order.processes)
    for outcome in outcomes:
        _print_remarks(outcome, name=order.several)
    if order.several:
        print(_json_list(outcomes) if order.as_json else _run_table(outcomes))
    elif outcomes[0].summary is not None:
        print(outcomes[0].text if order.as_json else _single(outcomes[0]))
    return 1 if any(outcome.summary is None for outcome in outcomes) else 0


def _jobs_of(order: Order) -> list[Job]:
    documents = [
        (path, bot) for path in json_files(order.paths) for bot in _bots_of(path, order.bot, several=order.several)
    ]
    if not documents:
        raise TradingBotError(f"no *.json file in {', '.join(map(str, order.paths))}")
    if order.plot is not None and order.plot.suffix.lower() == ".png":
        require_png()
    form = _form(as_json=order.as_json, several=order.several)
    jobs = [
        Job(path, bars, form, bot, order.cash, order.commission, order.slippage_bps, order.plot)
        for (path, bot), bars in product(documents, order.bars)
    ]
    return _with_own_plots(jobs, order.plot) if order.several and order.plot is not None else jobs


def _bots_of(path: Path, wanted: int | None, *, several: bool) -> list[int]:
    """Which bots of a file to run: the one asked for, or all. What can't be read fails in its own run."""
    if wanted is not None:
        return [wanted]
    try:
        count_of_bots = len(read_bots(path))
    except TradingBotError:
        return [0]
    if count_of_bots > 1 and not several:
        raise TradingBotError(f"{path} holds {count_of_bots} bots; allowed: --bot 0 to --bot {count_of_bots - 1}")
    return list(range(count_of_bots))


def _form(*, as_json: bool, several: bool) -> Form:
    if several:
        return Form.JSON_LINE if as_json else Form.NOTHING
    return Form.JSON if as_json else Form.TRADES


def _with_own_plots(jobs: Sequence[Job], plot: Path) -> list[Job]:
    taken: set[Path] = set()
    own = []
    for job in jobs:
        stem = f"{plot.stem}-{job.path.stem}-{job.bars.stem}"
        names = (plot.with_name(f"{stem}{'' if number == 1 else f'-{number}'}{plot.suffix}") for number in count(1))
        name = next(name for name in names if name not in taken)
        taken.add(name)
        own.append(replace(job, plot=name))
    return own


def _run_all(jobs: Sequence[Job], processes: int) -> list[Outcome]:
    if len(jobs) == 1:
        with progress_bar("bars") as advance:
            return [run_job(jobs[0], advance)]
    with progress_bar("runs", len(jobs)) as advance:
        outcomes: dict[int, Outcome] = {}
        for place, outcome in _one_by_one(jobs) if processes == 1 else _in_pool(jobs, processes):
            outcomes[place] = outcome
            advance(len(outcomes), len(jobs))
    return [outcomes[place] for place in range(len(jobs))]


def _one_by_one(jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
    return ((place, run_job(job)) for place, job in enumerate(jobs))


def _in_pool(jobs: Sequence[Job], processes: int) -> Iterator[tuple[int, Outcome]]:
    # Spawned, not forked: numpy and the progress bar have threads.
    context = multiprocessing.get_context("spawn")
    workers = min(processes, len(jobs))
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare_worker) as pool:
        places = {pool.submit(run_job, job): place for place, job in enumerate(jobs)}
        for future in as_completed(places):
            yield places[future], _outcome(future, jobs[places[future]])


def _prepare_worker() -> None:
    """A spawned process begins without plugins, and logs to standard output. Ctrl-C reaches it too: without a word."""
    configure_logging("WARNING", json=False)
    install()
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _outcome(future: Future[Outcome], job: Job) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        return Outcome(job, error="a worker process was killed, perhaps for want of memory; try --jobs 1")
    except Exception as error:  # noqa: BLE001 - what a plugin made may not survive the way between processes
        return Outcome(job, error=f"the run's result was lost: {type(error).__name__}: {error}")


def _print_remarks(outcome: Outcome, *, name: bool) -> None:
    where = f"{outcome.job.path} on {outcome.job.bars}: " if name else ""
    for notice in outcome.notices:
        print(f"notice: {where}{notice}", file=sys.stderr)
    if outcome.summary is None:
        print(f"{where}{outcome.error}", file=sys.stderr)


def _single(outcome: Outcome) -> str:
    assert outcome.summary is not None  # noqa: S101 - the caller looked
    return f"{outcome.title}\n\n{outcome.text}\n\n{figure_lines(outcome.summary)}"


def _run_table(outcomes: Sequence[Outcome]) -> str:
    documents = _short([outcome.job.path for outcome in outcomes])
    bars = _short([outcome.job.bars for outcome in outcomes])
    rows = [RUN_HEADS] + [
        run_cells(documents[outcome.job.path], bars[outcome.job.bars], outcome.summary) for outcome in outcomes
    ]
    return columns(rows, left=2)


def _short(paths: Sequence[Path]) -> dict[Path, str]:
    """File names without ending where these tell the files apart."""
    distinct = dict.fromkeys(paths)
    stems = {path.stem for path in distinct}
    return {path: path.stem if len(stems) == len(distinct) else str(path) for path in distinct}


def _json_list(outcomes: Sequence[Outcome]) -> str:
    return "[\n" + ",\n".join(_json_element(outcome) for outcome in outcomes) + "\n]"


def _json_element(outcome: Outcome) -> str:
    head = {"path": str(outcome.job.path), "bars": str(outcome.job.bars)}
    if outcome.summary is None:
        return dumps({**head, "error": outcome.error})
    # The rest was written as text by the process that ran it.
    return f"{dumps(head)[:-1]}, {outcome.text[1:]}"
