"""A stop of a long position: it never falls, and there may be none yet."""

import math


def raised(stop: float | None, *candidates: float) -> float | None:
    """Return the highest of the stop and the candidates that are defined."""
    known = [candidate for candidate in candidates if not math.isnan(candidate)]
    return max(known if stop is None else [stop, *known], default=None)
