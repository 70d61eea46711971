"""A smoke of each benchmark, and the limits that do not depend on a machine: counts."""

import math
from importlib import import_module

import pytest

from benchmarks.__main__ import ALL
from benchmarks.context import Context, NotInstalledError
from benchmarks.figures import Figure, Section, sample
from benchmarks.report import keep, write
from support.postgres import find_postgres


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("name", ALL)
def test_a_benchmark_measures_all_that_it_promises(name, tmp_path):
    if find_postgres() is None:
        pytest.skip("NOT RUN: no PostgreSQL server is installed")
    with Context(tmp_path, quick=True) as context:
        try:
            section = import_module(f"benchmarks.{name}").measure(context)
        except NotInstalledError as error:
            pytest.skip(f"NOT RUN: {error}")
    assert section.key == name
    assert section.figures
    for figure in section.figures:
        assert all(math.isfinite(value) for value in figure.ours.values)
    counts = {figure.what: figure.ours.median for figure in section.figures}
    if name == "heartbeat":
        assert counts["statements of a heartbeat"] == 1
        assert counts["round trips of a heartbeat"] == 1


def test_the_report_says_which_limits_are_kept_and_what_was_not_measured(tmp_path):
    results, page = tmp_path / "results.json", tmp_path / "page.md"
    ours, floor = sample("MiB", (90, 100, 110)), sample("MiB", (80, 80, 80))
    figures = (
        Figure("memory", ours, "imports", floor, 1.15),
        Figure("speed", ours, "loop", floor, 1.2, at_least=True, note="by a hair"),
        Figure("count", sample("", (1,)), limit=1),
    )
    section = Section("one", "One", "How.", figures, missing=("peers: not installed",), about=(("machine", "this"),))
    keep(section, results)
    keep(section, results)  # again: in the same place
    write(("one", "two"), results, page)
    text = page.read_text()
    assert "| memory | 100 MiB (90 to 110) | imports: 80 MiB (80 to 80) | 1.25 | at most 1.15 | **not met** |" in text
    assert "| 1.25 | at least 1.2 | met |" in text
    assert "| count | 1  (1 to 1) |  |  | at most 1 | met |" in text
    assert "* speed: by a hair" in text
    assert "**Not measured**: peers: not installed" in text
    assert "Not measured yet: two." in text
    assert text.count("## One") == 1
