"""`tradingbot service install|uninstall|status`: the system service. What it consists of is `bot_runtime.system`'s."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from bot_runtime.cli import service
from bot_runtime.cli.confirmation import agreed
from bot_runtime.cli.options import AsJson, Yes
from bot_runtime.cli.tables import print_json, print_table
from bot_runtime.cli.usage import UsageError
from bot_runtime.system.own_status import own_status, read_environment
from bot_runtime.system.systemd import ServiceError, SystemdService
from bot_runtime.system.unit import UnitOptionError, UnitOptions, build_unit
from bot_runtime.system.visible import hidden_paths, program_paths, program_words

_FAILED = 1

_Name: TypeAlias = Annotated[str, typer.Option(metavar="NAME", help="Name of the unit, its folders and its log.")]
_Root: TypeAlias = Annotated[
    Path | None,
    typer.Option("--root", "--prefix", metavar="FOLDER", help="The folder of an image, instead of this machine."),
]
_Force: TypeAlias = Annotated[bool, typer.Option("--force", help="Also a unit that this program did not write.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True)
    group.command("install", help="Write a hardened unit that starts at boot; safe to repeat.")(install)
    group.command("uninstall", help="Stop the service and remove its unit; data, environment and user stay.")(uninstall)
    group.command("status", help="Show the unit's state and what the service says; exit 1 if it does not run.")(status)
    app.add_typer(group, name="service", help="Run as a service of the system, from boot on.")


def install(
    *,
    serve_arguments: Annotated[
        list[str] | None, typer.Argument(metavar="OPTION", help="Options of `serve`, after --.")
    ] = None,
    name: _Name = "tradingbot",
    user: Annotated[
        str, typer.Option(metavar="NAME", help="Who it runs as; made where there is no such user.")
    ] = "tradingbot",
    state_directory: Annotated[
        str | None,
        typer.Option(
            "--state-directory", "--working-directory", metavar="FOLDER", help="Below /var/lib; default: /var/lib/NAME."
        ),
    ] = None,
    environment_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="What sets its variables; default: /etc/NAME/environment.")
    ] = None,
    executable: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="`tradingbot` on the machine that will run it; default: this one."),
    ] = None,
    watchdog: Annotated[
        int, typer.Option(min=15, metavar="SECONDS", help="Without a sign of life until it is restarted.")
    ] = 90,
    upgrade: Annotated[
        bool, typer.Option(help="Whether each start brings the database up to date; default: it does.")
    ] = True,
    root: _Root = None,
    only_print: Annotated[bool, typer.Option("--print", help="Print the unit and change nothing.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Start it as well.")] = False,
    force: _Force = False,
    json: AsJson = False,
) -> int:
    """It is asked nothing: --print shows before what will be written."""
    if sys.platform == "win32":
        from bot_runtime.cli.windows_host import install_here  # noqa: PLC0415  # Windows only

        if serve_arguments:
            raise UsageError("on Windows the environment file tells it all; give no options of `serve`")
        return install_here(name, now=now, as_json=json)
    _check(serve_arguments or [])
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
        raise UsageError(str(error)) from None
    hidden = [] if root or executable else hidden_paths(program_paths())
    if only_print:
        if json:
            print_json({"unit": options.unit_file, "text": unit})
        else:
            print(unit, end="")
        return 0
    if hidden:
        raise ServiceError(_hidden_words(hidden))
    done = SystemdService(options, root, _tell(as_json=json)).install(now=now, force=force)
    if json:
        facts = {"unit": str(done.unit_file), "environment": str(done.environment_file), "data": options.state}
        print_json(facts | {"changed": done.changed, "started": done.started})
    elif not now and root is None:
        print(f"start it: systemctl start {name}")
    return 0


def uninstall(
    *, name: _Name = "tradingbot", root: _Root = None, yes: Yes = False, force: _Force = False, json: AsJson = False
) -> int:
    """Without a terminal it needs --yes: the bots stop."""
    if not yes and not agreed(f"stop {name} and remove its unit?", without_terminal=False):
        print("nothing was removed; without a terminal, --yes says that it is meant", file=sys.stderr)
        return _FAILED
    if sys.platform == "win32":
        from bot_runtime.cli.windows_host import uninstall_here  # noqa: PLC0415

        return uninstall_here(name, as_json=json)
    options = _known(name, root)
    SystemdService(options, root, _tell(as_json=json)).uninstall(force=force)
    if json:
        print_json({"removed": options.unit_file, "data": options.state, "environment": options.environment})
    else:
        print(f"left as they are: data in {options.state}, {options.environment}, the user")
    return 0


def status(*, name: _Name = "tradingbot", json: AsJson = False) -> int:
    if sys.platform == "win32":
        from bot_runtime.cli.windows_host import status_here  # noqa: PLC0415

        return status_here(name, as_json=json)
    options = _known(name)
    unit = SystemdService(options, None).state()
    said = own_status(Path(options.environment)) if unit.get("ActiveState") == "active" else None
    if json:
        print_json({"unit": unit, "service": said})
    else:
        _print_status(name, unit, said)
    return 0 if unit.get("ActiveState") == "active" else _FAILED


def _check(serve_arguments: list[str]) -> None:
    """Raise typer's error for what `serve` could not read: the unit would fail at each start."""
    alone = typer.Typer(pretty_exceptions_enable=False)
    service.register(alone)
    typer.main.get_command(alone).make_context("tradingbot serve", [*serve_arguments])


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
