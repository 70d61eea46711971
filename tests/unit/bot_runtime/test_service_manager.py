import asyncio
import os
from pathlib import Path

import pytest

from bot_runtime.engine.board import FleetBoard, Phase
from bot_runtime.engine.progress import Progress
from bot_runtime.liveness import Liveness
from bot_runtime.system.notify import NotifySocket, watchdog_seconds
from bot_runtime.system.service_manager import ServiceManagerLink, service_manager_links
from bot_runtime.system.summary import bots_in_words
from support.notify_listener import NotifyListener
from support.virtual_time import run_virtually


class _Emptied(NotifySocket):
    """Its other end is read at once, since the kernel keeps ten messages only and virtual time is fast."""

    def __init__(self, listener: NotifyListener) -> None:
        super().__init__(listener.address)
        self._listener = listener

    def send(self, **fields: str | int) -> bool:
        done = super().send(**fields)
        self._listener.messages()
        return done


class _Process:
    """The parts of a process that the link looks at."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.unread: str | None = "starting"
        self.blocked, self.stopping = 0.0, False
        self.fleet = FleetBoard()
        self.progress = Progress(lambda: self.now)
        self.liveness = Liveness(self.fleet, self.progress, stall_seconds=60, blocked=lambda: self.blocked)

    def link(self, listener: NotifyListener, watchdog: float | None = 30.0) -> ServiceManagerLink:
        return ServiceManagerLink(
            _Emptied(listener), self.fleet, self.liveness, lambda: self.unread, lambda: self.stopping, watchdog=watchdog
        )


@pytest.fixture
def process() -> _Process:
    return _Process()


def run(link: ServiceManagerLink, *steps) -> None:
    """Run the link in virtual time; each step is a number of seconds, or something to do between them."""

    async def scenario() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(link.run(stop))
        for step in steps:
            if callable(step):
                step()
            else:
                await asyncio.sleep(step)
        stop.set()
        await task

    run_virtually(scenario())


def test_ready_waits_for_the_first_read_but_not_for_long(process: _Process, tmp_path: Path) -> None:
    early: list[str] = []
    with NotifyListener(tmp_path) as listener:
        run(process.link(listener), 5, lambda: early.extend(listener.values("READY")), 7)
        assert early == []
        assert listener.values("READY") == ["1"]


def test_a_loop_that_stands_still_takes_the_signs_of_life_away_and_is_named(process: _Process, tmp_path: Path) -> None:
    process.unread = None
    process.progress.mark("strategy-manager")

    def stand_still() -> None:
        process.now += 61
        listener.messages()

    def go_on() -> None:
        assert not listener.values("WATCHDOG")[signs[0] :]
        assert listener.values("STATUS")[-1] == "not alive: strategy-manager has stood still for 61 s"
        process.progress.mark("strategy-manager")

    with NotifyListener(tmp_path) as listener:
        signs: list[int] = []
        count = lambda: signs.append(len(listener.values("WATCHDOG")))  # noqa: E731
        run(process.link(listener), 0.5, stand_still, count, 100, go_on, 3)
        assert len(listener.values("WATCHDOG")) > signs[0]
        assert listener.values("STATUS")[-1] == "no bots; database answers"


def test_a_bot_that_is_built_anew_from_inside_has_the_time_for_that(process: _Process) -> None:
    process.fleet.board(7, "seven")
    for loop in ("bot-7", "strategy-manager"):
        process.progress.mark(loop)
    process.now += 70
    assert list(process.liveness.verdict().stalled) == ["strategy-manager"]
    process.now += 11
    assert list(process.liveness.verdict().stalled) == ["bot-7", "strategy-manager"]
    process.blocked = 99.0
    assert str(process.liveness.verdict()).endswith("the event loop was blocked for 99 s")


def test_a_drain_asks_for_time_as_long_as_it_lasts(process: _Process, tmp_path: Path) -> None:
    process.unread = None
    with NotifyListener(tmp_path) as listener:
        run(process.link(listener), 2, lambda: setattr(process, "stopping", True), 120)
        assert listener.values("STOPPING") == ["1"]
        assert len(listener.values("EXTEND_TIMEOUT_USEC")) > 100
        assert listener.values("STATUS")[-1] == "stopping: no bots; database answers"
        assert listener.values("WATCHDOG"), "a drain is watched as well"


def test_what_the_manager_wants_is_read_from_the_environment() -> None:
    assert watchdog_seconds({}) is None
    assert watchdog_seconds({"WATCHDOG_USEC": "30000000"}) == 30
    assert watchdog_seconds({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}) == 30
    assert watchdog_seconds({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}) is None
    assert watchdog_seconds({"WATCHDOG_USEC": "soon"}) is None
    assert NotifySocket.from_environment({}) is None
    assert NotifySocket.from_environment({"NOTIFY_SOCKET": "vsock:2:1234"}) is None


def test_nothing_runs_where_no_service_manager_listens(process: _Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert service_manager_links(process.fleet, process.liveness, lambda: None, lambda: False) == []


def test_a_line_of_a_message_can_not_begin_another_field(tmp_path: Path) -> None:
    with NotifyListener(tmp_path) as listener:
        assert NotifySocket(listener.address).send(STATUS="one\nREADY=1")
        assert listener.messages() == [{"STATUS": "one READY=1"}]


def test_the_fleet_in_a_line_begins_with_what_runs() -> None:
    fleet = FleetBoard()
    assert bots_in_words(fleet) == "no bots"
    for number, phase in enumerate([Phase.ERROR, *[Phase.RUNNING] * 11]):
        fleet.board(number, "a bot").phase = phase
    assert bots_in_words(fleet) == "12 bots: 11 running, 1 error"
