"""State under the name of the strategy that saved it, so that no other one reads it as its own."""

from collections.abc import Mapping
from typing import Any

from bot_runtime.strategies.base import State


def own_state(name: str, state: State) -> State:
    return {"strategy": name, "state": state}


def state_of(name: str, saved: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a strategy of this name saved; nothing where another one did, or nobody."""
    state = saved.get("state")
    return state if saved.get("strategy") == name and isinstance(state, Mapping) else {}
