import json
from pathlib import Path

import pytest

from bot_core.models.errors import FatalError
from bot_operator.settings import database_url, load_settings, parse_settings
from support.operator_builders import some_settings

_LEAST = {
    "namespace": "trading",
    "release": "fleet",
    "database": {"secretName": "fleet-database", "secretKey": "url"},
    "bot": {"image": "bot-runtime:1.2.3"},
}


def test_a_file_of_what_is_required_gives_settings_with_all_defaults(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(_LEAST))
    settings = load_settings({"OPERATOR_SETTINGS": str(path)})
    assert (settings.poll_seconds, settings.status_seconds, settings.log_level) == (30, 15, "INFO")
    assert settings.bot.termination_grace_period_seconds == 30
    assert settings.database.secret_name == "fleet-database"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"namespace": ""}, "namespace"),
        ({"release": "not a label"}, "release"),
        ({"pollSeconds": 0}, "pollSeconds"),
        ({"polSeconds": 10}, "polSeconds"),
        ({"bot": {}}, "bot.image"),
        ({"bot": {"image": "i", "terminationGracePeriodSeconds": 0}}, "bot.terminationGracePeriodSeconds"),
        ({"database": {"secretName": "s"}}, "database.secretKey"),
        ({"logLevel": "LOUD"}, "logLevel"),
    ],
)
def test_a_wrong_key_is_named_in_the_error(changes: dict[str, object], told: str) -> None:
    with pytest.raises(FatalError, match=told):
        parse_settings(_LEAST | changes)


def test_an_error_repeats_no_value_because_env_may_hold_a_private_one() -> None:
    with pytest.raises(FatalError) as caught:
        parse_settings(_LEAST | {"bot": {"image": "i", "env": "hunter2"}})
    assert "hunter2" not in str(caught.value)
    assert "bot.env" in str(caught.value)


def test_a_file_that_is_absent_or_no_json_or_not_named_is_told_apart(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    for environ, told in (
        ({}, "OPERATOR_SETTINGS is not set"),
        ({"OPERATOR_SETTINGS": str(tmp_path / "absent.json")}, "can't be read"),
        ({"OPERATOR_SETTINGS": str(broken)}, "is no JSON"),
    ):
        with pytest.raises(FatalError, match=told):
            load_settings(environ)


def test_the_database_has_no_default_that_would_be_an_empty_table() -> None:
    with pytest.raises(FatalError, match="DATABASE_URL is not set"):
        database_url({})
    assert database_url({"DATABASE_URL": "sqlite:///x.db"}) == "sqlite:///x.db"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        some_settings().release = "other"  # type: ignore[misc]
