import json
import subprocess
import sys
from pathlib import Path

from support.bots import a_document


def test_a_reader_that_has_seen_enough_ends_the_command_without_a_traceback(tmp_path: Path) -> None:
    for number in range(400):
        (tmp_path / f"{number}.json").write_text(json.dumps(a_document(frobnicate=1)))
    command = [sys.executable, "-u", "-m", "bot_runtime", "validate", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait(30) in {0, 1}


def test_a_wrong_command_is_a_usage_error() -> None:
    done = subprocess.run([sys.executable, "-m", "bot_runtime", "frobnicate"], capture_output=True, check=False)
    assert done.returncode == 2


def test_a_database_that_does_not_answer_is_exit_code_three(monkeypatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:hunter2@127.0.0.1:1/none")
    done = subprocess.run([sys.executable, "-m", "bot_runtime", "bots", "list"], capture_output=True, check=False)
    assert done.returncode == 3
    assert b"does not answer" in done.stderr
    assert b"hunter2" not in done.stderr
