from dataclasses import replace
from datetime import timedelta

import pytest

from bot_operator.actions import Action, ApplyDeployment, DeletePod, EmitEvent, NoteRow, PatchStatus, QuarantineRow
from bot_operator.manifests import build_pod_template
from bot_operator.naming import Workload
from bot_operator.observed import Observed
from bot_operator.plan import plan_bot
from bot_operator.record import BotRecord, Hold
from bot_operator.recovery import HeartbeatWatch, beat_seconds, lingering_pod, plan_recovery, silence_seconds
from bot_operator.settings import OperatorSettings
from bot_operator.status import build_status_fields, condition
from support.operator_builders import NOW, ClusterBuilder, RowBuilder, a_bot, a_row, around, some_settings

LIMIT = 120.0
EARLIER = NOW - timedelta(minutes=5)
RUNNING = a_row(7).says("running").with_figures("1", "0", EARLIER)


def told(seconds: float = 60, **values: object) -> OperatorSettings:
    bot = {"image": "x", "env": [{"name": name, "value": value} for name, value in values.items()]}
    return some_settings(bot=bot, recovery={"missedHeartbeats": seconds})


def times(*minutes_ago: float) -> list[str]:
    return [(NOW - timedelta(minutes=ago)).strftime("%Y-%m-%dT%H:%M:%SZ") for ago in minutes_ago]


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ([], 10.0),
        ([{"name": "TRADINGBOT_HEARTBEAT_SECONDS", "value": "2"}], 2.0),
        ([{"name": "TRADINGBOT_LEASE_SECONDS", "value": "6"}], 2.0),
        ([{"name": "TRADINGBOT_LEASE_SECONDS", "value": "90"}], 10.0),
        ([{"name": "TRADINGBOT_HEARTBEAT_SECONDS", "valueFrom": {}}], 10.0),
        (
            [
                {"name": "TRADINGBOT_LEASE_SECONDS", "value": "90"},
                {"name": "TRADINGBOT_HEARTBEAT_SECONDS", "valueFrom": {}},
            ],
            30.0,
        ),
        ([{"name": "TRADINGBOT_HEARTBEAT_SECONDS", "value": "soon"}], 10.0),
    ],
)
def test_the_interval_is_the_one_that_the_pods_are_told(environment: list[dict[str, object]], seconds: float) -> None:
    settings = some_settings(bot={"image": "x", "env": environment})
    assert beat_seconds(settings) == pytest.approx(seconds)
    assert silence_seconds(settings) == pytest.approx(12 * seconds)


def test_by_default_a_bot_and_its_liveness_probe_have_their_turn_before_the_operator() -> None:
    (container,) = build_pod_template(Workload.of([7]), some_settings())["spec"]["containers"]
    probe = container["livenessProbe"]
    stall, patience = 60.0, 20.0
    restarted = stall + patience + probe["periodSeconds"] * probe["failureThreshold"]
    assert silence_seconds(some_settings()) > restarted


class Watched:
    """A watch that is told of a fleet at given seconds."""

    def __init__(self, bots: int = 1, settings: OperatorSettings | None = None) -> None:
        self.watch = HeartbeatWatch(settings or some_settings())
        self.now = 0.0
        self.rows = {
            number: a_row(number).says("running").with_figures("1", "0", EARLIER) for number in range(1, bots + 1)
        }
        self.cluster = {number: a_bot(number, row).running() for number, row in self.rows.items()}

    def watched_until(self, now: float) -> None:
        """Rows are read every 15 s until then."""
        while self.now + 15 < now:
            self.now += 15
            self.watch.heard(self.records(), self.now)
        self.now = now

    def records(self) -> dict[int, BotRecord]:
        return {number: row.record() for number, row in self.rows.items()}

    def look(self, now: float) -> None:
        self.watched_until(now)
        for number, row in self.rows.items():
            self.watch.look(number, row.record(), self.cluster[number].observed, now)

    def beat(self, *bots: int, seconds: float = 1) -> None:
        for number in bots:
            last = self.rows[number].row.last_heartbeat
            assert last is not None
            self.rows[number] = self.rows[number].with_figures("1", "0", last + timedelta(seconds=seconds))

    def heard(self, now: float) -> None:
        self.watched_until(now)
        self.watch.heard(self.records(), now)


