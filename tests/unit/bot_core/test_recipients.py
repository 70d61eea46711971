"""Who is told of what, by the rules of the older platform: one row of the tables a case of its rules."""

import json
from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest

from bot_core.models.bot import BotRow
from bot_core.models.config import parse_config
from bot_core.models.recipients import CHAT_VARIABLE, EMAIL_VARIABLE, Purpose, Subject, Targets, addresses
from support.shapes import CURRENT, samples

NOTHING: dict[str, str] = {}
BOTH_SET = {EMAIL_VARIABLE: "all@example.com", CHAT_VARIABLE: "555"}
ALL_ON = {
    "position_opened": True,
    "position_closed": True,
    "error_notifications": True,
    "risk_alerts": True,
    "daily_summary": True,
}
PROFILE = {"email_enabled": True, "telegram_enabled": True}


def a_row(notifications: Any, **changes: Any) -> BotRow:
    document = CURRENT | {"notifications": notifications} | changes
    return BotRow(id=7, user_id=3, status="running", config=document)


def told(
    notifications: Any, purpose: Purpose = Purpose.TRADE_BUY, environment: Mapping[str, str] = NOTHING, **changes: Any
) -> list[tuple[str, str, dict[str, Any]]]:
    """Channel, recipient and data of each message, which must not depend on whether the document is valid."""
    row = a_row(notifications, **changes)
    targets = Targets.of(environment)
    found = addresses(Subject.readable(row), purpose, targets)
    config = parse_config(row.config).config
    if config is not None:
        assert addresses(Subject.of(row, config), purpose, targets) == found
    return [(to.channel, to.recipient_id, dict(to.data)) for to in found]


def channels(*arguments: Any, **changes: Any) -> list[str]:
    return [channel for channel, _, _ in told(*arguments, **changes)]


@pytest.mark.parametrize(
    ("purpose", "flag"),
    [
        (Purpose.TRADE_BUY, "position_opened"),
        (Purpose.TRADE_SELL, "position_closed"),
        (Purpose.ERROR, "error_notifications"),
        (Purpose.BOT_EVENT, "bot_events"),
        (Purpose.RISK, "risk_alerts"),
        (Purpose.HALT, "risk_alerts"),
        (Purpose.HALT, "error_notifications"),
        (Purpose.SUMMARY, "daily_summary"),
    ],
)
def test_each_purpose_has_a_flag_of_its_own_and_all_others_together_do_not_replace_it(
    purpose: Purpose, flag: str
) -> None:
    silent = dict.fromkeys((*ALL_ON, "bot_events"), False)
    assert channels(PROFILE | silent | {flag: True}, purpose) == ["email", "telegram"]
    others = dict.fromkeys((*ALL_ON, "bot_events"), True) | {flag: False}
    if purpose is not Purpose.HALT:
        assert channels(PROFILE | others, purpose) == []
    assert channels(PROFILE | silent, purpose) == []


@pytest.mark.parametrize("purpose", [*Purpose])
def test_a_flag_that_is_missing_is_false_but_for_bot_events(purpose: Purpose) -> None:
    assert channels(PROFILE, purpose) == (["email", "telegram"] if purpose is Purpose.BOT_EVENT else [])


@pytest.mark.parametrize("purpose", [*Purpose])
@pytest.mark.parametrize("source", ["file", "FILE"])
def test_nobody_is_told_of_bars_from_a_file(purpose: Purpose, source: str) -> None:
    data = {"data_source": source, "file_path": "bars.csv", "interval": "1h"}
    assert told(PROFILE | ALL_ON, purpose, BOTH_SET, data=data) == []


@pytest.mark.parametrize("purpose", [*Purpose])
def test_enabled_false_silences_all(purpose: Purpose) -> None:
    assert told(PROFILE | ALL_ON | {"enabled": False}, purpose, BOTH_SET) == []


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, []),
        ({"email_enabled": False, "telegram_enabled": False}, []),
        ({"email_enabled": True}, ["email"]),
        ({"telegram_enabled": True}, ["telegram"]),
        ({"email_enabled": True, "telegram_enabled": False}, ["email"]),
        (PROFILE, ["email", "telegram"]),
    ],
)
def test_the_profile_is_written_to_on_channels_whose_flag_is_there_and_true(
    flags: dict[str, Any], expected: list[str]
) -> None:
    assert told(ALL_ON | flags) == [(channel, "3", {}) for channel in expected]


