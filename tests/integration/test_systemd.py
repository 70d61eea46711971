"""The unit in a real systemd: booted in namespaces of this machine, with this checkout and a layer over its files."""

import asyncio
import base64
import json
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot_core.store.database import Database
from bot_core.store.upgrade import upgrade
from bot_runtime.system.unit import UnitOptions, build_unit
from support.blocking import PLUGIN, blocking_strategy
from support.bots import ENDED, a_document, insert_bot, the_books
from support.service import Service
from support.systemd_machine import SystemdMachine, why_not
from support.waiting import wait_until

UNIT = "tradingbot.service"
DATABASE = "/var/lib/tradingbot/tradingbot.db"
FLAG = "/var/lib/tradingbot/block"
BARS, BARS_A_SECOND = 1000, 100.0

PROBE = """
import ctypes, os, socket
import aiohttp, ccxt, ib_async, numpy, onnxruntime, psutil, psycopg, talib
from onnx import TensorProto, helper

side = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [64, 64]) for name in "xy"]
graph = helper.make_graph([helper.make_node("MatMul", ["x", "x"], ["y"])], "g", side[:1], side[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
assert session.run(None, {"x": numpy.ones((64, 64), "float32")})[0].sum() == 64**3
process = psutil.Process()
assert process.memory_info().rss and process.num_fds() and process.create_time() and psutil.virtual_memory().total
assert socket.getaddrinfo("localhost", 80)
assert ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda value: value + 1)(1) == 2
# A lease's holder is judged by these: a process of another user included.
assert open("/proc/sys/kernel/random/boot_id").read() and open("/proc/1/stat").read()
assert os.getuid() and not os.path.exists("/root/.bashrc")
for place in ("/opt/x", "/etc/x", "/usr/x"):
    try:
        open(place, "w")
    except OSError:
        continue
    raise SystemExit(place + " can be written")
print("all of it works")
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[SystemdMachine]:
    reason = why_not()
    if reason is not None:
        # Root of a machine that runs CI can do all of it, unless the machine itself forbids: then it says so.
        forbidden = os.geteuid() != 0 or "not allowed here" in reason or "no cgroup" in reason
        if (os.environ.get("REQUIRE_CLUSTER") or os.environ.get("CI")) and not forbidden:
            pytest.fail(reason)
        pytest.skip(reason)
    with SystemdMachine() as booted:
        yield booted


def replayed(speed: float = BARS_A_SECOND, **changes: Any) -> dict[str, Any]:
    data = {"data_source": "generated", "interval": "1h", "seed": 5, "speed": speed, "bars": BARS}
    return a_document(data=data, **changes)


def as_the_service(machine: SystemdMachine, *words: str) -> str:
    who = ["setpriv", "--reuid=tradingbot", "--regid=tradingbot", "--clear-groups"]
    return machine.run(*who, "env", f"DATABASE_URL=sqlite:///{DATABASE}", *words)


def add_bot(machine: SystemdMachine, name: str, document: dict[str, Any]) -> None:
    machine.write(f"/opt/bots/{name}.json", json.dumps(document))
    as_the_service(machine, "tradingbot", "bots", "import", f"/opt/bots/{name}.json")


def bot(machine: SystemdMachine, bot_id: int) -> dict[str, Any]:
    """What the service says of it; {} while it says nothing."""
    said = machine.get("/status") or {}
    return next((bot for bot in said.get("bots", []) if bot["id"] == bot_id), {})


def phase_of(machine: SystemdMachine, bot_id: int) -> str | None:
    return bot(machine, bot_id).get("phase")


def main_pid(machine: SystemdMachine) -> str:
    return machine.property(UNIT, "MainPID")


def books_in(machine: SystemdMachine, folder: Path) -> dict[str, Any]:
    code = f"import base64, sqlite3; print(base64.b64encode(sqlite3.connect({DATABASE!r}).serialize()).decode())"
    copy = folder / "copy.db"
    copy.write_bytes(base64.b64decode(as_the_service(machine, "python", "-c", code)))
    return asyncio.run(the_books(f"sqlite:///{copy}", 1))


def undisturbed_books(folder: Path) -> dict[str, Any]:
    url = f"sqlite:///{folder / 'undisturbed.db'}"
    upgrade(url)

    async def insert() -> int:
        database = Database(url)
        try:
            return await insert_bot(database, replayed(speed=0))
        finally:
            await database.aclose()

    bot_id = asyncio.run(insert())
    with Service(folder, url, "serve") as service:
        wait_until(lambda: service.bot(bot_id).get("message") == ENDED, 60, "the end", tell=service.log.read_text)
        assert service.stop() == 0
    return asyncio.run(the_books(url, bot_id))


def change(machine: SystemdMachine, line: str) -> None:
    """What `systemctl edit` does."""
    machine.write(f"/etc/systemd/system/{UNIT}.d/{line.partition('=')[0]}.conf", f"[Service]\n{line}\n")
    machine.run("systemctl", "daemon-reload")


def install_and_start(machine: SystemdMachine) -> None:
    """READY included: `--now` comes back when it was sent."""
    machine.write("/opt/plugins/blocking.py", PLUGIN.format(flag=json.dumps(FLAG)))
    change(machine, "RestartSec=100ms")
    machine.run("tradingbot", "service", "install")
    settings = "TRADINGBOT_PLUGINS=/opt/plugins\nTRADINGBOT_POLL_SECONDS=0.5\nTRADINGBOT_HEARTBEAT_SECONDS=0.5\n"
    machine.run("sh", "-c", "cat >> /etc/tradingbot/environment", text=settings)
    again = json.loads(machine.run("tradingbot", "service", "install", "--now", "--json"))
    assert (again["changed"], again["started"]) == (False, True)
    assert machine.run("systemctl", "is-active", UNIT).strip() == "active"
    assert machine.property(UNIT, "UnitFileState") == "enabled"
    assert machine.property(UNIT, "StatusText") == "no bots; database answers"
    modes = machine.run("stat", "-c", "%U %a", "/etc/tradingbot/environment", "/var/lib/tradingbot", DATABASE)
    assert modes.splitlines() == ["root 600", "tradingbot 700", "tradingbot 600"]


def kill_while_it_trades(machine: SystemdMachine, folder: Path) -> None:
    """Restarted each time, it has traded in the end as if it had not been."""
    add_bot(machine, "one", replayed())
    for trades in (3, 9):
        wait_until(lambda trades=trades: bot(machine, 1).get("trades", 0) >= trades, 60, f"{trades} trades")
        killed = main_pid(machine)
        machine.run("kill", "-KILL", killed)
        wait_until(lambda killed=killed: main_pid(machine) not in {killed, "0"}, 30, "the restart")
        wait_until(lambda: phase_of(machine, 1) == "running", 60, "the bot again")
        assert bot(machine, 1)["message"] != ENDED, "it was killed amid its trades"
    wait_until(lambda: bot(machine, 1).get("message") == ENDED, 60, "the end of the data")
    assert machine.property(UNIT, "NRestarts") == "2"
    assert machine.property(UNIT, "StatusText") == "1 bot: 1 running; database answers"
    found, expected = books_in(machine, folder), undisturbed_books(folder)
    assert len(found["trading_trades"]) > 20
    assert found == expected


def block_the_event_loop(machine: SystemdMachine) -> None:
    """The watchdog ends the process, and the log says where it stood."""
    change(machine, "WatchdogSec=5")
    machine.run("systemctl", "restart", UNIT)
    add_bot(machine, "two", replayed(strategy=blocking_strategy()))
    wait_until(lambda: phase_of(machine, 2) == "running", 60, "the bot that will block")
    machine.write(FLAG, "")
    journal = partial(machine.journal, UNIT)
    stood = re.compile(r'Watchdog timeout.*File "/opt/plugins/blocking.py", line \d+ in evaluate', re.DOTALL)
    wait_until(lambda: stood.search(journal()), 60, "the watchdog", every=0.5, tell=journal)
    machine.run("rm", FLAG)
    wait_until(lambda: phase_of(machine, 2) == "running", 60, "the bot that blocked")


def stop_and_boot(machine: SystemdMachine) -> None:
    machine.run("systemctl", "stop", UNIT)
    assert machine.property(UNIT, "Result") == "success"
    sql = "SELECT status, json_extract(extra_metadata, '$.stopped_by') FROM trading_bots"
    code = f"import sqlite3; print(sqlite3.connect({DATABASE!r}).execute({sql!r}).fetchall())"
    assert as_the_service(machine, "python", "-c", code).strip() == str([("stopped", "shutdown")] * 2)
    machine.reboot()
    journal = partial(machine.journal, UNIT)
    wait_until(lambda: phase_of(machine, 2) == "running", 60, "a bot of before", tell=journal)
    all_run = "2 bots: 2 running; database answers"
    wait_until(lambda: machine.property(UNIT, "StatusText") == all_run, 30, "both bots of before")
    assert all_run in machine.run("tradingbot", "service", "status")


def uninstall(machine: SystemdMachine) -> None:
    said = machine.run("tradingbot", "service", "uninstall", "--yes")
    assert "left as they are: data in /var/lib/tradingbot, /etc/tradingbot/environment" in said
    assert machine.property(UNIT, "ActiveState") == "inactive"
    assert machine.property(UNIT, "FragmentPath") == ""
    machine.run("test", "-f", DATABASE)


@pytest.mark.slow
def test_a_real_systemd_runs_restarts_watches_stops_and_boots_the_service(
    machine: SystemdMachine, tmp_path: Path
) -> None:
    install_and_start(machine)
    kill_while_it_trades(machine, tmp_path)
    block_the_event_loop(machine)
    stop_and_boot(machine)
    uninstall(machine)


@pytest.mark.slow
def test_what_bots_import_works_under_the_hardening_of_the_unit(machine: SystemdMachine) -> None:
    machine.write("/opt/probe.py", PROBE)
    machine.write("/etc/tradingbot-probe/environment", "")
    machine.write("/etc/sysusers.d/probe.conf", "u tradingbot-probe -\n")
    machine.run("systemd-sysusers")
    name, command = "tradingbot-probe", ["/opt/tradingbot/.venv/bin/python", "/opt/probe.py"]
    options = UnitOptions(command=command, name=name, user=name, upgrade_database=False)
    once = re.sub(r"(?m)^(WatchdogSec|Restart|NotifyAccess)\S*\n", "", build_unit(options))
    machine.write(options.unit_file, once.replace("Type=notify", "Type=oneshot"))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", name, check=False)
    assert machine.property(name, "Result") == "success", machine.journal(name)
    assert "all of it works" in machine.journal(name)


@pytest.mark.usefixtures("machine")
def test_a_machine_leaves_nothing_behind_also_where_a_test_failed() -> None:
    own = SystemdMachine()

    def fails() -> None:
        with own:
            own.run("sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &")
            assert len(own.traces) >= 3
            raise RuntimeError("a test that fails")

    with pytest.raises(RuntimeError, match="a test that fails"):
        fails()
    assert own.traces == []
