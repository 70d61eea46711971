import pytest

from bot_core.models.config import BotConfig, parse_config
from bot_runtime.engine.failures import FailureLimit, FailureLog
from bot_runtime.engine.progress import Progress
from bot_runtime.engine.reload_plan import When, moved, plan_reload, plan_start
from bot_runtime.engine.stall_watch import StallWatch
from support.bots import a_document

FILE = {"data_source": "file", "file_path": "x.csv", "interval": "1h"}


def a_config(**changes: object) -> BotConfig:
    parsed = parse_config(a_document(**changes))
    assert parsed.config is not None, parsed.error
    return parsed.config


def some_data(**changes: object) -> dict[str, object]:
    return {"data_source": "generated", "interval": "1h", "seed": 3, "speed": 0, "bars": 300} | changes


def some_broker(**changes: object) -> dict[str, object]:
    return {"type": "paper", "trading_mode": "paper", "cash": 10000.0, "commission": 0.001} | changes


def test_the_limit_is_reached_by_so_many_failures_within_the_time_only() -> None:
    log = FailureLog(FailureLimit(3, 10))
    assert [log.add(now) for now in (0, 4, 11, 14, 15, 21.5, 40)] == [False, False, False, True, True, True, False]
    log.forget()
    assert [log.add(now) for now in (50, 51, 52)] == [False, False, True]


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({"symbol": "BTCUSDT"}, ("symbol",)),
        ({"data": some_data(interval="5m")}, ("data.interval",)),
        ({"data": some_data(seed=4)}, ("data.seed",)),
        ({"data": FILE}, ("data.data_source", "data.file_path", "data.seed")),
        ({"broker": some_broker(type="binance")}, ("broker.type",)),
        ({"broker": some_broker(testnet=True)}, ("broker.testnet",)),
        ({"broker": some_broker(account="second")}, ("broker.account",)),
        ({"credentials_secret": "other-keys"}, ("credentials_secret",)),
        ({"data": some_data(speed=9, lookback_bars=700)}, ()),
        ({"broker": some_broker(commission=0.002, cash=5)}, ()),
        ({"name": "renamed"}, ()),
    ],
)  # fmt: skip
def test_another_market_or_account_is_told_from_other_changes(changes: dict, paths: tuple[str, ...]) -> None:
    new = a_config(**changes)
    assert moved(a_config(), new) == paths
    plan = plan_reload(a_config(), new)
    assert plan.when is (When.FLAT if paths else When.NOW)
    assert all(path in plan.reason for path in paths)


def test_the_policy_of_the_new_document_decides_and_a_start_is_what_manual_waits_for() -> None:
    old, held, manual = a_config(), a_config(update_policy="when_flat"), a_config(update_policy="manual")
    assert plan_reload(held, old).when is When.NOW
    assert plan_reload(old, held).when is When.FLAT
    assert plan_reload(old, manual).when is When.NEXT_START
    assert plan_start(old, manual).when is When.NOW
    assert plan_start(old, a_config(update_policy="manual", symbol="BTCUSDT")).when is When.FLAT


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_that_stands_still_while_this_process_runs_is_found() -> None:
    clock = Clock()
    progress = Progress(clock)
    watch = StallWatch(progress, 60, clock)
    progress.mark("bot-1")
    found = []
    while clock.now < 80 and not found:
        progress.mark("bot-2")
        found = list(watch.look())
        clock.now += 2
    assert found == ["bot-1"]
    assert 64 <= clock.now <= 70


def test_a_pause_between_two_looks_begins_the_count_anew() -> None:
    clock = Clock()
    progress = Progress(clock)
    watch = StallWatch(progress, 60, clock)
    progress.mark("bot-1")
    found = []
    for seconds in (61, 2, 1000, 2, 2):
        clock.now += seconds
        found.append([*watch.look()])
    assert found == [[], [], [], [], ["bot-1"]]


def test_after_a_pause_of_the_whole_process_nobody_is_at_fault() -> None:
    clock = Clock()
    progress = Progress(clock)
    watch = StallWatch(progress, 60, clock)
    for loop in ("bot-1", "bot-2"):
        progress.mark(loop)
    watch.look()
    clock.now += 1000  # the process was stopped, or its event loop blocked
    assert watch.look() == {}
    clock.now += 0.01  # many looks at once are one
    assert watch.look() == watch.look() == watch.look() == {}
    clock.now += 2
    assert watch.look() == {}
    progress.mark("bot-1")
    clock.now += 2
    assert list(watch.look()) == ["bot-2"]
