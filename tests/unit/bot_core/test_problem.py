import pytest

from bot_core.models.config import parse_config
from bot_core.models.problem import redacted, shown
from support.bots import a_document

_PASTED = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"


@pytest.mark.parametrize(
    "name", ["bot-keys", "a", "binance.main-2", "bot-keys-5g9fdkfm7m", "the-second-account-of-2026"]
)
def test_the_name_of_a_secret_is_shown(name: str) -> None:
    assert redacted("credentials_secret", name) == name
    assert redacted("", {"credentials_secret": name}) == {"credentials_secret": name}


@pytest.mark.parametrize(
    "pasted",
    [
        _PASTED,
        "My Keys",
        "AKIA-Hunter2",
        "5f3113a1689401000612a12a",
        "d9d6f1ab-6e2c-4c7e-9f4b-2f0f5a1b6c3d",
        "bot-1f3870be274f6c49b3e31a0c6728957f",
        "hunter2-",
        "a" * 254,
        12345678,
        {"value": "hunter2"},
        ["hunter2!"],
        True,
    ],
)
def test_what_stands_there_instead_is_not(pasted: object) -> None:
    assert shown("credentials_secret", pasted) == "'***'"
    assert redacted("", {"broker": [{"credentials_secret": pasted}]}) == {"broker": [{"credentials_secret": "***"}]}


def test_a_key_that_was_pasted_for_the_name_of_its_secret_is_in_no_error() -> None:
    error = parse_config(a_document(credentials_secret=_PASTED)).error
    assert error.startswith("invalid configuration: credentials_secret: '***' is not allowed; allowed: the name of a")
    assert _PASTED[:6] not in error


def test_nothing_is_shown_as_nothing() -> None:
    assert redacted("credentials_secret", None) is None
