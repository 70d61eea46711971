import textwrap
from decimal import Decimal
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from structlog.testing import CapturingLogger

from bot_core.models.config import parse_config
from bot_core.models.errors import InvalidBotError
from bot_core.models.extensions import Group, use_extensions
from bot_core.models.feed import FeedConfig
from bot_core.models.rule import RuleConfig
from bot_core.models.strategy import parse_strategy
from bot_runtime import plugins as module
from bot_runtime.brokers.registry import build_broker
from bot_runtime.engine.backtest import run_backtest
from bot_runtime.feeds.registry import build_feed
from bot_runtime.plugin_api import EntryPlugin, ExitPlugin, Parameter
from bot_runtime.plugins import Plugins, install, installed_plugins
from bot_runtime.strategies import registry
from bot_runtime.strategies.plugged import plugin_entry, plugin_exit, plugin_strategy
from bot_runtime.strategies.registry import build_strategy
from support.bars import CASH, COMMISSION, made_up_bars, strategy_document
from support.bots import a_document
from support.plugins import write_folder


class Ours(EntryPlugin):
    name = "Ours"
    parameters = (Parameter("depth", 3, "how deep", 1, 10),)

    def evaluate(self, view):  # noqa: ARG002 - the port
        return None


class OurExit(ExitPlugin):
    name = "OurExit"

    def evaluate(self, view, position):  # noqa: ARG002 - the port
        return None


class Halfway:
    name = "Halfway"

    def evaluate(self, view):  # noqa: ARG002 - the port
        return None


class Unfinished(EntryPlugin):
    name = "Unfinished"

    def __init__(self, config):  # noqa: ARG002 - the port
        raise ZeroDivisionError("in the constructor")


class Misnamed(Ours):
    name = "SomethingElse"


class Misdeclared(Ours):
    name = "Misdeclared"
    parameters = ("depth",)


class Boundless(Ours):
    name = "Boundless"
    parameters = (Parameter("depth", 3, "how deep"),)


def our_feed(data, symbol, *, sleep):
    return ("feed", data["data_source"], symbol)


def our_broker(config):
    return ("broker", config.broker.type, config.symbol)


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    monkeypatch.setattr(module, "_used", [])
    before = use_extensions(Plugins(list))
    yield
    use_extensions(before)


def installed(*names, group=Group.ENTRIES, folder=None):
    points = [EntryPoint(name, f"{__name__}:{value}", group.entry_points) for name, _, value in map(_split, names)]
    return install(Plugins(lambda: [_Point(point) for point in points], folder))


class _Point:
    """An entry point whose object is here: `--import-mode=importlib` gives test modules no name to import by."""

    dist = None

    def __init__(self, point):
        self.name, self.value, self.group = point.name, point.value, point.group

    def load(self):
        return globals()[self.value.rpartition(":")[2]]


def _split(name):
    return (name, "=", name) if "=" not in name else name.partition("=")


def entry_problems(name):
    _, problems, _ = parse_strategy(strategy_document(name))
    return [str(problem) for problem in problems]


def test_a_document_may_name_a_plugin_and_its_parameters_are_checked_as_declared():
    installed("Ours")
    config, problems, notices = parse_strategy(strategy_document("Ours", entry_params={"e_depth": 5, "odd": 1}))
    assert problems == []
    assert config.entry.parameters == {"depth": 5}
    assert [str(notice) for notice in notices] == [
        "strategy.parameters.entry_logic.params.odd: is no parameter of Ours; kept, not read"
    ]
    assert build_strategy(config).entry_name == "Ours"
    _, problems, _ = parse_strategy(strategy_document("Ours", entry_params={"depth": 11}))
    assert "depth: 11 is not allowed for how deep; allowed: a whole number from 1 to 10" in str(problems[0])


def test_a_misspelt_plugin_is_named_as_the_nearest():
    installed("Ours")
    (problem,) = entry_problems("ours")
    assert problem.endswith("did you mean Ours?")


def test_nothing_is_looked_for_while_documents_name_built_in_parts_only():
    def fail():
        raise AssertionError("it was looked for")

    install(Plugins(fail))
    assert parse_config(a_document()).config is not None


