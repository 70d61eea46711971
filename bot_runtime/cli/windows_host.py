"""`python -m bot_runtime.cli.windows_host NAME`: what Windows' service manager starts.

It is also the Windows side of `tradingbot service`, and the only importer of pywin32. It has never run on Windows: see
docs/service.md.
"""

import logging
import logging.handlers
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from bot_core.logs import configure_logging
from bot_core.models.errors import FatalError
from bot_runtime.app import build_runner
from bot_runtime.cli.tables import print_json
from bot_runtime.settings import Settings
from bot_runtime.system.event_loop import prefer_selector_loop
from bot_runtime.system.own_status import own_status, read_environment
from bot_runtime.system.windows_install import DISPLAY, WindowsServiceManager
from bot_runtime.system.windows_service import Runner, WindowsService

_LOG_BYTES, _LOG_FILES = 20_000_000, 5
_NAME_AT = 1


def data_folder(name: str) -> Path:
    return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / name


def pywin32(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise FatalError("pywin32 is missing: pip install tradingbot-operator[windows]") from error


def service_manager(name: str) -> WindowsServiceManager:
    return WindowsServiceManager(pywin32("win32service"), name, data_folder(name))


def install_here(name: str, *, now: bool, as_json: bool = False) -> int:
    manager = service_manager(name)
    manager.install(now=False)  # makes the account, which the folder is then given to
    file = manager.make_folder()
    if now:
        manager.install(now=True)
    if as_json:
        print_json({"unit": name, "environment": file, "data": data_folder(name), "started": now})
    else:
        print(f"{name} starts at boot; what it is told is in {file}")
    return 0


def uninstall_here(name: str, *, as_json: bool = False) -> int:
    service_manager(name).uninstall()
    if as_json:
        print_json({"removed": name, "data": data_folder(name), "environment": data_folder(name) / "environment"})
    else:
        print(f"{name} is removed; left as they are: data and environment in {data_folder(name)}")
    return 0


def status_here(name: str, *, as_json: bool = False) -> int:
    state = service_manager(name).state()
    said = own_status(data_folder(name) / "environment")
    if as_json:
        print_json({"unit": {"ActiveState": state}, "service": said})
    else:
        print(f"{name} is {state}; over HTTP it {'does not answer here' if said is None else 'answers'}")
    return 0 if state == "running" else 1


def told(name: str) -> Mapping[str, str]:
    """The environment file's. Nobody else restarts a process whose event loop is blocked, so it leaves by itself."""
    return {"TRADINGBOT_EXIT_WHEN_BLOCKED": "true"} | read_environment(data_folder(name) / "environment")


def build_here(name: str) -> Callable[[], Runner]:
    def build() -> Runner:
        os.environ.update(told(name))
        settings = Settings.from_environment()
        log_to_file(data_folder(name) / "service.log", settings.log_level)
        return build_runner(settings, deliver=True)[0]

    return build


def log_to_file(path: Path, level: str) -> None:
    """A service has no standard error. JSON lines, in a few files of a bounded size."""
    configure_logging(level, json=True)
    root = logging.getLogger()
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8", delay=True
    )
    handler.setFormatter(root.handlers[0].formatter)
    root.handlers = [handler]


def build_host(name: str, framework: Any, win32service: Any, log_error: Callable[[str], None], leave: Any) -> type:
    """The class that servicemanager hosts. Its methods, named by pywin32, only hand on."""

    class Host(framework):  # type: ignore[misc]
        _svc_name_ = name
        _svc_display_name_ = DISPLAY

        def __init__(self, args: Any) -> None:
            super().__init__(args)
            self._service = WindowsService(
                win32service,
                lambda state, hint: self.ReportServiceStatus(state, waitHint=hint),
                build_here(name),
                log_error=log_error,
                leave=leave,
            )

        def GetAcceptedControls(self) -> int:  # noqa: N802
            # Before a shutdown there are minutes to drain in; at a shutdown there are five seconds.
            return int(super().GetAcceptedControls()) | int(win32service.SERVICE_ACCEPT_PRESHUTDOWN)

        def SvcStop(self) -> None:  # noqa: N802
            self._service.control(win32service.SERVICE_CONTROL_STOP)

        def SvcShutdown(self) -> None:  # noqa: N802
            self._service.control(win32service.SERVICE_CONTROL_SHUTDOWN)

        def SvcOtherEx(self, control: int, _event: int, _data: Any) -> None:  # noqa: N802
            self._service.control(control)

        def SvcDoRun(self) -> None:  # noqa: N802
            self._service.run()

    return Host


def main(name: str, leave: Callable[[int], None] = os._exit) -> None:
    prefer_selector_loop()
    servicemanager = pywin32("servicemanager")
    framework = pywin32("win32serviceutil").ServiceFramework
    host = build_host(name, framework, pywin32("win32service"), servicemanager.LogErrorMsg, leave)
    servicemanager.Initialize(name, None)
    servicemanager.PrepareToHostSingle(host)
    servicemanager.StartServiceCtrlDispatcher()


if __name__ == "__main__":
    main(sys.argv[_NAME_AT])
