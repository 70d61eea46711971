"""Finds plugins: installed ones by entry point, one-file ones in the folder that TRADINGBOT_PLUGINS names.

Nothing is looked for before a document asks for a name that is not built in, and an installed plugin is imported only
when it is asked for. Whatever a plugin does wrong is told once, with its name, and is no other's trouble. It knows
what a plugin must have, not what it is for: the ports say that.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import structlog

from bot_core.models.broker import BROKER_TYPES
from bot_core.models.errors import InvalidBotError
from bot_core.models.extensions import Group, use_extensions
from bot_core.models.feed import EXCHANGES, KNOWN_SOURCES
from bot_core.models.rule_parameters import RULES, Parameter, RuleKind
from bot_core.models.strategy import BUILT_IN_STRATEGIES
from bot_runtime.plugin_duties import check_plugin, plugin_name

_log = structlog.get_logger(__name__)
FOLDER_VARIABLE = "TRADINGBOT_PLUGINS"
#: The lists that a file of the folder may have.
FILE_LISTS: Mapping[str, Group] = {"ENTRIES": Group.ENTRIES, "EXITS": Group.EXITS, "STRATEGIES": Group.STRATEGIES}
_BUILT_IN: Mapping[Group, frozenset[str]] = {
    Group.ENTRIES: frozenset(RULES[RuleKind.ENTRY]),
    Group.EXITS: frozenset(RULES[RuleKind.EXIT]),
    Group.STRATEGIES: frozenset(BUILT_IN_STRATEGIES),
    Group.BROKERS: frozenset(BROKER_TYPES),
    Group.FEEDS: frozenset((*KNOWN_SOURCES, *EXCHANGES)),
    Group.NOTIFIERS: frozenset({"email", "telegram", "slack", "webhook", "apprise"}),
}
# Documents may write these in any case; they are looked up in lower case.
_LOWER_CASE = frozenset({Group.BROKERS, Group.FEEDS})


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that says it is a plugin. `source` is the distribution or the file that it comes from."""

    group: Group
    name: str
    source: str
    load: Callable[[], Any]


class Plugins:
    """The plugins of one process, which keeps what it has found: a new one is seen by a new process."""

    def __init__(self, installed: Callable[[], Iterable[EntryPoint]], folder: Path | None = None) -> None:
        self._installed = installed
        self._folder = folder
        self._loaded: dict[tuple[Group, str], Any] = {}
        self._refused: dict[tuple[Group, str], InvalidBotError] = {}
        #: What was reported: which plugin, and why it can't be used.
        self.troubles: dict[str, str] = {}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Plugins":
        folder = environment.get(FOLDER_VARIABLE)
        return cls(lambda: [point for group in Group for point in entry_points(group=group.entry_points)],
                   Path(folder) if folder else None)  # fmt: skip

    def names(self, group: Group) -> tuple[str, ...]:
        """Return the plugins of a group, without those that are known not to work."""
        return tuple(
            sorted(name for kind, name in self.candidates if kind is group and (kind, name) not in self._refused)
        )

    def parameters(self, group: Group, name: str) -> tuple[Parameter, ...]:
        """Return what a plugin declares; it is imported for that. LookupError, InvalidBotError: see Extensions."""
        return tuple(getattr(self.find(group, name), "parameters", ()))

    def find(self, group: Group, name: str) -> Any:
        """Return a plugin's class or factory. Raise LookupError: there is none; InvalidBotError: it can't be used."""
        key = group, name
        if key not in self._loaded and key not in self._refused:
            self._load(self.candidates[key])
        if key in self._refused:
            raise self._refused[key]
        return self._loaded[key]

    @cached_property
    def candidates(self) -> Mapping[tuple[Group, str], Candidate]:
        """Everything that may be a plugin, the first of each name. Raises nothing."""
        found: dict[tuple[Group, str], Candidate] = {}
        for candidate in (*self._of_entry_points(), *self._of_folder()):
            key = candidate.group, candidate.name
            if candidate.name in _BUILT_IN[candidate.group]:
                self._tell(candidate, f"{candidate.name} is built in, and a plugin can't take its place")
            elif candidate.group in _LOWER_CASE and candidate.name != candidate.name.lower():
                self._tell(candidate, f"documents can't name it; allowed: lower case, {candidate.name.lower()}")
            elif key in found:
                self._tell(candidate, f"{found[key].source} brings a {candidate.name} already, which is used")
            else:
                found[key] = candidate
        return found

    def _of_entry_points(self) -> list[Candidate]:
        groups = {group.entry_points: group for group in Group}
        try:
            found = [
                Candidate(groups[point.group], point.name, f"{_distribution(point)} ({point.value})", point.load)
                for point in self._installed()
            ]
        except Exception as error:  # noqa: BLE001  # metadata of a distribution that nobody can read
            self._report("entry points", _words(error))
            return []
        return sorted(found, key=lambda candidate: (candidate.source, candidate.name))

    def _of_folder(self) -> list[Candidate]:
        if self._folder is None:
            return []
        if not self._folder.is_dir():
            self._report(str(self._folder), f"{FOLDER_VARIABLE} names no folder")
            return []
        try:
            files = sorted(path for path in self._folder.glob("*.py") if not path.name.startswith((".", "_")))
        except OSError as error:
            self._report(str(self._folder), _words(error))
            return []
        return [candidate for path in files for candidate in self._of_file(path)]

    def _of_file(self, path: Path) -> list[Candidate]:
        try:
            module = _module(path)
            listed = [(group, item) for name, group in FILE_LISTS.items() for item in getattr(module, name, ())]
            found = [Candidate(group, plugin_name(item), path.name, lambda item=item: item) for group, item in listed]  # type: ignore[misc]
        except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever it was, it is this file's alone
            self._report(path.name, _words(error))
            return []
        if not found:
            self._report(path.name, f"declares nothing; allowed: a list named {', '.join(FILE_LISTS)}")
        return found

    def _load(self, candidate: Candidate) -> None:
        key = candidate.group, candidate.name
        try:
            found = candidate.load()
            check_plugin(candidate.group, candidate.name, found)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever it was, it is this plugin's alone
            self._tell(candidate, _words(error))
            what = f"plugin {candidate.name} of {candidate.source}: {_words(error)}"
            self._refused[key] = InvalidBotError(what)
        else:
            self._loaded[key] = found
            _log.info("plugin_loaded", plugin=candidate.name, group=candidate.group.value, source=candidate.source)

    def _tell(self, candidate: Candidate, why: str) -> None:
        self._report(f"{candidate.group.value} {candidate.name} of {candidate.source}", why)

    def _report(self, plugin: str, why: str) -> None:
        if plugin not in self.troubles:
            self.troubles[plugin] = why
            _log.error("plugin_refused", plugin=plugin, error=why)


def _distribution(point: EntryPoint) -> str:
    return "an unnamed distribution" if point.dist is None else point.dist.name


def _module(path: Path) -> ModuleType:
    """Load one file under a name of its own, which no import of anybody's can mean."""
    spec = importlib.util.spec_from_file_location(f"_tradingbot_plugin_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


_used: list[Plugins] = []


def install(plugins: Plugins | None = None) -> Plugins:
    """Let documents of this process name plugins: those given, or those of the environment."""
    chosen = plugins if plugins is not None else Plugins.from_environment()
    _used[:] = [chosen]
    use_extensions(chosen)
    return chosen


def installed_plugins() -> Plugins:
    """Return the plugins of this process; the first call installs those of the environment, if nobody has."""
    return _used[0] if _used else install()
