import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bot_runtime.cli.main import main
from bot_runtime.system import visible
from bot_runtime.system.own_status import own_status, read_environment
from bot_runtime.system.systemd import ServiceError, SystemdService
from bot_runtime.system.unit import UnitOptionError, UnitOptions, build_environment, build_unit

GOLDEN = Path(__file__).parent / "golden" / "tradingbot.service"
COMMAND = ["/opt/tradingbot/bin/tradingbot"]
#: What `systemd-analyze security` may say: 10 is wide open. Systemd 252 says 1.2; others count a little differently.
EXPOSURE = 1.5


def unit(**changes: object) -> str:
    return build_unit(UnitOptions(**({"command": COMMAND} | changes)))


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        message = "no systemd-analyze on this machine (Debian: apt-get install systemd)"
        if os.environ.get("REQUIRE_CLUSTER") or os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return subprocess.run([program, "--no-pager", *words], capture_output=True, text=True, check=False)


def test_the_unit_is_the_one_that_was_looked_at(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        GOLDEN.write_text(unit(), encoding="utf-8")
    assert GOLDEN.read_text(encoding="utf-8") == unit()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"upgrade_database": False, "watchdog_seconds": 15, "name": "desk-2", "user": "desk"},
        {"command": ["replaced below"], "arguments": ["--bots", "1,2", "a $HOME b"]},
    ],
)
def test_systemd_accepts_the_unit_without_a_word(tmp_path: Path, changes: dict[str, object]) -> None:
    program = tmp_path / "a b 100%" / "tradingbot"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    command = [str(program)] if "command" in changes else [sys.executable]
    path = tmp_path / "tradingbot.service"
    path.write_text(unit(**(changes | {"command": command})))
    done = analyze("verify", str(path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_the_unit_leaves_open_stays_little(tmp_path: Path) -> None:
    path = tmp_path / "tradingbot.service"
    path.write_text(unit())
    allowed = analyze("security", "--offline=true", f"--threshold={EXPOSURE * 10:.0f}", str(path))
    assert allowed.returncode == 0, allowed.stdout
    (level,) = re.findall(r"Overall exposure level for tradingbot.service: ([\d.]+)", allowed.stdout)
    assert float(level) <= EXPOSURE


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "Trading Bot"}, "--name is 'Trading Bot'; allowed"),
        ({"user": "a\nb"}, "--user is"),
        ({"command": ["tradingbot"]}, "--executable is 'tradingbot'; allowed: an absolute path without quotes"),
        ({"command": ['/opt/"']}, "--executable is"),
        ({"state_directory": "/srv/bots"}, "--state-directory is '/srv/bots'; allowed: a folder below /var/lib"),
        ({"state_directory": "/var/lib/../etc"}, "--state-directory"),
        ({"environment_file": "/etc/a b"}, "--environment-file"),
        ({"arguments": ["a\nExecStart=/bin/sh"]}, "allowed: no line breaks"),
    ],
)
def test_what_a_unit_can_not_have_is_refused_by_name(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UnitOptionError, match=re.escape(words)):
        unit(**changes)


def test_the_environment_file_names_the_database_and_holds_no_other_value() -> None:
    text = build_environment(UnitOptions(command=COMMAND, state_directory="/var/lib/desk"))
    set_lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert set_lines == ["DATABASE_URL=sqlite:////var/lib/desk/tradingbot.db", "HOST=127.0.0.1"]


def install_into(root: Path, *words: str) -> int:
    return main(["service", "install", "--root", str(root), "--executable", COMMAND[0], *words])


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\n")
    if shutil.which("systemctl") is None:
        analyze()
    return tmp_path


