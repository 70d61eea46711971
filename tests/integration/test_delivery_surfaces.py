"""Recipients, secrets, plugins, and the commands that people type, each against the real parts."""

import json
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector
from sqlalchemy import insert, update

from bot_core.logs import configure_logging
from bot_core.models.queued_message import QueuedMessage
from bot_core.schema import auth_identities, users
from bot_core.store.bots import BotStore
from bot_core.store.database import Database
from bot_runtime.cli.main import main
from bot_runtime.notifications.base import ChannelDownError, Delivery, RejectedError
from bot_runtime.notifications.email import EmailNotifier
from bot_runtime.notifications.metrics import NotificationFigures
from bot_runtime.notifications.recipients import Recipients
from support import slack_api, telegram_api
from support.mail import PASSWORD, USER, MailServer
from support.outgoing import (
    TARGETS,
    Receivers,
    a_dispatcher,
    deliveries,
    dispatching,
    eventually,
    queue,
    rows,
    statuses,
)
from support.service import Service
from support.stand_ins import Mode
from support.waiting import wait_until


@pytest.fixture
async def database(sqlite_url: str) -> AsyncIterator[Database]:
    database = Database(sqlite_url)
    yield database
    await database.aclose()


async def people(database: Database) -> dict[str, int]:
    """One with a chat, one with two, one without any, and an admin."""
    store = BotStore(database, actor="test")
    ids = {name: await store.user(f"{name}@example.com") for name in ("one", "two", "none", "admin")}
    chats = [("one", "501"), ("two", "601"), ("two", "602"), ("admin", "701")]
    async with database.write() as connection:
        for name, chat in chats:
            identity = {"user_id": ids[name], "provider": "telegram", "external_id": chat}
            await connection.execute(insert(auth_identities).values(identity))
        await connection.execute(update(users).where(users.c.id == ids["none"]).values(email=None))
    return ids


def a_row(recipient: Any, **metadata: Any) -> QueuedMessage:
    from datetime import UTC, datetime  # noqa: PLC0415

    return QueuedMessage(1, "error", "HIGH", (), datetime.now(UTC), recipient_id=str(recipient), metadata=metadata)


async def test_recipients_follow_the_rules_of_the_older_platform(database: Database) -> None:
    ids = await people(database)
    found = Recipients(database, {"slack": "#default"})
    wanted = [
        (a_row(ids["one"]), "email", "one@example.com"),
        (a_row(ids["one"], email_receiver="direct@x.com"), "email", "direct@x.com"),
        (a_row("somebody@x.com"), "email", "somebody@x.com"),
        (a_row("701", admin_notification=True), "email", "admin@example.com"),
        (a_row("501"), "email", "one@example.com"),
        (a_row(ids["one"]), "telegram", "501"),
        (a_row(ids["one"], telegram_chat_id=-1007), "telegram", "-1007"),
        (a_row("701", admin_notification=True), "telegram", "701"),
        (a_row("-100999"), "telegram", "-100999"),
        (a_row(ids["one"]), "slack", "#default"),
        (a_row(ids["one"], slack_channel="#x"), "slack", "#x"),
        (a_row(ids["one"], webhook="ops"), "webhook", "ops"),
        (a_row(ids["one"]), "webhook", ""),
    ]
    for row, channel, target in wanted:
        assert await found.target(row, channel) == target
    for recipient, channel, said in [
        (ids["two"], "telegram", "2 Telegram identities"),
        (ids["none"], "telegram", "no Telegram identities"),
        (ids["none"], "email", "has no e-mail address"),
        ("manifest-7", "telegram", "neither a user nor a Telegram chat"),
        ("manifest-7", "email", "has no e-mail address"),
    ]:
        with pytest.raises(RejectedError, match=said):
            await found.target(a_row(recipient), channel)
    with pytest.raises(RejectedError, match="set SLACK_CHANNEL"):
        await Recipients(database, {}).target(a_row(1), "slack")


class Figures(Collector):
    def __init__(self, figures: NotificationFigures) -> None:
        self._figures = figures

    def collect(self) -> Any:
        return self._figures.collect()


async def test_no_token_password_or_address_gets_into_rows_logs_or_figures(
    database: Database, outside: Receivers, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("DEBUG", json=True)
    environment = outside.environment() | {
        "SMTP_USER": USER,
        "SMTP_PASSWORD": "wrong-smtp-password",
        "TELEGRAM_BOT_TOKEN": "999999:wrong-telegram-token",
        "SLACK_BOT_TOKEN": "xoxb-wrong-slack-token",
        "WEBHOOK_OPS_URL": "http://127.0.0.1:9/ops-path-secret",
        "WEBHOOK_OPS_SECRET": "wrong-signing-secret",
    }
    figures = NotificationFigures()
    for channel in TARGETS:
        await queue(database, channel, more={"webhook": "ops"} if channel == "webhook" else {})
    async with dispatching(a_dispatcher(Database(str(database.url)), environment, figures=figures)):
        tried = lambda: all(figures.outcomes[name, "postponed"] for name in TARGETS)  # noqa: E731
        await eventually(tried, "a failure of each channel")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(figures))
    shown = capsys.readouterr().err + generate_latest(registry).decode()
    shown += json.dumps([*await rows(database), *await deliveries(database)], default=str)
    assert shown.count("channel_down") >= 4
    assert all(row["last_error"] for row in await rows(database))
    secrets = ["wrong-smtp-password", "wrong-telegram-token", "wrong-slack-token", "ops-path-secret", "wrong-signing"]
    assert [secret for secret in secrets if secret in shown] == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, file = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", file, "-days", "2"]
    subprocess.run([*command, *subject], check=True, capture_output=True)
    return key, file


