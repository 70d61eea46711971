"""The Grafana dashboards that the chart ships, read as files: they can be imported as they are."""

import json

import pytest

from support.prometheus import DASHBOARDS, panels

ALL = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@ALL
def test_a_dashboard_asks_for_its_data_source_and_has_an_id_that_links_can_name(path):
    document = json.loads(path.read_text(encoding="utf-8"))
    variables = {variable["name"]: variable for variable in document["templating"]["list"]}
    assert document["uid"] == f"tradingbot-{path.stem}"
    assert "id" not in document
    assert "__inputs" not in document
    assert variables["datasource"]["type"] == "datasource"
    for item in [*panels(path), *(target for panel in panels(path) for target in panel["targets"])]:
        assert item["datasource"] == SOURCE


@ALL
def test_panels_have_ids_titles_units_and_a_place_of_their_own(path):
    document = json.loads(path.read_text(encoding="utf-8"))
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        assert panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])
    for panel in panels(path):
        assert panel["type"] in {"stat", "timeseries", "table"}
        assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"]


@ALL
def test_expressions_use_no_variable_that_the_dashboard_lacks(path):
    document = json.loads(path.read_text(encoding="utf-8"))
    known = {variable["name"] for variable in document["templating"]["list"]} | {"__rate_interval"}
    for panel in panels(path):
        for target in panel["targets"]:
            used = {word.rstrip('"])} ').split('"')[0].split("]")[0] for word in target["expr"].split("$")[1:]}
            assert used <= known, panel["title"]


def test_a_bots_id_in_the_fleet_leads_to_its_own_dashboard():
    text = DASHBOARDS[0].read_text(encoding="utf-8")
    assert "/d/tradingbot-bot?" in text
    assert "var-bot=${__value.raw}" in text
