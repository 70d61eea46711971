import json
import logging

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from bot_core.log_levels import set_bot_level
from bot_core.logs import configure_logging, hide, masked
from bot_core.models.operation import logging_notices

SECRET = "hunter2-and-more"


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql+psycopg://trader:{SECRET}@db/bots",
        f"could not connect: password={SECRET} host=db",
        f'{{"api_key": "{SECRET}"}}',
        f"BINANCE_API_SECRET={SECRET}",
        f"token: {SECRET}",
    ],
)
def test_secrets_in_text_are_masked(text: str) -> None:
    assert SECRET not in masked(text)
    assert "***" in masked(text)


def test_ordinary_text_stays_as_it_is() -> None:
    text = "bot 7: order tb7-en-1704067200000 filled at 100.5, see http://localhost:8080/status"
    assert masked(text) == text


def test_no_secret_reaches_a_line_by_whatever_way_it_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", json=True)
    log = structlog.get_logger("test")
    log.info("plain", api_key=SECRET, nested={"deep": [{"password": SECRET}]}, url=f"postgresql://a:{SECRET}@b/c")
    logging.getLogger("other").warning("by the standard library: password=%s", SECRET)
    try:
        raise RuntimeError(f"no route to postgresql://a:{SECRET}@b/c")
    except RuntimeError:
        log.exception("failed")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert SECRET not in "".join(lines)
    first = json.loads(lines[0])
    assert first["event"] == "plain"
    assert first["level"] == "info"
    assert first["time"].endswith("Z")


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["debug", "info", "error"]),
        ("INFO", ["info", "error"]),
        ("error", ["error"]),
        ("critical", []),
        (None, ["info", "error"]),
    ],
)
def test_a_bot_has_a_level_of_its_own_and_the_others_keep_that_of_the_process(
    level: str | None, written: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("INFO", json=True)
    log = structlog.get_logger("test")
    set_bot_level(7, level)
    try:
        with bound_contextvars(bot_id=7):
            for name in ("debug", "info", "error"):
                getattr(log, name)(name)
                getattr(logging.getLogger("other"), name)(name)
        for name in ("debug", "info"):
            log.bind(bot_id=7).log(getattr(logging, name.upper()), f"{name} bound")
            log.bind(bot_id=8).log(getattr(logging, name.upper()), f"{name} of another bot")
            getattr(log, name)(f"{name} of none")
            getattr(logging.getLogger("other"), name)(f"{name} of a library")
    finally:
        set_bot_level(7, None)
    found = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    twice = [name for name in written for _ in range(1 if name == "debug" else 2)]  # a library is never that talkative
    assert [event for event in found if " " not in event] == twice
    assert [event for event in found if event.endswith("bound")] == [f"{n} bound" for n in written if n != "error"]
    assert {event for event in found if "of" in event.split()} == {
        "info of another bot",
        "info of none",
        "info of a library",
    }
    assert logging.getLogger().level == logging.INFO


def test_a_talkative_bot_does_not_make_libraries_talkative_and_a_quiet_one_keeps_them_quiet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("INFO", json=True)
    library = logging.getLogger("websockets.client")
    try:
        for bot_id, level in ((7, "DEBUG"), (8, "ERROR")):
            set_bot_level(bot_id, level)
            with structlog.contextvars.bound_contextvars(bot_id=bot_id):
                library.debug("> a frame of bot %d", bot_id)
                library.info("connected for bot %d", bot_id)
                structlog.get_logger("bot_runtime.engine").debug("own", of=bot_id)
    finally:
        set_bot_level(7, None)
        set_bot_level(8, None)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["connected for bot 7", "own"]


def test_what_a_document_asks_of_files_is_told_and_its_level_is_not() -> None:
    found = logging_notices({"level": "DEBUG", "log_file": "logs/bot.log", "save_equity_curve": True, "file": None})
    assert [notice.path for notice in found] == ["logging.log_file", "logging.save_equity_curve"]


def test_a_hidden_value_is_masked_wherever_it_stands_and_however_it_is_written() -> None:
    hide("plain/and+odd=value")
    hide("xy")
    text = masked("a plain/and+odd=value b, https://a/?x=plain%2Fand%2Bodd%3Dvalue&signature=0aF9 xy")
    assert text == "a *** b, https://a/?x=***&signature=*** xy"