def test_an_image_gets_unit_user_environment_and_starts_it_at_boot(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install_into(image) == 0
    assert (image / "etc/systemd/system/tradingbot.service").read_text() == unit()
    assert (image / "etc/systemd/system/multi-user.target.wants/tradingbot.service").is_symlink()
    environment = image / "etc/tradingbot/environment"
    assert environment.stat().st_mode & 0o777 == 0o600
    assert "\nu tradingbot - " in (image / "etc/sysusers.d/tradingbot.conf").read_text()
    assert "tradingbot starts at boot" in capsys.readouterr().out

    environment.write_text("DATABASE_URL=of-the-owner\n")
    assert install_into(image, "--json") == 0
    assert json.loads(capsys.readouterr().out)["changed"] is False
    assert install_into(image, "--watchdog", "30") == 0
    assert "WatchdogSec=30\n" in (image / "etc/systemd/system/tradingbot.service").read_text()
    assert environment.read_text() == "DATABASE_URL=of-the-owner\n"


def test_a_removed_service_leaves_data_environment_and_user(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install_into(image, "--state-directory", "/var/lib/desk") == 0
    assert main(["service", "uninstall", "--root", str(image)]) == 1
    assert "nothing was removed; without a terminal, --yes says that it is meant" in capsys.readouterr().err
    assert main(["service", "uninstall", "--root", str(image), "--yes"]) == 0
    assert "data in /var/lib/desk, /etc/tradingbot/environment" in capsys.readouterr().out
    assert not (image / "etc/systemd/system/tradingbot.service").exists()
    assert not (image / "etc/systemd/system/multi-user.target.wants/tradingbot.service").is_symlink()
    assert (image / "etc/tradingbot/environment").exists()
    assert main(["service", "uninstall", "--root", str(image), "--yes"]) == 1
    assert "no service of this name is installed" in capsys.readouterr().err


def test_the_unit_of_somebody_else_is_neither_replaced_nor_removed(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = image / "etc/systemd/system/tradingbot.service"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("[Service]\nExecStart=/bin/true\n")
    assert install_into(image) == 1
    assert main(["service", "uninstall", "--root", str(image), "--yes"]) == 1
    assert capsys.readouterr().err.count("was not written by this program; --force does it anyway") == 2
    assert theirs.read_text().endswith("/bin/true\n")
    assert install_into(image, "--force") == 0
    assert theirs.read_text() == unit()


def test_print_writes_the_unit_to_standard_output_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install", "--print", "--executable", COMMAND[0]]) == 0
    assert capsys.readouterr().out == unit()
    assert main(["service", "install", "--print", "--executable", COMMAND[0], "--", "--bots", "1,2"]) == 0
    assert "tradingbot serve --bots 1,2\n" in capsys.readouterr().out


def test_an_option_that_a_unit_can_not_have_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install", "--name", "A B"]) == 2
    assert "--name is 'A B'; allowed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["frobnicate"], ["--", "--frobnicate"], ["--", "--port", "soon"], ["--", "--bots", "x"]]
)
def test_options_that_serve_could_not_read_are_refused_before_anything_is_written(
    image: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert install_into(image, *words) == 2
    assert "sage: tradingbot serve" in capsys.readouterr().err
    assert sorted(path.name for path in image.rglob("*")) == ["etc", "group", "passwd"]


def test_the_unit_is_told_to_programs_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install", "--print", "--json", "--executable", COMMAND[0]]) == 0
    assert json.loads(capsys.readouterr().out) == {"unit": "/etc/systemd/system/tradingbot.service", "text": unit()}


def test_an_installation_that_the_service_could_not_see_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bot_runtime.cli.service_install.program_paths", lambda: [Path("/home/eve/venv"), Path("/usr")])
    assert main(["service", "install"]) == 1
    said = capsys.readouterr().err
    assert "sees neither home folders nor /tmp" in said
    assert "(/home/eve/venv)" in said
    assert visible.hidden_paths([Path("/homes/x"), Path("/opt/x"), Path("/tmp/x")]) == [Path("/tmp/x")]


def test_somebody_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    service = SystemdService(UnitOptions(command=COMMAND), None)
    with pytest.raises(ServiceError, match="with sudo"):
        service.install(now=False, force=False)
    with pytest.raises(ServiceError, match="with sudo"):
        service.uninstall(force=False)


def test_a_service_is_asked_where_its_environment_file_says(tmp_path: Path) -> None:
    file = tmp_path / "environment"
    file.write_text("# PORT=1\nPORT = '1'\nHOST=0.0.0.0\n")
    assert read_environment(file) == {"PORT": "1", "HOST": "0.0.0.0"}
    assert read_environment(tmp_path / "none") == {}
    assert own_status(file) is None, "nobody listens there"
