import asyncio
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot_core.models.errors import FatalError
from bot_runtime.cli import windows_host
from bot_runtime.system.event_loop import prefer_selector_loop
from bot_runtime.system.stop_signals import on_stop_signals
from bot_runtime.system.windows_install import WindowsServiceError, WindowsServiceManager
from bot_runtime.system.windows_service import FAILED, WindowsService
from support.waiting import wait_until
from support.win32 import FakeHosting, FakeServiceManager


class _Runner:
    """Runs until it is stopped, then drains for a while, or fails."""

    def __init__(self, *, drain: float = 0.0, fails: bool = False, ends: bool = False) -> None:
        self.stop = asyncio.Event()
        self._drain, self._fails, self._ends = drain, fails, ends
        self.drained = False

    async def run(self) -> None:
        if self._fails:
            raise FatalError("port 8080 can't be listened on")
        if not self._ends:
            await self.stop.wait()
        await asyncio.sleep(self._drain)
        self.drained = True


class _Service:
    def __init__(self, **runner: Any) -> None:
        self.api = FakeServiceManager()
        self.reports: list[tuple[int, int]] = []
        self.errors: list[str] = []
        self.codes: list[int] = []
        self.runner: _Runner | None = None
        self.service = WindowsService(
            self.api,
            lambda state, hint: self.reports.append((state, hint)),
            lambda: self._build(runner),
            log_error=self.errors.append,
            leave=self.codes.append,
            report_seconds=0.02,
        )

    def _build(self, options: dict[str, Any]) -> _Runner:
        self.runner = _Runner(**options)
        return self.runner

    def states(self) -> list[int]:
        return [state for state, _ in self.reports]


@pytest.mark.parametrize("request_", ["STOP", "SHUTDOWN", "PRESHUTDOWN"])
def test_a_request_to_stop_drains_and_reports_progress_meanwhile(request_: str) -> None:
    it = _Service(drain=0.3)
    thread = threading.Thread(target=it.service.run, daemon=True)
    thread.start()
    wait_until(lambda: it.api.SERVICE_RUNNING in it.states(), 10, "running", every=0.01)
    it.service.control(it.api.SERVICE_CONTROL_INTERROGATE)
    assert thread.is_alive()
    it.service.control(getattr(it.api, f"SERVICE_CONTROL_{request_}"))
    thread.join(10)
    assert it.runner is not None
    assert it.runner.drained
    pending = [hint for state, hint in it.reports if state == it.api.SERVICE_STOP_PENDING]
    assert len(pending) > 5, "each report lets the manager wait on"
    assert min(pending) > 1000, "in milliseconds, and longer than the time between two reports"
    assert (it.codes, it.errors) == ([], [])


def test_a_stop_that_comes_before_the_runner_is_built_is_not_lost() -> None:
    it = _Service()
    it.service.control(it.api.SERVICE_CONTROL_STOP)
    it.service.run()
    assert it.runner is not None
    assert it.runner.drained
    it.service.control(it.api.SERVICE_CONTROL_STOP)  # after the end it does no harm


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fails": True}, "the service failed: FatalError: port 8080 can't be listened on"),
        ({"ends": True}, "the service ended without being asked to"),
    ],
)
def test_a_service_that_fails_ends_so_that_it_is_started_again(options: dict[str, bool], words: str) -> None:
    it = _Service(**options)
    it.service.run()
    assert it.codes == [FAILED]
    assert it.errors == [words]


def manager(api: FakeServiceManager, folder: Path) -> WindowsServiceManager:
    return WindowsServiceManager(api, "tradingbot", folder)


def test_an_installed_service_starts_late_at_boot_and_again_when_it_fails(tmp_path: Path) -> None:
    api = FakeServiceManager()
    manager(api, tmp_path).install(now=False)
    made = api.services["tradingbot"]
    assert made["command"] == f'"{sys.executable}" -m bot_runtime.cli.windows_host tradingbot'
    assert made["account"] == "NT SERVICE\\tradingbot"
    assert made["state"] == api.SERVICE_STOPPED
    assert made["config"][api.SERVICE_CONFIG_DELAYED_AUTO_START_INFO] is True
    assert made["config"][api.SERVICE_CONFIG_FAILURE_ACTIONS_FLAG] is True
    actions = made["config"][api.SERVICE_CONFIG_FAILURE_ACTIONS]["Actions"]
    assert {action for action, _ in actions} == {api.SC_ACTION_RESTART}

    made["command"] = "an older one"
    for _ in range(2):
        manager(api, tmp_path).install(now=True)
    assert made["command"].endswith("windows_host tradingbot")
    assert manager(api, tmp_path).state() == "running"
    assert api.open_handles == 0


