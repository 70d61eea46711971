from collections.abc import Iterator
from typing import Any

import pytest

from bot_core.models.extensions import NamesOnly, use_extensions
from bot_core.store.database import Database
from bot_operator.app import OperatorApp
from bot_operator.fence import Fence
from bot_operator.manifests import build_spec
from bot_operator.metrics import Metrics
from bot_operator.settings import ProcessSettings
from support.fake_cluster import FakeCluster
from support.operator_builders import a_document, a_row, some_settings

PLUGGED: dict[str, Any] = {
    "type": "CustomStrategy",
    "parameters": {
        "entry_logic": {"name": "OurEntry", "params": {"depth": 3}},
        "exit_logic": {"name": "ATRExitMixin", "params": {}},
    },
}


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = use_extensions(NamesOnly({}))
    yield
    use_extensions(before)


def test_a_rule_of_a_plugin_is_unknown_until_the_settings_name_it() -> None:
    row = a_row().with_config(a_document(strategy=PLUGGED))
    assert "'OurEntry' is not a known entry rule" in row.record().config_error
    use_extensions(some_settings(plugins={"entries": ["OurEntry"]}).plugins.extensions())
    parsed = row.record().parsed
    assert parsed.problems == ()
    assert "is not checked here: OurEntry is a plugin's" in " ".join(map(str, parsed.notices))
    assert build_spec(row.record())["entry"] == "OurEntry"


def test_a_strategy_broker_or_feed_of_a_plugin_is_judged_by_name() -> None:
    names = {"strategies": ["OurStrategy"], "brokers": ["ourvenue"], "feeds": ["ourdata"]}
    use_extensions(some_settings(plugins=names).plugins.extensions())
    document = a_document(
        strategy={"type": "OurStrategy", "parameters": {"any": [1], "depth": 2}},
        broker={"type": "ourvenue", "trading_mode": "paper"},
        data={"data_source": "ourdata", "interval": "1h"},
    )
    record = a_row().with_config(document).record()
    assert record.config_error == ""
    assert build_spec(record)["strategy"] == "OurStrategy"


async def test_the_app_judges_by_the_names_of_its_settings() -> None:
    database = Database("sqlite://")
    settings = some_settings(plugins={"entries": ["OurEntry"]})
    process = ProcessSettings("sqlite://")
    app = OperatorApp.compose(settings, process, database, FakeCluster(), Fence.always_open(), Metrics())
    await app.aclose()
    assert a_row().with_config(a_document(strategy=PLUGGED)).record().config_error == ""