def a_delivery(target: str) -> Delivery:
    from datetime import UTC, datetime  # noqa: PLC0415

    return Delivery("k-1", target, "title", "text", "<p>text</p>", datetime.now(UTC))


async def test_mail_goes_over_starttls_with_a_login_and_never_in_the_clear(certificate: tuple[Path, Path]) -> None:
    key, file = certificate
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file, key)
    trusting = ssl.create_default_context(cafile=str(file))
    with_tls, plain = MailServer(tls=server, login=True), MailServer()
    options: dict[str, Any] = {"user": USER, "password": PASSWORD}
    await EmailNotifier("localhost", with_tls.port, "b@x.com", tls=trusting, **options).send(a_delivery("a@x.com"))
    assert [one.target for one in with_tls.arrived] == ["a@x.com"]
    with pytest.raises(ChannelDownError, match="CERTIFICATE_VERIFY_FAILED"):
        await EmailNotifier("localhost", with_tls.port, "b@x.com", **options).send(a_delivery("a@x.com"))
    with pytest.raises(ChannelDownError, match=r"(?i)starttls"):
        await EmailNotifier("localhost", plain.port, "b@x.com", tls=trusting).send(a_delivery("a@x.com"))
    assert plain.arrived == []
    for one in (with_tls, plain):
        one.close()


async def test_an_unknown_mailbox_and_an_unknown_chat_are_dead_letters_and_others_arrive(
    database: Database, outside: Receivers
) -> None:
    outside.telegram.chats_that_fail.add("13")
    await queue(database, "email", more={"email_receiver": "nobody@example.com"})
    await queue(database, "telegram", more={"telegram_chat_id": "13"})
    await queue(database, "webhook", more={"webhook": "unknown"})
    for channel in ("email", "telegram", "webhook"):
        await queue(database, channel)

    async def done() -> bool:
        return await statuses(database) == ["FAILED"] * 3 + ["DELIVERED"] * 3

    async with dispatching(a_dispatcher(Database(str(database.url)), outside.environment())):
        await eventually(done, "three failures and three deliveries")
    errors = [row["last_error"] for row in await rows(database)][:3]
    assert "no such mailbox" in errors[0]
    assert "chat not found" in errors[1].lower()
    assert "set WEBHOOK_UNKNOWN_URL" in errors[2]


async def test_commands_list_retry_and_test(
    database: Database, outside: Receivers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import asyncio  # noqa: PLC0415

    failed = await queue(database, "email", status="FAILED", retry_count=3)
    await queue(database, "email", "waits")
    monkeypatch.setenv("DATABASE_URL", str(database.url))
    for name, value in outside.environment().items():
        monkeypatch.setenv(name, value)

    async def typed(*words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, ["messages", *words])
        done = capsys.readouterr()
        return code, done.out, done.err

    code, out, _ = await typed("list", "--failed", "--json")
    assert code == 0
    assert [row["id"] for row in json.loads(out)] == [failed]
    code, out, err = await typed("retry", str(failed), "999")
    assert (code, out) == (1, f"queued again: {failed}\n")
    assert "message 999 is not there" in err
    assert await statuses(database) == ["PENDING", "PENDING"]
    assert (await typed("list", "--failed"))[1] == "there are no such messages\n"
    for channel, target in (("email", "a@x.com"), ("telegram", "42"), ("slack", "#x"), ("webhook", "")):
        code, out, _ = await typed("test", "--channel", channel, "--to", target)
        assert (code, out.startswith(f"sent by {channel}")) == (0, True)
    assert {name: len(arrived) for name, arrived in outside.arrived().items()} == dict.fromkeys(TARGETS, 1)
    outside.slack.mode = Mode.REJECT
    code, _, err = await typed("test", "--channel", "slack", "--to", "#x")
    assert (code, err) == (1, "tradingbot: slack: Slack answers channel_not_found\n")
    code, _, err = await typed("test", "--channel", "fax")
    assert "channel 'fax' is not set up; set up: email, slack, telegram, webhook" in err


def test_a_service_delivers_beside_its_bots_and_tells_its_figures(
    sqlite_url: str, tmp_path: Path, outside: Receivers
) -> None:
    import asyncio  # noqa: PLC0415

    async def put() -> None:
        database = Database(sqlite_url)
        await queue(database, "email")
        await database.aclose()

    asyncio.run(put())
    with Service(tmp_path, sqlite_url, "serve", **outside.environment()) as service:
        wait_until(lambda: outside.mail.arrived, 30, "delivery", tell=service.log.read_text)
        figures = 'tradingbot_notifications_total{channel="email",outcome="delivered"} 1.0'
        wait_until(lambda: figures in service.get("/metrics")[1], 10, "the figures")
        assert service.stop() == 0
    assert not [secret for secret in (telegram_api.TOKEN, slack_api.TOKEN) if secret in service.log.read_text()]


def test_without_a_channel_the_dispatcher_ends_with_a_sentence(sqlite_url: str, tmp_path: Path) -> None:
    with Service(tmp_path, sqlite_url, "notify") as service:
        assert service.process.wait(30) == 1
    assert "tradingbot: no channel can be used here: set SMTP_SERVER" in service.log.read_text()
    assert "Traceback" not in service.log.read_text()
