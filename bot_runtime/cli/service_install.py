"""`tradingbot service install|uninstall|status`: the system service. What it consists of is `bot_runtime.system`'s."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from bot_runtime.cli.tables import print_json, print_table
from bot_runtime.system.own_status import own_status, read_environment
from bot_runtime.system.systemd import ServiceError, SystemdService
from bot_runtime.system.unit import UnitOptionError, UnitOptions, build_unit
from bot_runtime.system.visible import hidden_paths, program_paths, program_words

_USAGE = 2
_FAILED = 1

Name = Annotated[str, typer.Option("--name", help="name of the unit, its folders and its log")]
Root = Annotated[
    Path | None, typer.Option("--root", "--prefix", help="the folder of an image, instead of this machine")
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]
Force = Annotated[bool, typer.Option("--force", help="also a unit that this program did not write")]


def register(app: typer.Typer) -> None:
    service = typer.Typer(help="run as a service of the system, from boot on", no_args_is_help=True)
    service.command("install")(install)
    service.command("uninstall")(uninstall)
    service.command("status")(status)
    app.add_typer(service, name="service")


def install(
    *,
    serve_arguments: Annotated[list[str] | None, typer.Argument(help="options of `serve`, after --")] = None,
    name: Name = "tradingbot",
    user: Annotated[str, typer.Option(help="who it runs as; made where there is no such user")] = "tradingbot",
    state_directory: Annotated[
        str | None, typer.Option("--state-directory", "--working-directory", help="a folder below /var/lib")
    ] = None,
    environment_file: Annotated[str | None, typer.Option(help="instead of /etc/NAME/environment")] = None,
    executable: Annotated[str | None, typer.Option(help="path of `tradingbot` on the machine that will run it")] = None,
    watchdog: Annotated[int, typer.Option(min=15, help="seconds without a sign of life until it is restarted")] = 90,
    upgrade: Annotated[bool, typer.Option(help="bring the database up to date at each start")] = True,
    root: Root = None,
    only_print: Annotated[bool, typer.Option("--print", help="print the unit and change nothing")] = False,
    now: Annotated[bool, typer.Option("--now", help="start it as well")] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> int:
    """Write a hardened unit and start it at boot. Safe to repeat."""
    if sys.platform == "win32":
        from bot_runtime.cli.windows_host import install_here  # noqa: PLC0415  # Windows only

        return (
            _usage("on Windows the environment file tells it all") if serve_arguments else install_here(name, now=now)
        )
    try:
        options = UnitOptions(
            command=[executable] if executable else program_words(),
            name=name,
            user=user,
            state_directory=state_directory,
            environment_file=environment_file,
            watchdog_seconds=watchdog,
            upgrade_database=upgrade,
            arguments=serve_arguments or [],
        )
        unit = build_unit(options)
    except UnitOptionError as error:
        return _usage(str(error))
    hidden = [] if root or executable else hidden_paths(program_paths())
    if only_print:
        print(unit, end="")
        return 0
    if hidden:
        raise ServiceError(_hidden_words(hidden))
    done = SystemdService(options, root, _tell(as_json=as_json)).install(now=now, force=force)
    if as_json:
        facts = {"unit": str(done.unit_file), "environment": str(done.environment_file), "data": options.state}
        print_json(facts | {"changed": done.changed, "started": done.started})
    elif not now and root is None:
        print(f"start it: systemctl start {name}")
    return 0


def uninstall(
    *, name: Name = "tradingbot", root: Root = None, yes: Yes = False, force: Force = False, as_json: AsJson = False
) -> int:
    """Stop it and remove the unit; data, environment and user stay."""
    if not yes and not _agreed(f"Stop {name} and remove its unit?"):
        print("nothing was removed; --yes does it without asking", file=sys.stderr)
        return _FAILED
    if sys.platform == "win32":
        from bot_runtime.cli.windows_host import uninstall_here  # noqa: PLC0415

        return uninstall_here(name)
    options = _known(name, root)
    SystemdService(options, root, _tell(as_json=as_json)).uninstall(force=force)
    if as_json:
        print_json({"removed": options.unit_file, "data": options.state, "environment": options.environment})
    else:
        print(f"left as they are: data in {options.state}, {options.environment}, the user")
    return 0


def status(*, name: Name = "tradingbot", as_json: AsJson = False) -> int:
    """The unit's state and what the service says of its bots. 1 where it does not run."""
    if sys.platform == "win32":
        from bot_runtime.cli.windows_host import status_here  # noqa: PLC0415

        return status_here(name)
    options = _known(name)
    unit = SystemdService(options, None).state()
    said = own_status(Path(options.environment)) if unit.get("ActiveState") == "active" else None
    if as_json:
        print_json({"unit": unit, "service": said})
    else:
        _print_status(name, unit, said)
    return 0 if unit.get("ActiveState") == "active" else _FAILED


def _print_status(name: str, unit: dict[str, str], said: dict[str, Any] | None) -> None:
    if unit.get("LoadState") == "not-found":
        print(f"{name} is not installed: tradingbot service install")
        return
    facts = {
        "unit": f"{name}.service",
        "state": f"{unit.get('ActiveState')} ({unit.get('SubState')})",
        "since": unit.get("ActiveEnterTimestamp") or "-",
        "at boot": unit.get("UnitFileState") or "-",
        "process": unit.get("MainPID"),
        "restarts": unit.get("NRestarts"),
        "says": unit.get("StatusText") or unit.get("Result") or "-",
        "http": "does not answer here" if said is None else _phases(said),
    }
    print_table([{"what": key, "is": value} for key, value in facts.items()], as_json=False, empty="")


def _phases(said: dict[str, Any]) -> str:
    phases = {phase: count for phase, count in said.get("by_phase", {}).items() if count}
    return ", ".join(f"{count} {phase}" for phase, count in phases.items()) or "no bots"


def _known(name: str, root: Path | None = None) -> UnitOptions:
    """What the installed unit of this name was made with, as far as it matters afterwards."""
    options = UnitOptions(command=program_words(), name=name)
    unit = SystemdService(options, root).path(options.unit_file)
    told = read_environment(unit)  # the lines of a unit look alike
    return replace(
        options,
        user=told.get("User", options.user),
        state_directory=told.get("WorkingDirectory"),
        environment_file=told.get("EnvironmentFile"),
    )


def _hidden_words(paths: list[Path]) -> str:
    places = ", ".join(str(path) for path in paths)
    return (
        f"the service sees neither home folders nor /tmp, where this installation lies ({places}); install it "
        "elsewhere, such as `python3 -m venv /opt/tradingbot` with the system's Python, or name it with --executable"
    )


def _tell(*, as_json: bool) -> Any:
    return (lambda _line: None) if as_json else print


def _agreed(question: str) -> bool:
    return sys.stdin.isatty() and typer.confirm(question)


def _usage(message: str) -> int:
    print(f"tradingbot: {message}", file=sys.stderr)
    return _USAGE
