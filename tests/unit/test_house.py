import json
import operator
import os
import re
import runpy
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bot_core.store.upgrade import upgrade
from support.bots import a_document
from support.nowhere import NOWHERE
from support.postgres import free_port
from support.waiting import wait_until

PROJECT = Path(__file__).resolve().parents[2]


def test_the_standard_operator_module_stays_itself() -> None:
    assert not (PROJECT / "operator" / "__init__.py").exists()
    assert operator.itemgetter(1)("ab") == "b"
    assert PROJECT not in Path(operator.__file__).parents


def test_the_standard_operator_module_stays_itself_in_a_process_started_here() -> None:
    code = "import operator, bot_operator; print(operator.attrgetter)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert "operator.attrgetter" in done.stdout


@pytest.mark.parametrize(
    ("script", "page"), [("document-strategies", "strategies.md"), ("document-commands", "command-line.md")]
)
def test_a_generated_page_is_what_the_code_says(script: str, page: str) -> None:
    written = runpy.run_path(str(PROJECT / "scripts" / script))["text"]()
    assert (PROJECT / "docs" / page).read_text(encoding="utf-8") == written, "run `make docs`"


def test_the_configuration_reference_is_what_the_models_say() -> None:
    # In a process of its own: a plugin that another test has installed is no part of the page.
    code = "import runpy; print(runpy.run_path('scripts/document-configuration')['text'](), end='')"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    written = (PROJECT / "docs" / "configuration-reference.md").read_text(encoding="utf-8")
    assert written == done.stdout, "run `make docs`"


@pytest.mark.parametrize("name", ["bot", "operator", "dev", "build"])
def test_pinned_requirements_have_hashes_and_no_index_address(name: str) -> None:
    text = (PROJECT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    assert "://" not in text
    pins = re.findall(r"^[\w.\-\[\]]+==", text, re.MULTILINE)
    assert pins
    assert text.count("--hash=sha256:") >= len(pins)


def test_the_bot_needs_no_operator_framework_and_no_data_frames() -> None:
    text = (PROJECT / "requirements" / "bot.txt").read_text(encoding="utf-8")
    assert not re.search(r"^(kopf|kubernetes|pandas|typer|rich|pyarrow|jinja2|aiosmtplib)==", text, re.MULTILINE)


#: `tradingbot run 1` as a pod runs it, which tells at its end what of these it has imported.
RUN_AND_TELL = """
import sys
sys.modules["rich"] = None  # as in the bots' image; structlog takes it where it is
from bot_runtime.cli.main import main
code = main(["run", "1", "--port", sys.argv[1]])
print(code, sorted(name for name in sys.argv[2:] if sys.modules.get(name)))
"""
NOT_IN_A_BOT = (
    "kopf", "kubernetes", "pandas", "alembic", "onnxruntime", "ccxt", "ib_async", "requests", "pyarrow",
    "typer", "rich", "jinja2", "aiosmtplib", "telegram", "slack_sdk", "apprise", "opentelemetry",
)  # fmt: skip


def test_a_bot_that_runs_has_imported_neither_frameworks_nor_what_only_people_need(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bots.db'}"
    upgrade(url)
    (tmp_path / "bot.json").write_text(json.dumps(a_document()))
    environment = os.environ | {"DATABASE_URL": url}
    imported = [sys.executable, "-m", "bot_runtime", "bots", "import", "bot.json"]
    subprocess.run(imported, cwd=tmp_path, env=environment, check=True)
    port = free_port()
    command = [sys.executable, "-c", RUN_AND_TELL, str(port), *NOT_IN_A_BOT]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
    with process:
        try:
            wait_until(lambda: has_traded(url), 60, "a trade", tell=(tmp_path / "log").read_text)
        finally:
            process.terminate()
        told, _ = process.communicate(timeout=30)
    assert told == "0 []\n"


def has_traded(url: str) -> bool:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        return bool(connection.execute("SELECT count(*) FROM trading_trades").fetchone()[0])


def test_the_tests_put_every_address_of_a_service_where_nobody_is() -> None:
    read = [path.read_text(encoding="utf-8") for path in (PROJECT / "bot_runtime").rglob("*.py")]
    named = set(re.findall(r'"(TRADINGBOT_\w+_URL|IBKR_HOST|IBKR_\w*PORT)"', "".join(read)))
    assert {"TRADINGBOT_EXCHANGE_URL", "IBKR_PAPER_PORT"} <= named
    assert named <= NOWHERE.keys()