def test_a_plugin_is_imported_only_when_it_is_asked_for():
    points = [_Point(EntryPoint(name, "m:Nowhere", Group.ENTRIES.entry_points)) for name in ("A", "B")]
    points.append(_Point(EntryPoint("Ours", "m:Ours", Group.ENTRIES.entry_points)))
    plugins = install(Plugins(lambda: points))
    assert entry_problems("Ours") == []
    assert plugins.troubles == {}
    assert plugins.names(Group.ENTRIES) == ("A", "B", "Ours")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Missing", "KeyError: 'Missing'"),
        ("Halfway", "it has no dump_state, load_state"),
        ("Other=Misnamed", "its `name` is 'SomethingElse'; allowed: 'Other'"),
        ("Misdeclared", "its `parameters` are no tuple of Parameter"),
        ("Boundless", "parameter depth has no default within `low` and `high`"),
        ("Text=__name__", "is neither a class nor a function"),
    ],
)
def test_a_broken_plugin_is_reported_once_and_a_document_that_names_it_says_why(name, words, monkeypatch):
    log = CapturingLogger()
    monkeypatch.setattr(module, "_log", log)
    plugins = installed(name, "Ours")
    asked = name.partition("=")[0]
    for _ in range(3):
        (problem,) = entry_problems(asked)
        assert "can't be used: plugin " in problem
        assert words in problem
    (told,) = [call for call in log.calls if call.args == ("plugin_refused",)]
    assert told.method_name == "error"
    assert told.kwargs["plugin"].split()[1] == asked
    assert words in told.kwargs["error"]
    assert entry_problems("Ours") == []
    assert plugins.names(Group.ENTRIES) == ("Ours",)


@pytest.mark.parametrize(
    ("group", "name"),
    [
        (Group.ENTRIES, "RSIOrBBEntryMixin"),
        (Group.EXITS, "ATRExitMixin"),
        (Group.STRATEGIES, "CustomStrategy"),
        (Group.STRATEGIES, "ONNXStrategy"),
        (Group.BROKERS, "paper"),
        (Group.FEEDS, "generated"),
        (Group.NOTIFIERS, "telegram"),
    ],
)
def test_what_is_built_in_is_not_replaced(group, name):
    plugins = installed(f"{name}=Ours", group=group)
    assert plugins.names(group) == ()
    assert "is built in, and a plugin can't take its place" in "".join(plugins.troubles.values())


def test_of_two_plugins_of_one_name_the_first_is_used_and_the_other_is_named(tmp_path):
    (tmp_path / "another.py").write_text(
        textwrap.dedent("""
        from bot_runtime.plugin_api import EntryPlugin
        class Other(EntryPlugin):
            name = "Ours"
        ENTRIES = [Other]
        """)
    )
    plugins = installed("Ours", folder=tmp_path)
    assert plugins.find(Group.ENTRIES, "Ours") is Ours
    assert list(plugins.troubles) == ["entries Ours of another.py"]


def test_files_of_the_folder_are_loaded_each_by_itself(tmp_path):
    plugins = installed(folder=write_folder(tmp_path / "plugins"))
    config, problems, _ = parse_strategy({"type": "EveryTenth", "parameters": {"every": 4, "position_size": 0.5}})
    assert problems == []
    assert (config.type, config.entry.name, config.exit.name) == ("EveryTenth", "EveryTenth", "EveryTenth")
    assert config.entry.parameters == {"every": 4}
    assert build_strategy(config).name == "EveryTenth"
    assert plugins.troubles == {"a_broken_one.py": "ModuleNotFoundError: No module named 'a_module_that_is_nowhere'"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("x = (", "SyntaxError"),
        ("class A:\n    pass\nENTRIES = [A]", "has no `name`"),
        ("ENTRIES = 3", "TypeError"),
        ("pass", "declares nothing; allowed: a list named ENTRIES, EXITS, STRATEGIES"),
    ],
)
def test_a_file_that_is_no_plugin_is_named_and_others_load(tmp_path, text, words):
    folder = write_folder(tmp_path / "plugins")
    (folder / "bad.py").write_text(text)
    plugins = installed(folder=folder)
    assert plugins.names(Group.STRATEGIES) == ("EveryTenth",)
    assert words in plugins.troubles["bad.py"]


def test_metadata_that_nobody_can_read_is_reported_and_files_still_load(tmp_path):
    def fail():
        raise ValueError("not a valid distribution")

    plugins = install(Plugins(fail, write_folder(tmp_path / "plugins")))
    assert plugins.names(Group.STRATEGIES) == ("EveryTenth",)
    assert plugins.troubles["entry points"] == "ValueError: not a valid distribution"


def test_a_feed_that_documents_could_not_name_is_reported():
    plugins = installed("OurData=our_feed", group=Group.FEEDS)
    assert plugins.names(Group.FEEDS) == ()
    assert "allowed: lower case, ourdata" in "".join(plugins.troubles.values())


def test_a_strategy_is_given_back_what_it_saved_and_nothing_of_another(tmp_path):
    installed(folder=write_folder(tmp_path / "plugins"))
    config, _, _ = parse_strategy({"type": "EveryTenth", "parameters": {}})
    strategy, other = build_strategy(config), build_strategy(parse_strategy(strategy_document())[0])
    strategy.load_state({"strategy": "EveryTenth", "state": {"held": 3}})
    assert strategy.dump_state() == {"strategy": "EveryTenth", "state": {"held": 3}}
    other.load_state(strategy.dump_state())
    strategy.load_state(other.dump_state())
    assert strategy.dump_state()["state"] == {"held": 0}


