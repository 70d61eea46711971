"""What every test shares: the option that writes golden files anew, quiet logs, and no way to a real venue."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot_core.logs import configure_logging
from support.nowhere import NOWHERE


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files instead of comparing with them")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what passed and what skipped in the file TESTS_NOTED: docs/requirements.md is compared with it."""
    noted = os.environ.get("TESTS_NOTED")
    told = report.skipped or (report.passed and report.when == "call")
    if noted and told and "PYTEST_XDIST_WORKER" not in os.environ:
        with Path(noted).open("a", encoding="utf-8") as file:
            file.write(f"{report.outcome} {report.nodeid}\n")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, Any], None]:
    """Compare a document with `golden/<name>.json` beside the test; with --update-golden write it."""

    def check(name: str, document: Any) -> None:
        path = Path(request.path).parent / "golden" / f"{name}.json"
        text = json.dumps(document, indent=2, sort_keys=True) + "\n"
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path} is missing; write it with --update-golden"
        assert json.loads(path.read_text(encoding="utf-8")) == document

    return check


@pytest.fixture(scope="session", autouse=True)
def _nowhere() -> Iterator[None]:
    """No test talks to a real venue or data service: one that forgets its stand-in finds nobody."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in NOWHERE.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(autouse=True)
def _quiet_logs() -> None:
    configure_logging("CRITICAL", json=True)
