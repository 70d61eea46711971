"""Which of the bots that were asked for are there."""

import sys
from collections.abc import Sequence


def all_found(asked: Sequence[int], found: Sequence[int]) -> int:
    """Tell of those that are not there; return the exit code."""
    return tell_missing([bot_id for bot_id in asked if bot_id not in found])


def tell_missing(missing: Sequence[int]) -> int:
    for bot_id in missing:
        print(f"no bot has the id {bot_id}", file=sys.stderr)
    return 1 if missing else 0
