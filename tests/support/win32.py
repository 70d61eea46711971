"""A stand-in for the parts of pywin32 that a service uses, written after its documentation. It is no Windows."""

import threading
from types import SimpleNamespace
from typing import Any


class Win32Error(Exception):
    def __init__(self, winerror: int, strerror: str) -> None:
        super().__init__(winerror, strerror)
        self.winerror, self.strerror = winerror, strerror


class FakeServiceManager:
    """win32service: the services of one Windows. `denied`: who asks is no administrator."""

    error = Win32Error
    SC_MANAGER_ALL_ACCESS, SC_MANAGER_CONNECT, SERVICE_ALL_ACCESS, SERVICE_QUERY_STATUS = 0xF003F, 1, 0xF01FF, 4
    SERVICE_WIN32_OWN_PROCESS, SERVICE_AUTO_START, SERVICE_ERROR_NORMAL = 0x10, 2, 1
    SERVICE_STOPPED, SERVICE_START_PENDING, SERVICE_STOP_PENDING, SERVICE_RUNNING = 1, 2, 3, 4
    SERVICE_CONTROL_STOP, SERVICE_CONTROL_INTERROGATE, SERVICE_CONTROL_SHUTDOWN = 1, 4, 5
    SERVICE_CONTROL_PRESHUTDOWN, SERVICE_ACCEPT_STOP, SERVICE_ACCEPT_PRESHUTDOWN = 0xF, 1, 0x100
    SERVICE_CONFIG_DESCRIPTION, SERVICE_CONFIG_FAILURE_ACTIONS = 1, 2
    SERVICE_CONFIG_DELAYED_AUTO_START_INFO, SERVICE_CONFIG_FAILURE_ACTIONS_FLAG = 3, 4
    SC_ACTION_RESTART = 1

    def __init__(self, *, denied: bool = False) -> None:
        self.services: dict[str, dict[str, Any]] = {}
        self.open_handles = 0
        self._denied = denied

    def OpenSCManager(self, _machine: None, _database: None, access: int) -> str:  # noqa: N802
        if self._denied and access != self.SC_MANAGER_CONNECT:
            raise Win32Error(5, "Access is denied.")
        self.open_handles += 1
        return "manager"

    def OpenService(self, _manager: str, name: str, _access: int) -> dict[str, Any]:  # noqa: N802
        if name not in self.services:
            raise Win32Error(1060, "The specified service does not exist as an installed service.")
        self.open_handles += 1
        return self.services[name]

    def CreateService(  # noqa: N802
        self, _manager: str, name: str, display: str, _access: int, kind: int, start: int, _error: int, command: str,
        _group: None, _tag: int, needs: list[str], account: str, password: str | None,
    ) -> dict[str, Any]:  # fmt: skip
        assert (kind, start, password) == (self.SERVICE_WIN32_OWN_PROCESS, self.SERVICE_AUTO_START, None)
        facts = {"name": name, "display": display, "command": command, "needs": needs, "account": account}
        self.services[name] = facts | {"state": self.SERVICE_STOPPED, "looks": 0, "config": {}}
        self.open_handles += 1
        return self.services[name]

    def ChangeServiceConfig(  # noqa: N802
        self, service: dict[str, Any], _kind: int, _start: int, _error: int, command: str, *_rest: Any
    ) -> None:
        service["command"] = command

    def ChangeServiceConfig2(self, service: dict[str, Any], level: int, value: Any) -> None:  # noqa: N802
        service["config"][level] = value

    def StartService(self, service: dict[str, Any], _arguments: None) -> None:  # noqa: N802
        service["state"] = self.SERVICE_RUNNING

    def ControlService(self, service: dict[str, Any], control: int) -> None:  # noqa: N802
        if service["state"] != self.SERVICE_RUNNING:
            raise Win32Error(1062, "The service has not been started.")
        assert control == self.SERVICE_CONTROL_STOP
        service.update(state=self.SERVICE_STOP_PENDING, looks=3)

    def QueryServiceStatus(self, service: dict[str, Any]) -> tuple[int, ...]:  # noqa: N802
        """A service that is stopping has stopped after a few looks."""
        if service["state"] == self.SERVICE_STOP_PENDING:
            service["looks"] -= 1
            if not service["looks"]:
                service["state"] = self.SERVICE_STOPPED
        return (self.SERVICE_WIN32_OWN_PROCESS, service["state"], 0, 0, 0, 0, 0)

    def DeleteService(self, service: dict[str, Any]) -> None:  # noqa: N802
        assert service["state"] == self.SERVICE_STOPPED
        del self.services[service["name"]]

    def CloseServiceHandle(self, _handle: Any) -> None:  # noqa: N802
        self.open_handles -= 1


class FakeHosting:
    """servicemanager and win32serviceutil: hosts one class, calls it from threads of its own as the real ones do."""

    def __init__(self, api: FakeServiceManager) -> None:
        hosting = self
        self.api = api
        self.reports: list[tuple[int, int]] = []
        self.errors: list[str] = []
        self.instance: Any = None
        self.ended = threading.Event()
        self._kind: Any = None

        class ServiceFramework:
            def __init__(self, _args: Any) -> None:
                hosting.instance = self

            def GetAcceptedControls(self) -> int:  # noqa: N802
                return api.SERVICE_ACCEPT_STOP

            def ReportServiceStatus(self, state: int, waitHint: int = 5000) -> None:  # noqa: N802, N803
                hosting.reports.append((state, waitHint))

        self.win32serviceutil = SimpleNamespace(ServiceFramework=ServiceFramework)
        self.servicemanager = SimpleNamespace(
            Initialize=lambda _name, _source: None,
            PrepareToHostSingle=self._prepare,
            StartServiceCtrlDispatcher=self._dispatch,
            LogErrorMsg=self.errors.append,
        )

    @property
    def states(self) -> list[int]:
        return [state for state, _ in self.reports]

    def _prepare(self, kind: Any) -> None:
        self._kind = kind

    def _dispatch(self) -> None:
        thread = threading.Thread(target=self._serve, name="service", daemon=True)
        thread.start()
        thread.join()

    def _serve(self) -> None:
        self._kind([self._kind._svc_name_]).SvcDoRun()
        self.ended.set()
