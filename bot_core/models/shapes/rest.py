"""Older forms inside risk_management and notifications, and secrets, which are nowhere kept."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bot_core.models.notification import FLAGGED, NO_SUMMARY, WEBHOOK_NAME, SummaryPeriod
from bot_core.models.problem import looks_secret
from bot_core.models.shapes.draft import Draft, Path

#: What a list `notify_on` may hold, and the flag that says the same.
_EVENTS = {
    "trade_entry": "position_opened",
    "trade_exit": "position_closed",
    "error": "error_notifications",
    "status": "bot_events",
    "daily_summary": "daily_summary",
}
_CHANNELS = ("telegram", "email")


def settle_risk(draft: Draft) -> None:
    section = ("risk_management",)
    draft.move((*section, "max_position_size_usd"), (*section, "max_position_size"))
    draft.move((*section, "trailing_stop_enabled"), (*section, "trailing_stop"))
    for name in ("trailing_stop", "stop_loss", "take_profit"):
        draft.move((*section, f"{name}_percentage"), (*section, f"{name}_pct"))
    trailing = (*section, "trailing_stop")
    if not isinstance(draft.get(*trailing), Mapping):
        return
    draft.move((*trailing, "activation_pct"), (*section, "trailing_stop_activation_pct"))
    draft.move((*trailing, "trailing_pct"), (*section, "trailing_stop_pct"))
    enabled = draft.get(*trailing, "enabled")
    draft.note(trailing, "is read as a flag and trailing_stop_pct, trailing_stop_activation_pct")
    draft.put(trailing, False if enabled is None else enabled, source=(*trailing, "enabled"))


def settle_notifications(draft: Draft) -> None:
    """One list of events for each channel becomes flags for all channels that are on."""
    section: Path = ("notifications",)
    lists: list[tuple[Path, bool]] = [((*section, "notify_on"), True)]
    for channel in _CHANNELS:
        path: Path = (*section, channel)
        if not isinstance(draft.get(*path), Mapping):
            continue
        draft.move((*path, "enabled"), (*section, f"{channel}_enabled"))
        lists.append(((*path, "notify_on"), draft.get(*section, f"{channel}_enabled") is True))
    any_on = any(on for place, on in lists if draft.get(*place) is not None)
    for place, on in lists:
        _flags_of(draft, place, use=on or not any_on)
    for channel in _CHANNELS:
        if draft.get(*section, channel) == {}:
            draft.drop((*section, channel))
    _channels_with_flags(draft)
    _unread_before(draft)


def _channels_with_flags(draft: Draft) -> None:
    """A list of channels may name those that have a flag; the flag itself wins."""
    path: Path = ("notifications", "channels")
    names = draft.get(*path)
    flagged = [name for name in names if name in FLAGGED] if isinstance(names, list) else []
    for name in flagged:
        if draft.get("notifications", f"{name}_enabled") is None:
            draft.put(("notifications", f"{name}_enabled"), True, source=path)
    if flagged:
        draft.note(path, f"is read as {', '.join(f'{name}_enabled' for name in flagged)}")
        draft.put(path, [name for name in names if name not in FLAGGED])


def _unread_before(draft: Draft) -> None:
    """Keys that nobody read for long hold whatever was written: what means nothing is no reason to refuse a bot."""
    path: Path = ("notifications", "performance_summaries")
    word = draft.get(*path)
    known = (*SummaryPeriod, *NO_SUMMARY)
    if isinstance(word, str) and word.strip().lower() not in known:
        draft.drop(path, f"is no period of summaries and not read; known: {', '.join(known)}")
    path = ("notifications", "webhook")
    name = draft.get(*path)
    if name is not None and not (isinstance(name, str) and re.fullmatch(WEBHOOK_NAME, name)):
        draft.drop(path, "is not read: a webhook is named, such as ops, and its URL stands in WEBHOOK_OPS_URL")


def _flags_of(draft: Draft, path: Path, *, use: bool) -> None:
    events = draft.get(*path)
    if events is None:
        return
    if not isinstance(events, list):
        draft.refuse(path, events, f"is not a list of events; allowed: {', '.join(_EVENTS)}")
        draft.drop(path)
        return
    told = [flag for event, flag in _EVENTS.items() if event in events] if use else []
    for flag in told:
        if draft.get("notifications", flag) is None:
            draft.put(("notifications", flag), True, source=path)
    odd = [event for event in events if event not in list(_EVENTS)]
    if odd:
        draft.note(path, f"{odd!r} are no events; known: {', '.join(_EVENTS)}"[:300])
    draft.drop(path, f"is read as {', '.join(told)}" if told else "is not read: its channel is off")


def drop_secrets(draft: Draft) -> None:
    for path in list(_secrets((), draft.document)):
        draft.drop(path, "is neither read nor kept: a secret belongs into a Kubernetes Secret or the environment; "
                   "credentials_secret names it")  # fmt: skip


def _secrets(path: Path, value: Mapping[str, Any]) -> Iterator[Path]:
    for key, item in value.items():
        here = (*path, str(key))
        if isinstance(item, Mapping):
            yield from _secrets(here, item)
        elif isinstance(item, str) and looks_secret(str(key)):
            yield here
