import operator
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from support.nowhere import NOWHERE

PROJECT = Path(__file__).resolve().parents[2]


def test_the_standard_operator_module_stays_itself() -> None:
    assert not (PROJECT / "operator" / "__init__.py").exists()
    assert operator.itemgetter(1)("ab") == "b"
    assert PROJECT not in Path(operator.__file__).parents


def test_the_standard_operator_module_stays_itself_in_a_process_started_here() -> None:
    code = "import operator, bot_operator; print(operator.attrgetter)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert "operator.attrgetter" in done.stdout


def test_the_page_of_strategies_is_what_the_catalogue_says() -> None:
    written = runpy.run_path(str(PROJECT / "scripts" / "document-strategies"))["text"]()
    assert (PROJECT / "docs" / "strategies.md").read_text(encoding="utf-8") == written, "run `make docs`"


@pytest.mark.parametrize("name", ["bot", "operator", "dev", "build"])
def test_pinned_requirements_have_hashes_and_no_index_address(name: str) -> None:
    text = (PROJECT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    assert "://" not in text
    pins = re.findall(r"^[\w.\-\[\]]+==", text, re.MULTILINE)
    assert pins
    assert text.count("--hash=sha256:") >= len(pins)


def test_the_bot_needs_no_operator_framework_and_no_data_frames() -> None:
    text = (PROJECT / "requirements" / "bot.txt").read_text(encoding="utf-8")
    assert not re.search(r"^(kopf|kubernetes|pandas|rich|pyarrow)==", text, re.MULTILINE)


def test_what_a_bot_process_imports_has_neither_kopf_nor_kubernetes_nor_data_frames() -> None:
    unwanted = {"kopf", "kubernetes", "pandas", "alembic", "onnxruntime", "ccxt", "ib_async", "requests", "pyarrow"}
    unwanted |= {"opentelemetry", "psutil"}
    code = f"import sys, bot_runtime.cli.main; print({unwanted!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_tests_put_every_address_of_a_service_where_nobody_is() -> None:
    read = [path.read_text(encoding="utf-8") for path in (PROJECT / "bot_runtime").rglob("*.py")]
    named = set(re.findall(r'"(TRADINGBOT_\w+_URL|IBKR_HOST|IBKR_\w*PORT)"', "".join(read)))
    assert {"TRADINGBOT_EXCHANGE_URL", "IBKR_PAPER_PORT"} <= named
    assert named <= NOWHERE.keys()
