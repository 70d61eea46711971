"""A smoke of each benchmark, and the limits that do not depend on a machine: counts."""

import math
from importlib import import_module
from xml.etree import ElementTree as ET

import pytest

from benchmarks.__main__ import ALL, APART, ON_A_CLUSTER
from benchmarks.context import Context, NotInstalledError
from benchmarks.figures import Figure, Section, sample
from benchmarks.flames.__main__ import ALL as FLAMES
from benchmarks.flames.drawing import drawn, merged
from benchmarks.report import keep, write
from support.postgres import find_postgres


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("name", [name for name in ALL if name not in ON_A_CLUSTER])
def test_a_benchmark_measures_all_that_it_promises(name, tmp_path):
    if find_postgres() is None:
        pytest.skip("NOT RUN: no PostgreSQL server is installed")
    with Context(tmp_path, quick=True) as context:
        try:
            section = import_module(f"benchmarks.{name}").measure(context)
        except NotInstalledError as error:
            if name not in APART:
                raise
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


def test_a_chart_has_one_panel_for_what_is_measured_against_several(tmp_path):
    ours = sample("bars/s", (1000,))
    figures = (
        Figure("backtest", ours, "loop", sample("bars/s", (500_000,))),
        Figure("backtest", ours, "peer <1>", sample("bars/s", (100,))),
        Figure("memory", sample("MiB", (100,)), "peer <1>", sample("MiB", (300,))),
        Figure("count", sample("", (1,)), limit=1),
    )
    keep(Section("one", "One", "How.", figures), tmp_path / "results.json")
    write(("one",), tmp_path / "results.json", tmp_path / "page.md")
    assert "![One](page/one.svg)" in (tmp_path / "page.md").read_text()
    svg = "{http://www.w3.org/2000/svg}"
    panels = ET.parse(tmp_path / "page" / "one.svg").getroot().findall(f"{svg}g")
    texts = [[text.text for text in panel.findall(f"{svg}text")] for panel in panels]
    assert texts == [
        ["backtest, bars/s, logarithmic", "ours", "1,000", "loop", "500,000", "peer <1>", "100"],
        ["memory, MiB", "ours", "100", "peer <1>", "300"],
    ]
    logarithmic, linear = ([float(bar.get("width")) for bar in panel.findall(f"{svg}rect")] for panel in panels)
    assert logarithmic[0] / logarithmic[1] == pytest.approx(1 / math.log10(5000), rel=0.01)
    assert linear[0] / linear[1] == pytest.approx(1 / 3, rel=0.01)


def test_a_flame_graph_merges_stacks_and_leaves_out_what_waits_and_what_only_imports():
    stacks = (
        "main (run.py:1);_find_and_load (<frozen importlib._bootstrap>:1165);work (bot_core/a.py:7) 30",
        "main (run.py:1);work (bot_core/a.py:9);deeper <b> (x.py:1) 10",
        "main (run.py:1);EpollSelector.select (selectors.py:452) 500",
        "main (run.py:1);other (y.py:1) 60",
    )
    top = merged(stacks, "process")
    assert (top.samples, top.depth(least=1)) == (100, 4)
    assert merged(stacks, "work", under="work").samples == 40
    svg = drawn(top, "A process")
    assert "<title>work (bot_core/a.py): 40.0 %</title>" in svg
    assert "deeper &lt;b&gt; (x.py): 10.0 %" in svg
    with pytest.raises(ValueError, match="no sample"):
        drawn(merged(stacks, "work", under="nothing"), "Nothing")


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("name", FLAMES)
def test_a_flame_graph_is_drawn_of_each_path(name, tmp_path):
    if find_postgres() is None:
        pytest.skip("NOT RUN: no PostgreSQL server is installed")
    with Context(tmp_path, quick=True) as context:
        try:
            svg = FLAMES[name](context)
        except NotInstalledError as error:
            pytest.skip(f"NOT RUN: {error}")
    assert "bot_" in svg
    ET.fromstring(svg)