def test_a_heartbeat_that_does_not_change_for_all_intervals_is_silence() -> None:
    seen = Watched()
    seen.look(0)
    seen.look(LIMIT - 1)
    assert seen.watch.overdue(LIMIT - 1) == []
    assert seen.watch.overdue(LIMIT) == [1]
    assert seen.watch.silent_for(1, LIMIT) == LIMIT


def test_an_old_heartbeat_at_the_first_look_is_no_silence_yet() -> None:
    seen = Watched()
    seen.now = 1_000_000
    seen.look(1_000_000)
    assert seen.watch.silent_for(1, 1_000_000) == 0


@pytest.mark.parametrize("seconds", [1, -3600, 86_400])
def test_any_other_heartbeat_ends_the_silence_whatever_the_clock_that_it_was_written_by(seconds: float) -> None:
    seen = Watched()
    seen.look(0)
    seen.beat(1, seconds=seconds)
    seen.heard(LIMIT - 1)
    assert seen.watch.overdue(LIMIT + 1) == []
    assert seen.watch.overdue(2 * LIMIT) == [1]


@pytest.mark.parametrize("change", [{"name": "bot-1-other"}, {"restarts": 1}])
def test_a_new_pod_or_container_has_the_whole_time_again(change: dict[str, object]) -> None:
    seen = Watched()
    seen.look(0)
    (pod,) = seen.cluster[1].observed.pods
    seen.cluster[1] = seen.cluster[1].without_pods()._with(pods=(replace(pod, **change),))  # a builder
    seen.look(LIMIT - 1)
    assert seen.watch.silent_for(1, LIMIT + 1) == 2


def test_a_process_that_was_suspended_has_seen_no_silence() -> None:
    seen = Watched()
    seen.look(0)
    seen.now = 10 * LIMIT
    seen.look(10 * LIMIT)
    assert seen.watch.silent_for(1, 10 * LIMIT) == 0


def not_due() -> list[tuple[str, RowBuilder, ClusterBuilder]]:
    def pod(**changes: object) -> ClusterBuilder:
        return a_bot(7, RUNNING).with_deployment().with_pod(**changes)

    ready = pod(ready=True)
    mark = {"since": "2026-03-01T11:00:00+00:00", "failures": 3}
    return [
        ("not ready: its database, venue or lease is away", RUNNING, pod(ready=False)),
        ("on its way out", RUNNING, pod(ready=True, deleting=True)),
        ("failing", RUNNING, pod(ready=True, failing=True, trouble="CrashLoopBackOff")),
        ("no pod", RUNNING, a_bot(7, RUNNING).with_deployment()),
        ("starting", RUNNING.says("starting"), ready),
        ("enabled", RUNNING.says("enabled"), ready),
        ("error", RUNNING.says("error"), ready),
        ("quarantined", RUNNING.says("error", quarantined=mark), ready),
        ("disabled", RUNNING.disabled(), ready),
        ("stopping", RUNNING.says("stopping"), ready),
        ("stopped", RUNNING.stopped_on_request(), ready),
        ("restarting", RUNNING.says("restarting"), ready),
    ]


@pytest.mark.parametrize(("why", "row", "cluster"), not_due(), ids=[case[0] for case in not_due()])
def test_who_owes_no_heartbeat_is_never_silent(why: str, row: RowBuilder, cluster: ClusterBuilder) -> None:
    watch = HeartbeatWatch(some_settings())
    watch.look(7, RUNNING.record(), a_bot(7, RUNNING).running().observed, 0)
    watch.look(7, row.record(), cluster.observed, 1)
    assert watch.overdue(10 * LIMIT) == [], why
    assert plan_recovery(row.record(), cluster.observed, 10 * LIMIT, some_settings(), NOW) is None


def test_a_failed_read_gives_every_bot_its_whole_time_again() -> None:
    seen = Watched(2)
    seen.look(0)
    seen.watch.blind()
    assert seen.watch.overdue(LIMIT) == []
    seen.heard(LIMIT)
    seen.look(LIMIT + 1)
    seen.heard(2 * LIMIT)
    assert seen.watch.overdue(2 * LIMIT) == []
    assert seen.watch.overdue(2 * LIMIT + 1) == [1, 2]