MAIL, CHAT = {"email_receiver": "me@example.com"}, {"telegram_chat_id": "-100123"}
OWN = {"notify_email": "me@example.com", "notify_telegram_chat_id": -100123}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param(OWN, [("email", MAIL), ("telegram", CHAT)], id="absent flags count as true"),
        pytest.param(OWN | PROFILE, [("email", MAIL), ("telegram", CHAT)], id="flags that are true"),
        pytest.param(OWN | {"email_enabled": False}, [("telegram", CHAT)], id="e-mail off"),
        pytest.param(OWN | {"telegram_enabled": False}, [("email", MAIL)], id="Telegram off"),
        pytest.param(
            {"notify_email": " me@example.com ", "telegram_enabled": True},
            [("email", MAIL)],
            id="one named address keeps the profile out",
        ),
        pytest.param(
            {"notify_telegram_chat_id": "-100123", "email_enabled": True},
            [("telegram", CHAT)],
            id="as does a chat",
        ),
        pytest.param(
            {"notify_email": "me@example.com", "email_enabled": False, "telegram_enabled": True},
            [("telegram", {})],
            id="an address that is off does not keep the profile out",
        ),
        pytest.param({"notify_email": "", "email_enabled": True}, [("email", {})], id="an empty address is none"),
        pytest.param(
            {"notify_telegram_chat_id": None, "telegram_enabled": True}, [("telegram", {})], id="null is none"
        ),
    ],
)
def test_addresses_of_the_document(flags: dict[str, Any], expected: list[tuple[str, dict[str, Any]]]) -> None:
    assert told(ALL_ON | flags) == [(channel, "3", data) for channel, data in expected]


FLEET_MAIL, FLEET_CHAT = {"email_receiver": "all@example.com"}, {"telegram_chat_id": "555"}


@pytest.mark.parametrize(
    ("flags", "environment", "expected"),
    [
        ({}, BOTH_SET, [("email", FLEET_MAIL), ("telegram", FLEET_CHAT)]),
        ({"email_enabled": False}, BOTH_SET, [("telegram", FLEET_CHAT)]),
        ({"notify_email": "me@example.com"}, BOTH_SET, [("email", MAIL), ("telegram", FLEET_CHAT)]),
        ({"notify_telegram_chat_id": ""}, BOTH_SET, [("email", FLEET_MAIL)]),
        ({"notify_telegram_chat_id": " "}, {CHAT_VARIABLE: "555"}, []),
        ({"notify_telegram_chat_id": ""} | PROFILE, {CHAT_VARIABLE: "555"}, [("email", {}), ("telegram", {})]),
        ({"notify_telegram_chat_id": None}, {CHAT_VARIABLE: "555"}, [("telegram", FLEET_CHAT)]),
        # An address for all bots silently keeps Telegram of the profile out, as it always has.
        (PROFILE, {EMAIL_VARIABLE: "all@example.com"}, [("email", FLEET_MAIL)]),
        ({"email_enabled": False, "telegram_enabled": True}, {EMAIL_VARIABLE: "all@example.com"}, [("telegram", {})]),
        (PROFILE, {EMAIL_VARIABLE: "  "}, [("email", {}), ("telegram", {})]),
    ],
)
def test_addresses_of_the_environment(
    flags: dict[str, Any], environment: dict[str, str], expected: list[tuple[str, dict[str, Any]]]
) -> None:
    assert told(ALL_ON | flags, Purpose.ERROR, environment) == [(channel, "3", data) for channel, data in expected]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"slack_enabled": True}, [("slack", {})]),
        ({"slack_enabled": True, "slack_channel": "#alerts"}, [("slack", {"slack_channel": "#alerts"})]),
        ({"slack_channel": "#alerts"}, []),
        ({"webhook_enabled": True, "webhook": "ops"}, [("webhook", {"webhook": "ops"})]),
        ({"webhook_enabled": True}, [("webhook", {})]),
        ({"channels": ["apprise", "pager"]}, [("apprise", {}), ("pager", {})]),
        (
            {"notify_email": "me@example.com", "slack_enabled": True, "channels": ["apprise"]},
            [("email", MAIL), ("slack", {}), ("apprise", {})],
        ),
    ],
)
def test_other_channels_are_added_by_their_flags_beside_any_address(
    flags: dict[str, Any], expected: list[tuple[str, dict[str, Any]]]
) -> None:
    assert told(ALL_ON | flags) == [(channel, "3", data) for channel, data in expected]


