"""What plugins add, as far as judging a document needs it: names and parameters, never code.

A process has one set of extensions, chosen once at its start: a document must be judged alike wherever in the process
it is read. Core looks for no plugin itself: the runtime finds them, the operator is told their names by its settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bot_core.models.errors import InvalidBotError
from bot_core.models.rule_parameters import Parameter, RuleKind, RuleSpec


class Group(StrEnum):
    """What can be added; the value is what `plugins` in the operator's settings calls it."""

    STRATEGIES = "strategies"
    ENTRIES = "entries"
    EXITS = "exits"
    BROKERS = "brokers"
    FEEDS = "feeds"
    NOTIFIERS = "notifiers"

    @property
    def entry_points(self) -> str:
        """The group of entry points that an installed plugin registers itself in."""
        return f"tradingbot.{self.value}"

    @classmethod
    def of_rule(cls, kind: RuleKind) -> "Group":
        return cls.ENTRIES if kind is RuleKind.ENTRY else cls.EXITS


class Extensions(Protocol):
    """What is there beside the built-in parts."""

    def names(self, group: Group) -> tuple[str, ...]:
        """Return what can be used, in the order of the names."""
        ...

    def parameters(self, group: Group, name: str) -> tuple[Parameter, ...] | None:
        """Return what a plugin declares; None where it is known by name only and checked elsewhere.

        Raise LookupError where no plugin has this name, InvalidBotError for one that is there and can't be used.
        """
        ...


@dataclass(frozen=True, slots=True)
class NamesOnly:
    """Plugins known by name: enough to judge a row where their code neither is nor should be run."""

    listed: Mapping[Group, tuple[str, ...]]

    def names(self, group: Group) -> tuple[str, ...]:
        return tuple(sorted(self.listed.get(group, ())))

    def parameters(self, group: Group, name: str) -> tuple[Parameter, ...] | None:
        if name not in self.listed.get(group, ()):
            raise LookupError(name)
        return None


@dataclass(frozen=True, slots=True)
class UncheckedRule(RuleSpec):
    """A rule known by name only: its parameters are checked where the bot runs."""


_chosen: list[Extensions] = [NamesOnly({})]


def use_extensions(extensions: Extensions) -> Extensions:
    """Judge documents with these from now on. Return those in use before, for whoever has to put them back."""
    before = _chosen[0]
    _chosen[0] = extensions
    return before


def extension_names(group: Group) -> tuple[str, ...]:
    """Return the names of the plugins that can be used."""
    return _chosen[0].names(group)


def extension_parameters(group: Group, name: str) -> tuple[Parameter, ...] | None:
    """Return what a plugin declares; `Extensions.parameters` says what is raised."""
    return _chosen[0].parameters(group, name)


def extension_rule(kind: RuleKind, name: str) -> RuleSpec | str | None:
    """Return the rule of a plugin, or why it can't be used, or None where no plugin has this name."""
    try:
        parameters = extension_parameters(Group.of_rule(kind), name)
    except LookupError:
        return None
    except InvalidBotError as error:
        return str(error)
    if parameters is None:
        return UncheckedRule(name=name, kind=kind, meaning="", parameters=(), indicators=())
    return RuleSpec(name=name, kind=kind, meaning="", parameters=parameters, indicators=())