@pytest.mark.parametrize(
    ("bots", "silent", "held"), [(1, 1, 0), (2, 2, 0), (3, 3, 3), (3, 2, 0), (10, 3, 0), (10, 4, 4), (1000, 300, 0)]
)
def test_too_many_at_once_are_not_the_bots_fault(bots: int, silent: int, held: int) -> None:
    seen = Watched(bots)
    seen.look(0)
    seen.watched_until(LIMIT)
    seen.beat(*range(silent + 1, bots + 1))
    seen.heard(LIMIT)
    assert seen.watch.held(LIMIT) == held
    assert len(seen.watch.overdue(LIMIT)) == (0 if held else silent)
    assert (seen.watch.silent_for(1, LIMIT) == 0) == bool(held)


def test_the_first_of_many_that_fall_silent_one_after_the_other_is_held_already() -> None:
    seen = Watched(4)
    seen.look(0)
    for number in (2, 3, 4):
        seen.beat(number)
        seen.heard(10 * number)
    assert seen.watch.overdue(LIMIT) == []
    assert seen.watch.held(LIMIT) == 1


def test_switched_off_it_plans_nothing() -> None:
    settings = some_settings(recovery={"enabled": False})
    seen = Watched(settings=settings)
    seen.look(0)
    assert seen.watch.overdue(10 * LIMIT) == []
    assert plan_recovery(RUNNING.record(), a_bot(7, RUNNING).running().observed, 10 * LIMIT, settings, NOW) is None


@pytest.mark.parametrize(
    "cluster",
    [
        a_bot(7, RUNNING).with_deployment(deleting=True).with_pod(ready=True),
        a_bot(7, RUNNING).with_deployment(ours=False).with_pod(ready=True),
        a_bot(7, RUNNING).with_pod(ready=True),
    ],
    ids=["on its way out", "somebody else's", "gone"],
)
def test_no_pod_is_deleted_that_no_deployment_of_ours_would_make_anew(cluster: ClusterBuilder) -> None:
    assert plan_recovery(RUNNING.record(), cluster.observed, 10 * LIMIT, some_settings(), NOW) is None


def test_a_bot_whose_removal_is_held_is_left_as_it_is() -> None:
    held = replace(RUNNING.record(), hold=Hold("the brake holds it"))
    assert plan_recovery(held, a_bot(7, RUNNING).running().observed, 10 * LIMIT, some_settings(), NOW) is None


def test_no_pod_is_deleted_while_another_is_made_in_its_place_anyway() -> None:
    newer = some_settings(bot={"image": "registry.example.com/bot-runtime:2", "serviceAccountName": "fleet-bot"})
    cluster = a_bot(7, RUNNING).running().up_to_date()
    rolls = plan_bot(RUNNING.record(), cluster.observed, around(settings=newer, silent_for=LIMIT))
    assert any(isinstance(action, ApplyDeployment) for action in rolls)
    assert not any(isinstance(action, DeletePod) for action in rolls)
    waits = plan_bot(RUNNING.record(), cluster.observed, around(settings=newer, silent_for=LIMIT, may_roll=False))
    assert isinstance(waits[-1], DeletePod)
    assert not any(isinstance(action, ApplyDeployment) for action in waits)
    unseen = a_bot(7, RUNNING).with_deployment(seen=False, rolled=False).with_pod(ready=True)
    assert plan_recovery(RUNNING.record(), unseen.observed, LIMIT, some_settings(), NOW) is None


def plan(cluster: ClusterBuilder, row: RowBuilder = RUNNING, silent_for: float = LIMIT) -> list[Action]:
    return plan_bot(row.record(), cluster.observed, around(silent_for=silent_for))


def test_a_silent_bot_is_told_of_then_remembered_then_its_very_pod_is_deleted() -> None:
    note, event, patch, end = plan(a_bot(7, RUNNING).running().up_to_date())
    assert isinstance(note, NoteRow)
    assert note.kind == "heartbeat_lost"
    assert "no heartbeat for 120 s although its pod bot-7-abc is ready" in note.message
    assert isinstance(event, EmitEvent)
    assert (event.reason, event.warning, event.message) == ("HeartbeatLost", True, note.message)
    assert isinstance(patch, PatchStatus)
    assert patch.manifest["status"]["recoveries"] == times(0)
    assert isinstance(end, DeletePod)
    assert (end.name, end.uid) == ("bot-7-abc", "uid-of-bot-7-abc")
    assert plan(a_bot(7, RUNNING).running().up_to_date(), silent_for=LIMIT - 1) == []


