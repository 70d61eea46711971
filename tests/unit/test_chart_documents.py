"""What the chart says of its values, and which version it is."""

import json
import re
import runpy
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from support.cluster import CHART, PROJECT
from support.release import PREVIOUS_CHARTS


def test_the_readme_is_what_values_and_template_say():
    written = runpy.run_path(str(PROJECT / "scripts" / "document-chart"))["text"]()
    assert (CHART / "README.md").read_text(encoding="utf-8") == written, "run `make docs`"


def test_a_value_without_an_explanation_is_refused():
    sections = runpy.run_path(str(PROJECT / "scripts" / "document-chart"))["_sections"]
    explained = "# A group.\ngroup:\n  # -- What it is,\n  # and more\n  known: 1\n"
    assert "| `group.known` | `1` | What it is, and more |" in "".join(sections(explained))
    with pytest.raises(ValueError, match=r"group\.unknown"):
        "".join(sections(explained + "  unknown: 2\n"))


SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
VALUES = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema
    while "$ref" in found:
        found = SCHEMA["definitions"][found["$ref"].rpartition("/")[2]]
    return found


def differences(values: Any, schema: dict[str, Any], path: str = "values") -> Iterator[str]:
    """What the schema does not know, or knows otherwise; what it knows and values.yaml has not."""
    schema = resolved(schema)
    if "enum" in schema:
        if values not in schema["enum"]:
            yield f"{path}: {values!r} is none of the enum"
        return
    kind = schema.get("type")
    if isinstance(kind, list):  # what may be written as text or as a number: values.yaml writes the first
        kind = kind[0]
    if kind is None or not isinstance(values, _TYPES[kind]) or (kind != "boolean" and isinstance(values, bool)):
        yield f"{path}: {values!r} is no {kind}"
        return
    properties = schema.get("properties")
    if kind != "object" or properties is None:
        return
    if schema.get("additionalProperties") is not False:
        yield f"{path}: takes keys that it does not know"
    if not path.endswith("esources"):  # what a pod may ask for is Kubernetes' own list
        yield from (f"{path}.{key}: is not in values.yaml" for key in properties.keys() - values.keys() - {"global"})
    for key, value in values.items():
        if key in properties:
            yield from differences(value, properties[key], f"{path}.{key}")
        else:
            yield f"{path}.{key}: is not in the schema"


def test_schema_and_values_know_the_same_keys_and_types():
    assert list(differences(VALUES, SCHEMA)) == []


def test_the_comparison_of_schema_and_values_finds_what_it_looks_for():
    assert list(differences({**VALUES, "crds": {"install": "yes"}}, SCHEMA)) == [
        "values.crds.install: 'yes' is no boolean"
    ]
    assert list(differences({**VALUES, "crds": {}}, SCHEMA)) == ["values.crds.install: is not in values.yaml"]
    assert list(differences({**VALUES, "crd": 1}, SCHEMA)) == ["values.crd: is not in the schema"]


def test_chart_application_and_package_have_one_version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    package = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert chart["version"] == chart["appVersion"] == package["version"]
    changes = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changes, re.MULTILINE)[1] == package["version"]
    (previous,) = PREVIOUS_CHARTS
    assert previous.name != f"tradingbot-operator-{chart['version']}.tgz"
