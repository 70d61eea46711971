from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot_core.logs import masked
from bot_core.models.queued_message import QueuedMessage
from bot_runtime.notifications.base import Delivery, Markup, RejectedError
from bot_runtime.notifications.digest import build_units, find_duplicates
from bot_runtime.notifications.email import build_mail
from bot_runtime.notifications.pacing import Door, Pace, Rate
from bot_runtime.notifications.registry import build_channels, configured_names
from bot_runtime.notifications.rendering import Renderer
from bot_runtime.notifications.webhook import signature

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def a_row(number: int, **changes: Any) -> QueuedMessage:
    values: dict[str, Any] = {"message_type": "error", "content": {"title": "t", "message": "m"}, "recipient_id": "1"}
    return replace(QueuedMessage(number, "error", "HIGH", ("email",), NOW), **(values | changes))


def test_more_than_five_for_one_target_become_a_digest_and_others_stay_alone() -> None:
    many = [(a_row(number), "a") for number in range(6)]
    few = [(a_row(number), "b") for number in range(10, 15)]
    units = build_units([*many, *few])
    assert [len(unit.rows) for unit in units] == [6, 1, 1, 1, 1, 1]
    assert units[0].key == build_units(many[::-1])[0].key
    assert units[0].key.startswith("tradingbot-digest-")


def test_what_was_begun_before_is_repeated_as_it_was() -> None:
    waiting = [(a_row(number, attempt="tradingbot-digest-x"), "a") for number in range(3)]
    waiting += [(a_row(7, attempt=a_row(7).key), "a")] + [(a_row(number), "a") for number in range(20, 22)]
    units = build_units(waiting)
    assert [(unit.ids, unit.repeated) for unit in units] == [
        ([0, 1, 2], True),
        ([7], True),
        ([20], False),
        ([21], False),
    ]
    assert units[0].key == "tradingbot-digest-x"


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"created_at": NOW + timedelta(minutes=10)}, True),
        ({"created_at": NOW + timedelta(minutes=11)}, False),
        ({"recipient_id": "2"}, False),
        ({"content": {"title": "t", "message": "other"}}, False),
        ({"channels": ("email", "slack")}, False),
        ({"message_type": "trade_entry"}, False),
        ({"attempt": "begun"}, False),
    ],
)
def test_what_counts_as_the_same_again(changes: Mapping[str, Any], same: bool) -> None:
    rows = [a_row(1), a_row(2, **changes)]
    assert find_duplicates(rows, []) == ({2: 1} if same else {})


def test_a_chain_of_repetitions_is_not_silent_for_ever() -> None:
    rows = [a_row(number, created_at=NOW + timedelta(minutes=6 * number)) for number in range(4)]
    assert find_duplicates(rows, []) == {1: 0, 3: 2}


def test_a_door_stays_shut_longer_with_each_failure_and_opens_with_success() -> None:
    now = [0.0]
    door = Door(lambda: now[0])
    pauses = [door.failed() for _ in range(12)]
    assert 0.5 <= pauses[0] <= 1.0
    assert pauses == sorted(pauses) or max(pauses) <= 300
    assert 150 <= pauses[-1] <= 300
    assert door.shut_seconds == pauses[-1]
    now[0] += pauses[-1]
    assert door.must_ask
    assert door.shut_seconds == 0
    door.succeeded()
    assert not door.must_ask
    assert door.failed(retry_after=17) == 17


def test_a_pace_spaces_a_channel_and_a_target() -> None:
    pace = Pace(Rate(10, 1.0), lambda: 100.0)
    assert [round(pace.delay(target), 1) for target in "aab"] == [0.0, 1.0, 0.2]


def a_delivery(**changes: Any) -> Delivery:
    values = {"key": "k-1", "target": "a@example.com", "title": "t", "text": "x", "body": "<p>x</p>", "created_at": NOW}
    return Delivery(**(values | changes))


def test_a_mail_has_two_parts_the_key_as_its_id_and_one_line_of_subject() -> None:
    mail = build_mail(a_delivery(title="sold\r\nBcc: b@example.com\u2028x"), "bots@example.com")
    assert mail["Message-ID"] == "<k-1@example.com>"
    assert mail["Subject"] == "sold Bcc: b@example.com x"
    assert mail["Bcc"] is None
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize("target", ["", "a", "a@b,c@d", "a@b\r\nBcc: c@d", "a <a@b>", "a@b c@d", "ä@example.com"])
def test_what_is_no_single_address_is_refused(target: str) -> None:
    with pytest.raises(RejectedError, match="is no e-mail address"):
        build_mail(a_delivery(target=target), "bots@example.com")


