from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot_core.logs import hide
from bot_core.models.bot import BotRow, BotStatus, StoppedBy
from bot_core.models.notification import NotificationConfig
from bot_core.models.recipients import Purpose, Subject, Targets
from bot_core.store.lifecycle import START, start_reason, started_letter, stopped_letter, stops
from bot_core.store.outbox import Admin, Letter, build_copies, build_messages, error_letter

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SUBJECT = Subject(
    bot_id=7,
    name="BTC dips",
    user_id=3,
    notifications=NotificationConfig(error_notifications=True, email_enabled=True, telegram_enabled=True),
    symbol="BTCUSDT",
    mode="paper",
)
SILENT = replace(SUBJECT, notifications=NotificationConfig(enabled=False))
ADMINS = [Admin("900", "root@example.com"), Admin("-901", None)]


def test_each_channel_has_a_row_of_its_own_in_the_shape_of_the_queue() -> None:
    letter = error_letter("no candles", name=SUBJECT.name, priority="CRITICAL", correlation_id="tb7-en-1")
    email, telegram = build_messages(SUBJECT, letter, Targets(), at=AT)
    assert (email["channels"], telegram["channels"]) == (["email"], ["telegram"])
    assert telegram["content"] == {
        "title": "Bot Error: BTC dips",
        "message": "[BTC dips] no candles (Paper Trading)",
        "source": "trading_bot",
    }
    metadata = telegram["metadata"]
    assert metadata.pop("dedup_key").endswith(":telegram:3")
    assert metadata == {
        "bot_id": 7,
        "bot_name": "BTC dips",
        "symbol": "BTCUSDT",
        "trading_mode": "paper",
        "timestamp": "2026-03-01T12:00:00+00:00",
        "error_type": "trading_bot_error",
        "error_message": "no candles",
        "correlation_id": "tb7-en-1",
    }
    fixed = ("message_type", "priority", "recipient_id", "status", "retry_count", "max_retries", "scheduled_for")
    assert [telegram[name] for name in fixed] == ["error", "CRITICAL", "3", "PENDING", 0, 3, AT]


def test_the_key_of_a_repetition_is_that_of_its_bot_its_text_and_its_recipient() -> None:
    def key(text: str, subject: Subject = SUBJECT, place: int = 0) -> str:
        return str(
            build_messages(subject, error_letter(text, name="x"), Targets(), at=AT)[place]["metadata"]["dedup_key"]
        )

    assert key("a") == key("a")
    assert len({key("a"), key("b"), key("a", replace(SUBJECT, bot_id=8)), key("a", place=1)}) == 4
    letter = Letter(Purpose.ERROR, "trade_entry", "t", "x")
    assert "dedup_key" not in build_messages(SUBJECT, letter, Targets(), at=AT)[0]["metadata"]


def test_admins_are_told_of_errors_whatever_the_document_says() -> None:
    letter = error_letter("no candles", name=SUBJECT.name)
    assert build_messages(SILENT, letter, Targets("all@example.com", "555"), at=AT) == []
    rows = build_copies(SILENT, letter, ADMINS, at=AT)
    assert [(row["channels"], row["recipient_id"]) for row in rows] == [
        (["telegram"], "900"),
        (["email"], "900"),
        (["telegram"], "-901"),
    ]
    assert {row["content"]["title"] for row in rows} == {"Bot Error: BTC dips (admin)"}
    assert {(row["metadata"]["admin_notification"], row["metadata"]["telegram_chat_id"]) for row in rows} == {
        (True, "900"),
        (True, "-901"),
    }
    assert [row["metadata"].get("email_receiver") for row in rows] == [None, "root@example.com", None]


@pytest.mark.parametrize("purpose", [one for one in Purpose if one is not Purpose.ERROR])
def test_admins_are_told_of_errors_alone(purpose: Purpose) -> None:
    assert build_copies(SUBJECT, Letter(purpose, "alert", "t", "x"), ADMINS, at=AT) == []