def test_a_folder_that_is_not_there_is_reported(tmp_path):
    plugins = installed("Ours", folder=tmp_path / "nowhere")
    assert plugins.names(Group.ENTRIES) == ("Ours",)
    assert list(plugins.troubles.values()) == ["TRADINGBOT_PLUGINS names no folder"]


def test_the_environment_names_the_folder_and_the_first_use_installs(tmp_path, monkeypatch):
    monkeypatch.setenv("TRADINGBOT_PLUGINS", str(write_folder(tmp_path / "plugins")))
    assert installed_plugins().names(Group.STRATEGIES) == ("EveryTenth",)
    assert installed_plugins() is installed_plugins()


def test_a_parameter_of_a_strategy_is_checked_and_what_it_does_not_know_is_reported(tmp_path):
    installed(folder=write_folder(tmp_path / "plugins"))
    _, problems, notices = parse_strategy({"type": "EveryTenth", "parameters": {"every": 1, "evry": 2}})
    assert [problem.path for problem in problems] == ["strategy.parameters.every"]
    assert [notice.path for notice in notices] == ["strategy.parameters.evry"]


def test_a_broken_strategy_is_a_problem_and_no_reason_to_run_other_rules():
    installed("Halfway", group=Group.STRATEGIES)
    document = {**strategy_document(), "type": "Halfway"}
    config, problems, _ = parse_strategy(document)
    assert config is None
    assert problems[0].path == "strategy.type"


def test_an_unknown_strategy_type_is_an_error_in_the_log_and_falls_back_with_a_warning(monkeypatch):
    log = CapturingLogger()
    monkeypatch.setattr(registry, "_log", log)
    config, problems, _ = parse_strategy({**strategy_document(), "type": "P08XGBStrategy"})
    assert problems == []
    assert build_strategy(config).name == "CustomStrategy"
    assert [(call.method_name, *call.args) for call in log.calls] == [
        ("error", "strategy_type_unknown"),
        ("warning", "strategy_fell_back"),
    ]
    assert parse_strategy({"type": "P08XGBStrategy", "parameters": {}})[0] is None


def test_brokers_and_feeds_of_plugins_are_allowed_in_documents_and_built():
    points = [
        _Point(EntryPoint("ourvenue", "m:our_broker", Group.BROKERS.entry_points)),
        _Point(EntryPoint("ourdata", "m:our_feed", Group.FEEDS.entry_points)),
    ]
    install(Plugins(lambda: points))
    config = parse_config(a_document(broker={"type": "OurVenue", "trading_mode": "paper"})).config
    assert config is not None
    data = FeedConfig(data_source="OurData")
    assert build_broker(config, interval_seconds=3600) == ("broker", "ourvenue", "ETHUSDT")
    assert build_feed(data.model_dump(), "X") == ("feed", "ourdata", "X")
    assert parse_config(a_document(broker={"type": "ourvenu", "trading_mode": "paper"})).error.endswith("ourvenue")


@pytest.mark.parametrize("build", [plugin_entry, plugin_exit, plugin_strategy])
def test_a_name_that_nobody_has_is_refused_when_it_is_built(build):
    installed()
    with pytest.raises(InvalidBotError, match="'Ours' is not installed"):
        build(RuleConfig(name="Ours", parameters={}))


def test_a_plugin_that_cannot_be_built_is_the_bots_trouble_alone():
    installed("Unfinished")
    with pytest.raises(InvalidBotError, match="plugin Unfinished can't be built: ZeroDivisionError: in the constr"):
        plugin_entry(RuleConfig(name="Unfinished", parameters={}))


def test_a_plugin_that_lacks_an_attribute_when_built_is_refused():
    installed("OurExit", group=Group.STRATEGIES)
    with pytest.raises(InvalidBotError, match="it has no enter, exit"):
        plugin_strategy(RuleConfig(name="OurExit", parameters={}))


def test_the_example_of_the_documentation_is_a_plugin_that_trades(tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "plugins.md").read_text(encoding="utf-8")
    (tmp_path / "example.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    plugins = installed(folder=tmp_path)
    config, problems, _ = parse_strategy(strategy_document("DipEntry", "HoldExit", {"e_dip": 0.001}))
    assert (problems, plugins.troubles) == ([], {})
    result = run_backtest(
        build_strategy(config), made_up_bars(400), position_size=Decimal("0.5"), cash=CASH, commission=COMMISSION
    )
    assert len(result.trades) > 5
    assert {trade.exit_reason for trade in result.trades} == {"held"}