@pytest.mark.parametrize(("said", "recipient"), [(None, "3"), (12, "12"), ("12", "12")])
def test_the_recipient_is_the_user_of_the_document_else_of_the_row(said: Any, recipient: str) -> None:
    assert {to for _, to, _ in told(ALL_ON | PROFILE, user_id=said)} == {recipient}


def test_a_bot_without_a_user_is_told_of_by_named_addresses_and_flags_alone() -> None:
    row = a_row(ALL_ON | PROFILE | {"slack_enabled": True}).model_copy(update={"user_id": 0})
    assert [(to.channel, to.recipient_id) for to in addresses(Subject.readable(row), Purpose.ERROR, Targets())] == [
        ("slack", "manifest-7")
    ]
    found = addresses(Subject.readable(row), Purpose.ERROR, Targets(telegram="555"))
    assert [(to.channel, to.recipient_id) for to in found] == [("telegram", "manifest-7"), ("slack", "manifest-7")]


def test_an_invalid_document_is_told_of_as_far_as_it_can_be_read() -> None:
    broken = {"error_notifications": True, "telegram_enabled": True, "email_enabled": "often", "channels": "x"}
    assert channels(broken, Purpose.ERROR, symbol=None) == ["telegram"]
    odd = {"notifications": {"error_notifications": 1}}
    documents: tuple[Any, ...] = (None, "no json", [], {"notifications": "loud"}, odd)
    for config in documents:
        row = BotRow(id=7, user_id=3, status="error", config=config)
        assert addresses(Subject.readable(row), Purpose.ERROR, Targets.of(BOTH_SET)) == ()


def sections() -> list[tuple[str, dict[str, Any]]]:
    """Every object `notifications` of the sample documents, wherever it stands."""
    found = []
    for path in sorted(samples().rglob("*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue  # some samples are broken on purpose
        found += [(f"{path}#{at}", section) for at, section in enumerate(_within(document))]
    return found


def _within(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [one for item in value for one in _within(item)]
    if not isinstance(value, dict):
        return []
    here = value.get("notifications")
    found = [here] if isinstance(here, dict) else []
    return found + [one for item in value.values() for one in _within(item)]


def as_it_was(section: dict[str, Any], purpose: Purpose, environment: Mapping[str, str]) -> list[str]:
    """The channels by the older platform's rules, with its nested form read as the flags that it means."""
    flags = dict(section)
    for name in ("telegram", "email"):
        nested = flags.pop(name, None) or {}
        if nested:
            flags[f"{name}_enabled"] = nested["enabled"]
        if nested.get("enabled"):
            words = {"trade_entry": "position_opened", "trade_exit": "position_closed", "error": "error_notifications"}
            flags |= {flag: True for word, flag in words.items() if word in nested["notify_on"]}
    wanted = {
        Purpose.TRADE_BUY: flags.get("position_opened"),
        Purpose.TRADE_SELL: flags.get("position_closed"),
        Purpose.ERROR: flags.get("error_notifications"),
        Purpose.BOT_EVENT: flags.get("bot_events", True),
    }
    if not wanted[purpose]:
        return []
    named = {"email": environment.get(EMAIL_VARIABLE), "telegram": environment.get(CHAT_VARIABLE)}
    direct = [name for name, target in named.items() if target and flags.get(f"{name}_enabled") is not False]
    return direct or [name for name in named if flags.get(f"{name}_enabled")]


def test_every_sample_is_told_of_as_it_was() -> None:
    found = sections()
    assert len(found) >= 35
    purposes = (Purpose.TRADE_BUY, Purpose.TRADE_SELL, Purpose.ERROR, Purpose.BOT_EVENT)
    environments = (NOTHING, BOTH_SET, {EMAIL_VARIABLE: "all@example.com"}, {CHAT_VARIABLE: "555"})
    for place, section in found:
        row = a_row(section)
        subject = Subject.readable(row)
        for purpose, environment in product(purposes, environments):
            told = [to.channel for to in addresses(subject, purpose, Targets.of(environment))]
            assert told == as_it_was(section, purpose, environment), (place, purpose, environment)
