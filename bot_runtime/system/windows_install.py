"""The service in Windows' service manager: made, changed, removed, asked. pywin32's modules are arguments.

It has never run on Windows: see docs/service.md. What it asks of pywin32 is tested against a stand-in.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bot_core.models.errors import TradingBotError

DISPLAY = "Trading bots"
HOST_MODULE = "bot_runtime.cli.windows_host"
_DESCRIPTION = "Runs the trading bots of the table trading_bots."
#: Milliseconds until it is started again after the first, second and every later failure; forgotten after a day.
_RESTARTS, _FORGIVEN_SECONDS = (5_000, 30_000, 60_000), 86_400
_NO_SUCH_SERVICE, _ACCESS_DENIED, _NOT_ACTIVE = 1060, 5, 1062
_STOP_SECONDS = 180.0
_ENVIRONMENT = """\
# What the service is told, NAME=value. After a change: Restart-Service {name}
DATABASE_URL=sqlite:///{database}
HOST=127.0.0.1
# LOG_LEVEL=INFO
# SMTP_SERVER= SMTP_USER= SMTP_PASSWORD= SMTP_FROM= TELEGRAM_BOT_TOKEN= SLACK_BOT_TOKEN= WEBHOOK_URL= : a line each
"""


class WindowsServiceError(TradingBotError):
    """The service manager refuses."""


class WindowsServiceManager:
    """`api` is pywin32's win32service."""

    def __init__(self, api: Any, name: str, folder: Path) -> None:
        self._api = api
        self._name = name
        self._folder = folder

    @property
    def account(self) -> str:
        """An account of the service's own, without a password, that Windows makes by itself."""
        return f"NT SERVICE\\{self._name}"

    @property
    def command(self) -> str:
        """The interpreter itself, which needs neither pythonservice.exe nor a class in the registry."""
        return f'"{sys.executable}" -m {HOST_MODULE} {self._name}'

    def install(self, *, now: bool) -> None:
        """Make it, or bring the one of this name up to date: delayed start at boot, started again when it fails."""
        with self._manager() as manager:
            service = self._opened(manager)
            if service is None:
                service = self._created(manager)
            else:
                self._changed(service)
            try:
                self._configure(service)
                if now and self._state(service) == self._api.SERVICE_STOPPED:
                    self._api.StartService(service, None)
            finally:
                self._api.CloseServiceHandle(service)

    def uninstall(self, pause: Callable[[float], None] = time.sleep) -> None:
        """Stop it, wait for its drain, remove it. Raise WindowsServiceError where there is none."""
        with self._manager() as manager:
            service = self._needed(manager)
            try:
                self._stop(service, pause)
                self._api.DeleteService(service)
            finally:
                self._api.CloseServiceHandle(service)

    def state(self) -> str:
        """In a word: `running`, `stopped`, `start pending` …, or `not installed`."""
        api = self._api
        words = {
            api.SERVICE_STOPPED: "stopped",
            api.SERVICE_START_PENDING: "start pending",
            api.SERVICE_RUNNING: "running",
            api.SERVICE_STOP_PENDING: "stop pending",
        }
        with self._manager(api.SC_MANAGER_CONNECT) as manager:
            service = self._opened(manager, api.SERVICE_QUERY_STATUS)
            if service is None:
                return "not installed"
            try:
                return words.get(self._state(service), "paused")
            finally:
                api.CloseServiceHandle(service)

    def make_folder(self, run: Callable[..., Any] = subprocess.run) -> Path:
        """Data, log and environment file, readable by the service and administrators only. The file is written once."""
        file = self._folder / "environment"
        self._folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            database = (self._folder / "tradingbot.db").as_posix()
            file.write_text(_ENVIRONMENT.format(name=self._name, database=database), encoding="utf-8")
        # By their ids, for names of groups are translated: Administrators and SYSTEM.
        whom = ["*S-1-5-32-544:(OI)(CI)F", "*S-1-5-18:(OI)(CI)F", f"{self.account}:(OI)(CI)M"]
        run(["icacls", str(self._folder), "/inheritance:r", "/grant:r", *whom], check=True, capture_output=True)
        return file

    @contextmanager
    def _manager(self, access: int | None = None) -> Iterator[Any]:
        api = self._api
        try:
            manager = api.OpenSCManager(None, None, api.SC_MANAGER_ALL_ACCESS if access is None else access)
            try:
                yield manager
            finally:
                api.CloseServiceHandle(manager)
        except api.error as error:
            if error.winerror == _ACCESS_DENIED:
                raise WindowsServiceError("a service is an administrator's: run this in an elevated prompt") from error
            raise WindowsServiceError(f"the service manager refuses: {error.strerror}") from error

    def _opened(self, manager: Any, access: int | None = None) -> Any:
        try:
            return self._api.OpenService(manager, self._name, access or self._api.SERVICE_ALL_ACCESS)
        except self._api.error as error:
            if error.winerror != _NO_SUCH_SERVICE:
                raise
            return None

    def _needed(self, manager: Any) -> Any:
        service = self._opened(manager)
        if service is None:
            raise WindowsServiceError(f"there is no service {self._name}")
        return service

    def _created(self, manager: Any) -> Any:
        api = self._api
        kind = (api.SERVICE_WIN32_OWN_PROCESS, api.SERVICE_AUTO_START, api.SERVICE_ERROR_NORMAL)
        rest = (self.command, None, 0, ["Tcpip"], self.account, None)
        return api.CreateService(manager, self._name, DISPLAY, api.SERVICE_ALL_ACCESS, *kind, *rest)

    def _changed(self, service: Any) -> None:
        api = self._api
        kind = (api.SERVICE_WIN32_OWN_PROCESS, api.SERVICE_AUTO_START, api.SERVICE_ERROR_NORMAL)
        api.ChangeServiceConfig(service, *kind, self.command, None, 0, None, self.account, None, DISPLAY)

    def _configure(self, service: Any) -> None:
        api = self._api
        restarts = [(api.SC_ACTION_RESTART, milliseconds) for milliseconds in _RESTARTS]
        failure = {"ResetPeriod": _FORGIVEN_SECONDS, "RebootMsg": "", "Command": "", "Actions": restarts}
        api.ChangeServiceConfig2(service, api.SERVICE_CONFIG_DESCRIPTION, _DESCRIPTION)
        api.ChangeServiceConfig2(service, api.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, True)
        api.ChangeServiceConfig2(service, api.SERVICE_CONFIG_FAILURE_ACTIONS, failure)
        # Also when it ends in order, but with an error code.
        api.ChangeServiceConfig2(service, api.SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, True)

    def _stop(self, service: Any, pause: Callable[[float], None]) -> None:
        api = self._api
        try:
            api.ControlService(service, api.SERVICE_CONTROL_STOP)
        except api.error as error:
            if error.winerror != _NOT_ACTIVE:
                raise
        until = time.monotonic() + _STOP_SECONDS
        while self._state(service) != api.SERVICE_STOPPED:
            if time.monotonic() > until:
                raise WindowsServiceError(f"{self._name} has not stopped in {_STOP_SECONDS:.0f} s; it is not removed")
            pause(0.5)

    def _state(self, service: Any) -> int:
        return int(self._api.QueryServiceStatus(service)[1])
