from pathlib import Path

import pytest

from bot_core.logs import masked
from bot_core.models.errors import FatalError
from bot_core.store.database import parse_url, safe_url
from bot_runtime.settings import Settings

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "nan"),
        ("PORT", "99999"),
        ("PORT", "eighty"),
        ("LOG_LEVEL", "verbose"),
        ("TRADINGBOT_POLL_SECONDS", "0"),
        ("TRADINGBOT_HEARTBEAT_SECONDS", "-1"),
        ("TRADINGBOT_HEARTBEAT_SECONDS", "11"),
        ("TRADINGBOT_LEASE_SECONDS", "inf"),
        ("TRADINGBOT_STALL_SECONDS", "5"),
        ("TRADINGBOT_QUARANTINE_FAILURES", "0"),
        ("TRADINGBOT_QUARANTINE_MINUTES", "0"),
        ("TRADINGBOT_EXIT_WHEN_BLOCKED", "perhaps"),
        ("TRADINGBOT_WARN_CPU", "0"),
        ("TRADINGBOT_WARN_MEMORY", "85"),
        ("TRADINGBOT_WARN_FDS", "1.5"),
        ("TRADINGBOT_WARN_LOOP_LAG", "never"),
        ("TRADINGBOT_PERFORMANCE_TRADES", "0"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_is(name: str, value: str) -> None:
    with pytest.raises(FatalError, match=rf"{name} is '{value}'; allowed: "):
        Settings.from_environment({name: value})


def test_an_empty_environment_gives_the_defaults_and_a_short_lease_a_short_heartbeat() -> None:
    assert Settings.from_environment({}) == Settings()
    assert Settings.from_environment({"TRADINGBOT_LEASE_SECONDS": "6"}).heartbeat_seconds == 2


def test_the_token_comes_from_the_environment_or_a_file_and_is_shown_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-a-file-Kf93\n")
    by_file = Settings.from_environment({"TRADINGBOT_HTTP_TOKEN_FILE": str(file)})
    by_name = Settings.from_environment({"TRADINGBOT_HTTP_TOKEN": "by-name-Kf93"})
    assert (by_file.http_token, by_name.http_token) == ("from-a-file-Kf93", "by-name-Kf93")
    assert "Kf93" not in repr((by_file, by_name)) + masked("said from-a-file-Kf93 and by-name-Kf93")


@pytest.mark.parametrize("token", ["short", "with\nnewline", "späterer Schlüssel"])
def test_a_token_that_can_not_be_one_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(FatalError, match="TRADINGBOT_HTTP_TOKEN holds no token; allowed: 8 or more") as caught:
        Settings.from_environment({"TRADINGBOT_HTTP_TOKEN": token})
    assert token not in str(caught.value)


def test_a_token_file_that_is_not_there_or_empty_leaves_nothing_open(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for file, why in ((tmp_path / "missing", "can't be read"), (empty, "holds no token")):
        with pytest.raises(FatalError, match=why):
            Settings.from_environment({"TRADINGBOT_HTTP_TOKEN_FILE": str(file)})
    with pytest.raises(FatalError, match="both"):
        Settings.from_environment({"TRADINGBOT_HTTP_TOKEN_FILE": str(empty), "TRADINGBOT_HTTP_TOKEN": "long enough"})


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{SECRET}@h/db",
        f"postgresql://u@h/db?password={SECRET}",
        f"postgresql+psycopg://u@h/db?sslpassword={SECRET}&sslmode=require",
    ],
)
def test_a_url_is_shown_without_its_passwords(url: str) -> None:
    assert SECRET not in safe_url(parse_url(url))


@pytest.mark.parametrize("url", ["nonsense", f"postgresql://u:{SECRET}@word@127.0.0.1:x/db", "mysql://h/db"])
def test_a_url_that_can_not_be_read_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(FatalError, match="DATABASE_URL") as caught:
        parse_url(url)
    assert SECRET not in str(caught.value)
