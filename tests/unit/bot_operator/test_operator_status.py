from datetime import timedelta
from typing import Any

import pytest

from bot_operator.status import build_status_fields, condition, judge
from bot_operator.trouble import Trouble
from support.operator_builders import NOW, ClusterBuilder, RowBuilder, a_bot, a_row

_DISABLED = a_row().disabled()
_INVALID = a_row().invalid()


def _status(row: RowBuilder, cluster: ClusterBuilder, later: timedelta = timedelta()) -> dict[str, Any]:
    return build_status_fields(row.record(), cluster.observed, NOW + later)


@pytest.mark.parametrize(
    ("row", "cluster", "phase", "message"),
    [
        (a_row(), a_bot(), "Pending", ""),
        (a_row(), a_bot().with_deployment(), "Pending", ""),
        (a_row(), a_bot().with_deployment(trouble=Trouble("FailedCreate", "no")), "Error", "FailedCreate: no"),
        (a_row(), a_bot().with_deployment().with_pod(), "Starting", ""),
        (a_row(), a_bot().with_deployment().with_pod(started=False), "Pending", ""),
        (
            a_row(),
            a_bot().with_deployment().with_pod(started=False, trouble="Unschedulable: 0/1"),
            "Pending",
            "Unschedulable: 0/1",
        ),
        (
            a_row(),
            a_bot().with_deployment().with_pod(trouble="ImagePullBackOff: no", failing=True),
            "Error",
            "ImagePullBackOff: no",
        ),
        (a_row().says("running"), a_bot().running(), "Running", ""),
        (a_row().says("error", last_error="the broker refused"), a_bot().running(), "Error", "the broker refused"),
        (
            a_row(),
            a_bot().with_deployment().with_pod().saying(phase="Running", pod="bot-7-abc", restarts=0),
            "Running",
            "runs but is not ready",
        ),
        (
            a_row(),
            a_bot().with_deployment().with_pod(restarts=1).saying(phase="Running", pod="bot-7-abc", restarts=0),
            "Starting",
            "",
        ),
        (a_row(), a_bot().with_deployment(deleting=True), "Pending", "waits for the previous pod to end"),
        (_DISABLED, a_bot(), "Stopped", "status is disabled"),
        (_DISABLED, a_bot().running(), "Stopping", "status is disabled"),
        (_DISABLED, a_bot().with_pod(deleting=True), "Stopping", "status is disabled"),
        (_INVALID, a_bot(), "Error", _INVALID.record().config_error),
        (
            _INVALID,
            a_bot().running(),
            "Running",
            f"runs on its last good document; {_INVALID.record().config_error}",
        ),
    ],
)
def test_the_phase_follows_from_row_and_cluster(
    row: RowBuilder, cluster: ClusterBuilder, phase: str, message: str
) -> None:
    verdict = judge(row.record(), cluster.observed, NOW)
    assert (verdict.phase, verdict.message) == (phase, message)


def test_figures_are_shown_as_exact_text_and_what_is_unknown_is_left_out() -> None:
    row = a_row().with_figures("10000.00000000", "-0.50000000").holding("0.25", "2000.10").running_document("abc")
    status = _status(row, a_bot())
    assert (status["balance"], status["totalPnl"], status["configHash"]) == ("10000", "-0.5", "abc")
    assert status["openPosition"] == "long 0.25 ETHUSDT at 2000.1"
    assert status["lastHeartbeat"] == "2026-03-01T12:00:00Z"
    assert not {"balance", "openPosition", "lastHeartbeat", "pod"} & _status(a_row(), a_bot()).keys()


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    row = a_row().says("running")
    first = a_bot(row=row).running().up_to_date()
    later = _status(row, first, timedelta(hours=1))
    assert condition(later, "Ready")["lastTransitionTime"] == "2026-03-01T12:00:00Z"
    lost = _status(row, first.without_pods().with_pod(ready=False), timedelta(hours=1))
    assert condition(lost, "Ready")["lastTransitionTime"] == "2026-03-01T13:00:00Z"
    assert condition(lost, "ConfigValid")["lastTransitionTime"] == "2026-03-01T12:00:00Z"


@pytest.mark.parametrize(
    ("row", "cluster", "expected"),
    [
        (a_row().says("running"), a_bot().running(), {"Ready": "True", "ConfigValid": "True", "Trading": "True"}),
        (a_row().says("starting"), a_bot().running(), {"Ready": "True", "ConfigValid": "True", "Trading": "False"}),
        (_INVALID.says("running"), a_bot().running(), {"Ready": "True", "ConfigValid": "False", "Trading": "True"}),
        (_DISABLED, a_bot(), {"Ready": "False", "ConfigValid": "True", "Trading": "False"}),
    ],
)
def test_conditions_say_ready_valid_and_trading(
    row: RowBuilder, cluster: ClusterBuilder, expected: dict[str, str]
) -> None:
    conditions = _status(row, cluster)["conditions"]
    assert {item["type"]: item["status"] for item in conditions} == expected


@pytest.mark.parametrize("status", ["running", "starting"])
def test_a_halted_bot_says_so_in_status_message_and_condition(status: str) -> None:
    row = a_row().says(status).halted(reason="news")
    found = _status(row, a_bot().running())
    text = "halted (this user's bots) by anna since 2026-03-01 12:00:00 UTC: news"
    trading = condition(found, "Trading")
    assert (found["halted"], found["phase"], found["message"]) == (True, "Running", text)
    assert (trading["status"], trading["reason"], trading["message"]) == ("False", "Halted", text)
    assert condition(found, "Ready")["status"] == "True"
    assert _status(a_row().says(status), a_bot().running())["halted"] is False


def test_a_halt_hides_neither_an_error_nor_an_invalid_document() -> None:
    failed = judge(
        a_row().says("error", last_error="the broker refused").halted().record(), a_bot().running().observed, NOW
    )
    assert (failed.phase, failed.message) == ("Error", "the broker refused")
    kept = judge(_INVALID.halted().record(), a_bot().running().observed, NOW)
    assert kept.message.startswith("halted (this user's bots)")
    assert kept.message.endswith(f"; runs on its last good document; {_INVALID.record().config_error}")


def test_the_observed_generation_is_that_of_the_tradingbot_that_was_seen() -> None:
    assert _status(a_row(), a_bot())["observedGeneration"] == 1


def test_an_invalid_document_says_so_in_its_condition() -> None:
    assert condition(_status(_INVALID, a_bot()), "ConfigValid")["reason"] == "Invalid"


def test_no_message_is_longer_than_the_api_server_takes() -> None:
    wordy = a_row()._with(unreadable="x" * 40_000)
    status = _status(wordy, a_bot(row=wordy))
    assert status["message"].startswith("invalid configuration: row: ")
    texts = [status["message"], *(item["message"] for item in status["conditions"])]
    assert max(map(len, texts)) == 4096
    assert {text[-1] for text in texts if len(text) == 4096} == {"…"}
