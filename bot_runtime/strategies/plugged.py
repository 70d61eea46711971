"""Rules and strategies that plugins bring, built from a document. It refuses what does not do its duties."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from bot_core.models.errors import InvalidBotError
from bot_core.models.extensions import Group
from bot_core.models.rule import RuleConfig
from bot_runtime.domain.position import Position
from bot_runtime.entries.base import EntryRule
from bot_runtime.exits.base import ExitRule
from bot_runtime.indicators.base import Indicator
from bot_runtime.indicators.view import View
from bot_runtime.plugins import installed_plugins
from bot_runtime.strategies.base import State, Strategy
from bot_runtime.strategies.own_state import own_state, state_of

# What an object has beyond its class: each plugin sets these in `__init__`, or on the class.
_ENTRY = ("name", "indicators", "lookback", "memory")
_EXIT = ("name", "indicators", "lookback")
_STRATEGY = ("name", "entry_name", "exit_name", "indicators", "first_bar", "warmup")


def plugin_entry(config: RuleConfig) -> EntryRule:
    """Raise InvalidBotError where no plugin has this name, or where it fails."""
    return cast("EntryRule", _built(Group.ENTRIES, config.name, _ENTRY, lambda plugin: plugin(config)))


def plugin_exit(config: RuleConfig) -> ExitRule:
    """Raise InvalidBotError where no plugin has this name, or where it fails."""
    return cast("ExitRule", _built(Group.EXITS, config.name, _EXIT, lambda plugin: plugin(config)))


def plugin_strategy(config: RuleConfig) -> Strategy:
    """Raise InvalidBotError where no plugin has this name, or where it fails."""
    return PluggedStrategy(_built(Group.STRATEGIES, config.name, _STRATEGY, lambda plugin: plugin(config)))


class PluggedStrategy:
    """A plugin's strategy, which is given back only what it saved itself: a changed document starts it afresh."""

    def __init__(self, plugin: Strategy) -> None:
        self._plugin = plugin
        self.name = plugin.name
        self.entry_name = plugin.entry_name
        self.exit_name = plugin.exit_name
        self.indicators: tuple[Indicator, ...] = plugin.indicators
        self.first_bar = plugin.first_bar
        self.warmup = plugin.warmup

    def enter(self, view: View) -> str | None:
        return self._plugin.enter(view)

    def opened(self, position: Position) -> None:
        self._plugin.opened(position)

    def exit(self, view: View, position: Position) -> str | None:
        return self._plugin.exit(view, position)

    def closed(self) -> None:
        self._plugin.closed()

    def dump_state(self) -> State:
        return own_state(self.name, self._plugin.dump_state())

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._plugin.load_state(state_of(self.name, state))


def _built(group: Group, name: str, needed: tuple[str, ...], build: Callable[[Any], Any]) -> Any:
    plugins = installed_plugins()
    try:
        plugin = plugins.find(group, name)
    except LookupError as error:
        known = ", ".join(plugins.names(group)) or "none"
        raise InvalidBotError(f"{name!r} is not installed; plugins in {group}: {known}") from error
    try:
        built = build(plugin)
    except InvalidBotError:
        raise
    except (Exception, SystemExit) as error:
        raise InvalidBotError(f"plugin {name} can't be built: {type(error).__name__}: {error}") from error
    missing = [attribute for attribute in needed if not hasattr(built, attribute)]
    if missing:
        raise InvalidBotError(f"plugin {name} has no {', '.join(missing)} when built")
    return built
