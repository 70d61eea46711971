import json
import logging

import pytest
import structlog

from bot_core.logs import configure_logging, hide, masked

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


def test_a_hidden_value_is_masked_wherever_it_stands_and_however_it_is_written() -> None:
    hide("plain/and+odd=value")
    hide("xy")
    text = masked("a plain/and+odd=value b, https://a/?x=plain%2Fand%2Bodd%3Dvalue&signature=0aF9 xy")
    assert text == "a *** b, https://a/?x=***&signature=*** xy"
