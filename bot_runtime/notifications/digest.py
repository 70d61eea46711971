"""What goes out together, and what not at all: digests of many messages, and messages that say the same again. Pure."""

import hashlib
import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot_core.models.queued_message import QueuedMessage

#: More than so many messages for one target become one.
MOST_SINGLE = 5
SAME_WITHIN_SECONDS = 600.0
#: What a digest may hold, in units of UTF-16: Telegram takes 4,096, and a message must not be cut to nothing in it.
_ROOM = 3600
_LINE = 40  # time, marks and tags of one message
#: Of these the same text is the same news. A state, such as started, stopped or resumed, may come back within minutes.
_BY_TEXT = frozenset({"error"})


@dataclass(frozen=True, slots=True)
class Unit:
    """What is sent as one: a message, or several as a digest. `repeated`: it may have arrived before."""

    key: str
    target: str
    rows: tuple[QueuedMessage, ...]
    repeated: bool = False

    @property
    def ids(self) -> list[int]:
        return [row.id for row in self.rows]


def build_units(waiting: Sequence[tuple[QueuedMessage, str]]) -> list[Unit]:
    """Units of messages and their targets, in the order in which these came; as many digests as there is need for room.

    What was begun before is repeated as it was: alone, or as the same digest.
    """
    by_target: dict[str, list[QueuedMessage]] = {}
    begun: dict[tuple[str, str], list[QueuedMessage]] = {}
    for row, target in waiting:
        if row.attempt is None:
            by_target.setdefault(target, []).append(row)
        else:
            begun.setdefault((row.attempt or row.key, target), []).append(row)
    units = [Unit(key, target, _in_order(rows), repeated=True) for (key, target), rows in begun.items()]
    for target, rows in by_target.items():
        parts = _digests(rows) if len(rows) > MOST_SINGLE else ([row] for row in rows)
        units += [Unit(part[0].key if len(part) == 1 else _digest_key(part), target, _in_order(part)) for part in parts]
    place = {row.id: number for number, (row, _) in enumerate(waiting)}
    return sorted(units, key=lambda unit: min(place[row.id] for row in unit.rows))


def find_duplicates(
    claimed: Iterable[QueuedMessage], earlier: Iterable[QueuedMessage], seconds: float = SAME_WITHIN_SECONDS
) -> Mapping[int, int]:
    """Ids of messages that say what another said shortly before to the same recipient, and that one's id.

    One of which it is not known whether it arrived is no duplicate: it is repeated.
    """
    known: dict[object, list[QueuedMessage]] = {}
    claimed = list(claimed)
    for row in sorted({row.id: row for row in (*earlier, *claimed)}.values(), key=lambda row: row.id):
        said = what_it_says(row)
        if said is not None:
            known.setdefault(said, []).append(row)
    wanted = {row.id for row in claimed if row.attempt is None}
    found: dict[int, int] = {}
    for rows in known.values():
        for number, row in enumerate(rows):
            if row.id in wanted:
                first = next((one for one in rows[:number] if _covers(one, row, seconds) and one.id not in found), None)
                if first is not None:
                    found[row.id] = first.id
    return found


def what_it_says(row: QueuedMessage) -> object | None:
    """What makes two messages the same; None where every one counts, as every trade does."""
    key = row.metadata.get("dedup_key")
    if key:
        return row.recipient_id, str(key)
    if row.message_type in _BY_TEXT:
        return row.recipient_id, str(row.metadata.get("bot_id")), row.message_type, row.title, row.text
    return None


def needs_comparison(rows: Iterable[QueuedMessage]) -> list[QueuedMessage]:
    return [row for row in rows if what_it_says(row) is not None and row.attempt is None]


def _covers(first: QueuedMessage, later: QueuedMessage, seconds: float) -> bool:
    close = later.created_at - first.created_at <= timedelta(seconds=seconds)
    return close and set(later.channels) <= set(first.channels)


def _digests(rows: Iterable[QueuedMessage]) -> Iterator[list[QueuedMessage]]:
    """Parts that are told in full, each as one."""
    part: list[QueuedMessage] = []
    room = _ROOM
    for row in rows:
        needed = _LINE + len(html.escape(row.title + row.text).encode("utf-16-le", "surrogatepass")) // 2
        if part and needed > room:
            yield part
            part, room = [], _ROOM
        part.append(row)
        room -= needed
    if part:
        yield part


def _in_order(rows: Iterable[QueuedMessage]) -> tuple[QueuedMessage, ...]:
    return tuple(sorted(rows, key=lambda row: (row.created_at, row.id)))


def _digest_key(rows: Iterable[QueuedMessage]) -> str:
    named = ",".join(sorted(row.key for row in rows))
    return f"tradingbot-digest-{hashlib.sha256(named.encode()).hexdigest()[:24]}"