def test_a_removed_service_is_stopped_first(tmp_path: Path) -> None:
    api = FakeServiceManager()
    manager(api, tmp_path).install(now=True)
    pauses: list[float] = []
    manager(api, tmp_path).uninstall(pauses.append)
    assert pauses
    assert manager(api, tmp_path).state() == "not installed"
    with pytest.raises(WindowsServiceError, match="there is no service tradingbot"):
        manager(api, tmp_path).uninstall()
    assert api.open_handles == 0


def test_somebody_who_is_no_administrator_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(WindowsServiceError, match="elevated prompt"):
        manager(FakeServiceManager(denied=True), tmp_path).install(now=False)


def test_the_folder_of_the_service_is_given_to_it_and_its_environment_is_written_once(tmp_path: Path) -> None:
    commands: list[list[str]] = []
    folder = tmp_path / "tradingbot"
    for _ in range(2):
        file = manager(FakeServiceManager(), folder).make_folder(lambda command, **_: commands.append(command))
        assert f"DATABASE_URL=sqlite:///{folder.as_posix()}/tradingbot.db\n" in file.read_text()
        file.write_text(file.read_text() + "# mine\n")
    assert file.read_text().count("# mine\n") == 2
    assert commands[0][:3] == ["icacls", str(folder), "/inheritance:r"]
    assert "NT SERVICE\\tradingbot:(OI)(CI)M" in commands[0]


def test_without_pywin32_a_sentence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "win32service", None)
    with pytest.raises(FatalError, match=r"pip install tradingbot-operator\[windows\]"):
        windows_host.service_manager("tradingbot")


def test_the_hosted_class_says_what_it_accepts_and_hands_requests_on() -> None:
    api = FakeServiceManager()
    hosting = FakeHosting(api)
    framework = hosting.win32serviceutil.ServiceFramework
    host = windows_host.build_host("tradingbot", framework, api, hosting.errors.append, lambda _code: None)(
        ["tradingbot"]
    )
    assert host.GetAcceptedControls() == api.SERVICE_ACCEPT_STOP | api.SERVICE_ACCEPT_PRESHUTDOWN
    for ask in (host.SvcStop, host.SvcShutdown, lambda: host.SvcOtherEx(api.SERVICE_CONTROL_PRESHUTDOWN, 0, None)):
        hosting.reports.clear()
        ask()
        assert hosting.states == [api.SERVICE_STOP_PENDING]


def test_windows_gets_the_loop_that_psycopg_needs_and_nobody_else() -> None:
    chosen: list[str] = []
    policies = SimpleNamespace(
        set_event_loop_policy=chosen.append, WindowsSelectorEventLoopPolicy=lambda: "the selector's"
    )
    prefer_selector_loop("linux", policies)
    assert chosen == []
    prefer_selector_loop("win32", policies)
    assert chosen == ["the selector's"]


def test_a_loop_without_signal_handlers_hears_of_signals_all_the_same() -> None:
    code = """
import asyncio, os, signal
from bot_runtime.system.stop_signals import on_stop_signals

class Loop(asyncio.SelectorEventLoop):
    def add_signal_handler(self, *_):
        raise NotImplementedError

async def main():
    told = asyncio.Queue()
    on_stop_signals(told.put_nowait)
    os.kill(os.getpid(), signal.SIGTERM)
    print((await asyncio.wait_for(told.get(), 10)).name)

with asyncio.Runner(loop_factory=Loop) as runner:
    runner.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("SIGTERM\n", "")


def test_off_the_main_thread_no_signal_is_touched() -> None:
    before = signal.getsignal(signal.SIGTERM)

    async def ask() -> None:
        on_stop_signals(lambda _number: None)

    thread = threading.Thread(target=lambda: asyncio.run(ask()), daemon=True)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
