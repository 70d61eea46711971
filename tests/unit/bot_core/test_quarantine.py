import pytest

from bot_core.models.bot import BotRow, BotStatus, desired_state, document_hash

DOCUMENT = {"symbol": "ETHUSDT"}
MARK = {"since": "2024-01-01T00:00:00+00:00", "failures": 5, "error": "boom", "config_hash": document_hash(DOCUMENT)}


def a_row(status: str = BotStatus.ERROR, mark: object = MARK, document: object = DOCUMENT) -> BotRow:
    return BotRow(id=7, user_id=1, status=status, config=document, extra_metadata={"quarantined": mark})


def test_a_quarantined_row_still_asks_to_run_so_that_its_pod_stays() -> None:
    assert a_row().quarantined
    assert desired_state(a_row()).run


@pytest.mark.parametrize("status", ["enabled", "starting", "restarting", "running"])
def test_a_request_heals(status: str) -> None:
    assert not a_row(status=status).quarantined


def test_another_document_heals_and_an_unmarked_error_is_none() -> None:
    assert not a_row(document=DOCUMENT | {"name": "mended"}).quarantined
    assert not a_row(mark=None).quarantined
    assert not a_row(mark="yes").quarantined