@pytest.mark.parametrize(("ago", "quarantine"), [((29, 20, 10), True), ((31, 20, 10), False), ((20, 10), False)])
def test_only_recoveries_within_the_window_count(ago: tuple[float, ...], quarantine: bool) -> None:
    cluster = a_bot(7, RUNNING).running().saying(recoveries=times(*ago))
    found = plan_recovery(RUNNING.record(), cluster.observed, LIMIT, some_settings(), NOW)
    assert found is not None
    assert found.quarantine is quarantine
    if not quarantine:
        assert list(found.times) == [*times(20, 10), *times(0)]


def test_one_too_many_is_quarantined_in_the_row_before_its_pod_is_deleted() -> None:
    row, event, end = plan(a_bot(7, RUNNING).running().saying(recoveries=times(20, 10, 5)).up_to_date())
    assert isinstance(row, QuarantineRow)
    assert row.failures == 3
    assert "tradingbot bots start 7" in row.message
    assert "stops that rest at the venue stay" in row.message
    assert isinstance(event, EmitEvent)
    assert event.reason == "Quarantined"
    assert isinstance(end, DeletePod)


def test_a_status_keeps_its_recoveries_until_a_quarantine_is_healed() -> None:
    mark = {"since": "2026-03-01T11:00:00+00:00", "failures": 3}
    quarantined = RUNNING.says("error", quarantined=mark, last_error="quarantined: no heartbeat")
    cluster = a_bot(7, RUNNING).running().saying(recoveries=times(20, 10, 5))
    for ends in (cluster.without_pods(), cluster.without_pods().with_pod(started=False)):
        assert build_status_fields(quarantined.record(), ends.observed, NOW)["phase"] == "Error"
    status = build_status_fields(quarantined.record(), cluster.observed, NOW)
    assert status["recoveries"] == times(20, 10, 5)
    assert status["phase"] == "Error"
    trading = condition(status, "Trading")
    assert (trading["status"], trading["reason"]) == ("False", "Quarantined")
    assert trading["message"] == "quarantined: no heartbeat"
    healed = build_status_fields(RUNNING.record(), cluster.saying(**status).observed, NOW)
    assert "recoveries" not in healed


def lingering(minutes: float) -> Observed:
    due = (NOW - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return a_bot(7, RUNNING).running().with_pod(name="bot-7-old", deleting=True, end_due=due).up_to_date().observed


def test_a_pod_that_does_not_end_is_told_of_once_with_the_command_and_never_removed() -> None:
    assert lingering_pod(lingering(0.5), NOW) == ""
    text = lingering_pod(lingering(2), NOW)
    assert "kubectl delete pod bot-7-old --force --grace-period=0" in text
    observed = lingering(0)
    (old,) = [pod for pod in observed.pods if pod.deleting]
    late = replace(old, end_due=(NOW - timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ"))
    observed = replace(observed, pods=(*[pod for pod in observed.pods if not pod.deleting], late))
    patch, event = plan_bot(RUNNING.record(), observed, around())
    assert isinstance(patch, PatchStatus)
    assert isinstance(event, EmitEvent)
    assert (event.reason, event.warning) == ("PodLingers", True)
    assert observed.bot is not None
    told_of = replace(observed, bot=replace(observed.bot, status=patch.manifest["status"]))
    assert plan_bot(RUNNING.record(), told_of, around()) == []
    gone = replace(told_of, pods=tuple(pod for pod in told_of.pods if not pod.deleting))
    (cleared,) = plan_bot(RUNNING.record(), gone, around())
    assert isinstance(cleared, PatchStatus)
    assert condition(cleared.manifest["status"], "PodLingers") == {}


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ([], ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]),
        (
            [{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": 5}],
            ["node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"],
        ),
        ([{"operator": "Exists"}], [None]),
    ],
)
def test_a_pod_leaves_a_lost_node_after_a_minute_unless_the_chart_says_otherwise(
    given: list[dict[str, object]], keys: list[str | None]
) -> None:
    settings = some_settings(bot={"image": "x", "tolerations": given})
    found = build_pod_template(Workload.of([7]), settings)["spec"]["tolerations"]
    assert [item.get("key") for item in found] == keys
    assert all(item in given or item["tolerationSeconds"] == 60 for item in found)
