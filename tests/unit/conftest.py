"""What tests of the chart share: helm, and the chart as it renders it."""

import os

import pytest

from support.chart import Rendering
from support.cluster import find_program


@pytest.fixture(scope="session")
def helm() -> str:
    program = find_program("helm")
    if program is None:
        reason = "helm is neither on PATH nor compiled by tests/e2e/cluster/onenode"
        if os.environ.get("REQUIRE_CLUSTER") == "1":
            pytest.fail(f"REQUIRE_CLUSTER=1, but {reason}", pytrace=False)
        pytest.skip(f"CHART TESTS NOT RUN: {reason}")
    return program


@pytest.fixture
def chart(helm: str) -> Rendering:
    return Rendering(helm)