def test_not_even_admins_are_told_of_a_simulation() -> None:
    simulated = replace(SUBJECT, simulated=True)
    assert build_copies(simulated, error_letter("x", name="x"), ADMINS, at=AT) == []
    assert build_messages(simulated, error_letter("x", name="x"), Targets(), at=AT) == []


def test_no_secret_is_in_a_row_wherever_it_stood() -> None:
    hide("hunter2-of-the-fleet")
    secrets = "postgresql://me:pass-word@db/x api_key=K3Y0000 Bearer abc.def hunter2-of-the-fleet /bot1:AAtoken"
    subject = replace(SUBJECT, name="bot hunter2-of-the-fleet")
    letter = error_letter(f"failed: {secrets}", name=subject.name, detail=secrets)
    rows = build_messages(subject, letter, Targets(), at=AT) + build_copies(subject, letter, ADMINS, at=AT)
    assert len(rows) == 5
    for word in ("pass-word", "K3Y0000", "abc.def", "hunter2-of-the-fleet", "AAtoken"):
        assert word not in str(rows), word


def test_a_long_text_is_cut_and_still_says_that_it_is_paper() -> None:
    (row, _) = build_messages(SUBJECT, error_letter("x" * 9000, name="n" * 900), Targets(), at=AT)
    assert len(row["content"]["message"]) == 2000
    assert row["content"]["message"].endswith(" (Paper Trading)")
    assert len(row["content"]["title"]) == 200
    (row, _) = build_messages(replace(SUBJECT, mode="live"), error_letter("x", name="n"), Targets(), at=AT)
    assert row["content"]["message"] == "[BTC dips] x"


def a_row(status: str = "enabled", *, ran: Any = True, **metadata: Any) -> BotRow:
    return BotRow(id=7, user_id=3, status=status, started_at=AT if ran else None, extra_metadata=metadata)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (a_row(ran=False), "for the first time"),
        (a_row("starting", stopped_by="request"), "after it was stopped on request"),
        (a_row("stopped", stopped_by="config"), "after it was stopped on request"),
        (a_row("error", quarantined={"failures": 5}), "after it was quarantined"),
        (a_row("starting", ran=False, **{START: "quarantine"}), "after it was quarantined"),
        (a_row("starting", **{START: "request"}), "after it was stopped on request"),
        (a_row("stopped", stopped_by="shutdown"), ""),
        (a_row("restarting"), ""),
        (a_row("running"), ""),
        (a_row("error", last_error="boom"), ""),
        (a_row(**{START: "odd"}), ""),
    ],
)
def test_a_start_is_told_where_somebody_asked_for_it_or_a_quarantine_ends(row: BotRow, words: str) -> None:
    reason = start_reason(row)
    assert bool(reason) is bool(words)
    if words:
        letter = started_letter("BTC dips", reason)
        assert words in letter.text
        assert (letter.title, letter.kind, letter.purpose) == ("Bot Started: BTC dips", "status", Purpose.BOT_EVENT)


@pytest.mark.parametrize(
    ("row", "reason", "told"),
    [
        (a_row("stopping"), StoppedBy.REQUEST, True),
        (a_row("running"), StoppedBy.CONFIG, True),
        (a_row("running"), StoppedBy.SHUTDOWN, False),
        (a_row("stopped", stopped_by="request"), StoppedBy.REQUEST, False),
        (a_row("stopped", stopped_by="shutdown"), StoppedBy.CONFIG, True),
        (a_row(BotStatus.STOPPING, stopped_by="request"), StoppedBy.REQUEST, True),
    ],
)
def test_a_stop_is_told_where_it_was_asked_for_and_once(row: BotRow, reason: StoppedBy, told: bool) -> None:
    assert stops(row, reason) is told
    if told:
        assert stopped_letter("BTC dips", reason).title == "Bot Stopped: BTC dips"


def test_a_secret_at_the_edge_of_what_a_row_holds_is_masked_whole() -> None:
    hide("edge-of-the-row-secret")
    letter = error_letter("x" * 1990 + "edge-of-the-row-secret", name="a bot")
    assert "edge" not in str(letter.data)
