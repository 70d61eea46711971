"""Who leads, decided from the Lease as it was read and from how long it has stood still. Pure: time is given.

Clocks of two machines are never compared: a Lease has lapsed when a reader saw it unchanged, by its own clock, for as
long as the holder said that it lasts. The times that stand in the Lease are for people.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class LeaseRecord:
    """A Lease as read. `version` changes with every write of anybody; one without a `holder` was released."""

    holder: str
    version: str
    seconds: float = 0.0
    transitions: int = 0
    acquired: str = ""


@dataclass(frozen=True)
class Sighting:
    """A Lease, or its absence, and when on the reader's clock it was first seen like this.

    `gone`: somebody deleted it; `lease` is what it was, whose holder may not know of that yet.
    """

    lease: LeaseRecord | None
    since: float
    gone: bool = False


class Step(StrEnum):
    """What a process does next about the Lease."""

    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"


def sighted(last: Sighting | None, lease: LeaseRecord | None, now: float) -> Sighting:
    """Note what was read: what has not changed keeps the time at which it was first seen."""
    before = None if last is None else last.lease
    if last is None or before is None:
        return Sighting(lease, now)
    if lease is None:
        # Counted from here, not from what was seen before: it may have been renewed in between.
        return last if last.gone else Sighting(before, now, gone=True)
    return Sighting(lease, last.since if before.version == lease.version and not last.gone else now)


def lapses_at(sighting: Sighting, usual_seconds: float) -> float:
    """When, on the reader's clock, the holder has lost it. The holder counts by what it wrote itself, so we do too."""
    announced = sighting.lease.seconds if sighting.lease is not None else 0.0
    return sighting.since + (announced or usual_seconds)


def next_step(sighting: Sighting, identity: str, usual_seconds: float, now: float) -> Step:
    """Decide on a sighting whose Lease was read just now; the write that follows is fenced by its version."""
    lease = sighting.lease
    if lease is None:
        return Step.CREATE
    if lease.holder == identity:
        return Step.CREATE if sighting.gone else Step.RENEW
    if not lease.holder or now >= lapses_at(sighting, usual_seconds):
        return Step.CREATE if sighting.gone else Step.TAKE
    return Step.WAIT