def test_a_signature_changes_with_secret_time_and_body_and_is_absent_without_a_secret() -> None:
    first = signature("secret", b"{}", 1)
    assert first["X-Tradingbot-Timestamp"] == "1"
    others = [signature("other", b"{}", 1), signature("secret", b"{} ", 1), signature("secret", b"{}", 2)]
    assert len({one["X-Tradingbot-Signature"] for one in (first, *others)}) == 4
    assert signature("", b"{}", 1) == {}


@pytest.mark.parametrize(
    ("environment", "channel", "said"),
    [
        ({"SMTP_SERVER": "mail"}, "email", "SMTP_FROM is ''; allowed: the address that messages come from"),
        ({"SMTP_SERVER": "mail", "SMTP_PORT": "x"}, "email", "SMTP_PORT is 'x'"),
        ({"SMTP_SERVER": "mail", "SMTP_SECURITY": "ssl"}, "email", "allowed: starttls, tls, none"),
        ({"TELEGRAM_BOT_TOKEN": "not-a-token"}, "telegram", "TELEGRAM_BOT_TOKEN is no token"),
        ({"SLACK_BOT_TOKEN": "abcdef-token"}, "slack", "SLACK_BOT_TOKEN is no token of a Slack app"),
        ({"WEBHOOK_OPS_URL": "ftp://hooks/abc"}, "webhook", "WEBHOOK_OPS_URL is no address"),
        ({"APPRISE_URLS": "json://localhost nonsense-address"}, "apprise", "address number 2"),
    ],
)
async def test_a_channel_that_is_set_up_wrongly_is_named_and_stops_no_other(
    environment: dict[str, str], channel: str, said: str
) -> None:
    other = {"WEBHOOK_URL": "http://localhost/x"} if channel != "webhook" else {"SLACK_BOT_TOKEN": "xoxb-1"}
    channels = build_channels(environment | other)
    assert said in channels.troubles[channel]
    assert len(channels.notifiers) == 1
    for value in environment.values():
        if "abc" in value or "token" in value:
            assert value not in channels.troubles[channel]
            assert value not in masked(f"error with {value}")
    for notifier in channels.notifiers.values():
        await notifier.aclose()


def test_nothing_is_set_up_by_an_empty_environment_or_where_it_is_switched_off() -> None:
    assert configured_names({}) == []
    assert configured_names({"TRADINGBOT_NOTIFY": "off", "SMTP_SERVER": "mail"}) == []
    assert configured_names({"WEBHOOK_OPS_URL": "http://x"}) == ["webhook"]


@pytest.mark.parametrize("kind", ["status", "alert"])
def test_a_state_that_comes_back_within_minutes_is_told_again(kind: str) -> None:
    told = [a_row(number, message_type=kind, content={"title": text}) for number, text in enumerate("ABA")]
    assert find_duplicates(told, []) == {}


def test_errors_of_two_bots_of_one_name_are_two() -> None:
    assert find_duplicates([a_row(number, metadata={"bot_id": number}) for number in (1, 2)], []) == {}


def test_a_digest_has_no_more_messages_than_its_channel_has_room_for() -> None:
    text = "[a bot] SELL 0.01 BTCUSDT @ 65000 (P&L: +12.30 / +1.25%, held 4h 5m, take_profit)"
    content = {"title": "Position Closed: BTCUSDT", "message": text}
    waiting = [(a_row(number, message_type="trade_exit", content=content), "4242") for number in range(1, 101)]
    units = build_units(waiting)
    assert [message for unit in units for message in unit.ids] == [*range(1, 101)]
    for unit in units:
        body = Renderer().render(unit, Markup.TELEGRAM).body
        assert body.count("P&amp;L: +12.30 / +1.25%, held 4h 5m, take_profit)") == len(unit.rows)
        repeated = Renderer().render(replace(unit, repeated=True), Markup.TELEGRAM).body
        assert repeated.count("take_profit)") == len(unit.rows)
