"""Documents with something wrong in them."""

import copy
from typing import Any

SECRET = "hunter2-hunter2"
ODD = [
    0, -1, 1e308, float("nan"), float("inf"), 10**400, True, None, "", " ", "\0", "\ud800", "x" * 5000, [], {}, [[]],
    [{}], {"": {}}, {"enabled": 1}, "instances/x.json", "LIVE", "binance_paper", "custom",
]  # fmt: skip


def mutate(document: dict[str, Any], kind: str, way: list[int], value: Any, key: str) -> None:
    """Change one place, found by walking down by the numbers of `way` as far as there are objects."""
    place: dict[str, Any] = document
    for step in way[:-1]:
        inner = [item for item in place.values() if isinstance(item, dict) and item]
        if not inner:
            break
        place = inner[step % len(inner)]
    if not place:
        return
    chosen = list(place)[way[-1] % len(place)]
    match kind:
        case "drop":
            del place[chosen]
        case "replace":
            place[chosen] = copy.deepcopy(value)
        case "add":
            place[key] = copy.deepcopy(value)
        case "rename":
            place[key] = place.pop(chosen)
        case "move":
            document[chosen] = place.pop(chosen)
        case _:
            place[f"api_{'key' if value else 'secret'}"] = SECRET
