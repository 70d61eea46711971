import json
import time
from pathlib import Path
from typing import Any

import pytest

from support.bots import a_document
from support.cluster import Cluster
from support.fleet import OPERATOR, Fleet, backtested, bars_of, freeze_process_of
from support.postgres import PostgresServer
from support.waiting import wait_until

SHARED = Path(__file__).resolve().parents[3] / "shared"
BAD_RULE = {"type": "CustomStrategy", "parameters": {"entry_logic": {"name": "RSIOrBBEntry"}}}
MARKET = "market-data"


def generated(speed: float, bars: int, **changes: Any) -> dict[str, Any]:
    data = {"data_source": "generated", "interval": "1h", "seed": 9, "speed": speed, "bars": bars}
    return a_document(data=data, **changes)


@pytest.fixture
def new_fleet(new_release, postgres: PostgresServer):
    def make(values: dict[str, Any] | None = None) -> Fleet:
        quick = {"bot": {"env": [{"name": "TRADINGBOT_HEARTBEAT_SECONDS", "value": "2"}]}}
        fleet = Fleet(new_release(values or quick), postgres)
        fleet.release.install()
        return fleet

    return make


def test_rows_become_trading_pods_that_follow_their_rows(new_fleet):
    fleet: Fleet = new_fleet()
    started = time.monotonic()
    good = fleet.insert(generated(20, 5000))
    other = fleet.insert(generated(20, 5000, symbol="BTCUSDT"))
    untouched = fleet.wait_ready(good)
    print(f"row inserted -> pod Ready: {time.monotonic() - started:.1f} s")
    fleet.wait_ready(other)
    fleet.wait_traded(good)
    wait_until(lambda: fleet.release.status(good).get("phase") == "Running", 30, "phase Running")

    table = fleet.release.kubectl("get", "tradingbots")
    assert table.splitlines()[0].split() == [
        "NAME", "SYMBOL", "STRATEGY", "MODE", "PHASE", "HALTED", "BALANCE", "PNL", "HEARTBEAT", "UPDATE", "AGE",
    ]  # fmt: skip
    fleet.sql(
        "INSERT INTO bot_halts (scope, target_id, flatten, created_by, reason, created_at) "
        f"VALUES ('bot', {good}, false, 'a person', 'news', now())"
    )
    wait_until(lambda: fleet.release.status(good).get("halted") is True, 30, "the halt in the TradingBot's status")
    wait_until(lambda: fleet.events(good, "halt_obeyed"), 15, "the bot's own word that it is halted")
    fleet.sql("UPDATE bot_halts SET cleared_at = now(), cleared_by = 'a person'")
    wait_until(lambda: fleet.release.status(good).get("halted") is not True, 30, "the end of the halt")

    described = fleet.release.kubectl("describe", "tradingbot", f"bot-{good}")
    for words in ("ConfigValid", "Ready", "Trading", "Events:", "Running"):
        assert words in described

    started = time.monotonic()
    fleet.set_status(other, "disabled")
    wait_until(lambda: not fleet.release.pods(other), 30, "the pod's end")
    print(f"disabled -> pod gone: {time.monotonic() - started:.1f} s")
    wait_until(lambda: fleet.status(other) == "stopped", 15, "row says stopped")
    assert fleet.metadata(other)["stopped_by"] == "request"
    trades = fleet.trade_count(other)
    fleet.set_status(other, "enabled")
    fleet.wait_ready(other)
    fleet.wait_traded(other, trades + 1)

    invalid = fleet.insert(generated(20, 100, strategy=BAD_RULE))
    wait_until(lambda: fleet.status(invalid) == "error", 30, "status error")
    assert "did you mean RSIOrBBEntryMixin?" in fleet.metadata(invalid)["last_error"]
    assert not fleet.release.pods(invalid)
    assert not fleet.release.get("deployment", f"bot-{invalid}")
    conditions = {c["type"]: c["status"] for c in fleet.release.status(invalid)["conditions"]}
    assert conditions["ConfigValid"] == "False"

    (now,) = fleet.release.pods(good)
    assert now["metadata"]["uid"] == untouched["metadata"]["uid"]
    assert fleet.restarts(good) == 0

    fleet.sql(f"DELETE FROM trading_bots WHERE id = {invalid}")
    wait_until(lambda: not fleet.release.get("tradingbot", f"bot-{invalid}"), 30, "the TradingBot's end")


def test_trades_of_a_pod_equal_those_of_a_backtest_on_generated_bars(new_fleet):
    fleet: Fleet = new_fleet()
    document = generated(0, 800)
    bars = bars_of(document)
    expected = backtested(document, bars)
    bot_id = fleet.insert(document)
    fleet.wait_ready(bot_id)
    fleet.wait_through(bot_id, bars[-1])
    assert len(expected) > 20
    assert fleet.trades(bot_id) == expected


def test_trades_of_a_sample_row_on_real_bars_equal_those_of_a_backtest(new_fleet, tmp_path: Path):
    sample = SHARED / "etrading/samples/head/config/trading/paper_trading_rsi_atr.json"
    market = SHARED / "market/ETH_BTC-5m.csv"
    if not sample.exists() or not market.exists():
        pytest.skip("NOT RUN: the sample rows and real bars of `shared` are not beside this checkout")
    document = json.loads(sample.read_text())
    document["symbol"] = "ETHBTC"
    document["data"] = {"data_source": "file", "file_path": market.name, "interval": "5m"}
    volume = {"name": MARKET, "configMap": {"name": MARKET}}
    values = {
        "bot": {
            "volumes": [volume],
            "volumeMounts": [{"name": MARKET, "mountPath": "/data", "readOnly": True}],
            "env": [{"name": "TRADINGBOT_DATA_DIR", "value": "/data"}],
        }
    }
    fleet: Fleet = new_fleet(values)
    fleet.release.kubectl("create", "configmap", MARKET, f"--from-file={market}")
    bars = bars_of(document, market.parent)
    expected = backtested(document, bars)
    bot_id = fleet.insert(document)
    fleet.wait_ready(bot_id)
    fleet.wait_through(bot_id, bars[-1], 240)
    assert len(expected) > 50
    assert fleet.trades(bot_id) == expected


def test_a_frozen_process_is_restarted_and_doubles_no_trade(new_fleet):
    fleet: Fleet = new_fleet()
    document = generated(10, 900)
    bot_id = fleet.insert(document)
    pod = fleet.wait_ready(bot_id)
    fleet.wait_traded(bot_id, 2)
    if not freeze_process_of(pod):
        pytest.skip("NOT RUN: the processes of this cluster's node can't be signalled from this machine")
    started = time.monotonic()
    wait_until(lambda: fleet.restarts(bot_id) == 1, 90, "the liveness restart")
    fleet.wait_ready(bot_id)
    print(f"frozen -> Ready again: {time.monotonic() - started:.1f} s")
    bars = bars_of(document)
    fleet.wait_through(bot_id, bars[-1])
    assert fleet.trades(bot_id) == backtested(document, bars)
    ((orders, distinct),) = fleet.sql(
        f"SELECT count(*), count(DISTINCT client_order_id) FROM bot_orders WHERE bot_id = {bot_id}"
    )
    assert orders == distinct


def test_bots_trade_on_without_the_operator_which_catches_up_when_it_is_back(new_fleet, cluster: Cluster):
    fleet: Fleet = new_fleet()
    staying, leaving = fleet.insert(generated(20, 5000)), fleet.insert(generated(20, 5000))
    for bot_id in (staying, leaving):
        fleet.wait_ready(bot_id)
    fleet.stop_operator()
    before = fleet.trade_count(staying)
    fleet.set_status(leaving, "disabled")
    added = fleet.insert(generated(20, 5000))
    fleet.wait_traded(staying, before + 2)
    # The bot follows its row by itself; only its pod waits for the operator.
    wait_until(lambda: fleet.status(leaving) == "stopped", 60, "row says stopped")
    assert fleet.release.pods(leaving)
    assert not fleet.release.pods(added)

    fleet.start_operator()
    fleet.wait_ready(added)
    wait_until(lambda: not fleet.release.pods(leaving), 60, "the disabled bot's pod gone")
    assert fleet.status(leaving) == "stopped"
    assert fleet.restarts(staying) == 0

    fleet.release.kubectl("delete", "pod", "--selector", OPERATOR)
    fleet.release.kubectl("delete", "deployment", f"bot-{staying}")
    fleet.wait_ready(staying)


def test_a_database_away_for_a_minute_costs_no_pod_and_no_trade(new_fleet, postgres: PostgresServer):
    fleet: Fleet = new_fleet()
    document = generated(8, 900)
    bot_id = fleet.insert(document)
    pod = fleet.wait_ready(bot_id)
    fleet.wait_traded(bot_id, 2)
    operator = fleet.release.items("pods", "--selector", OPERATOR)
    postgres.stop()
    try:
        wait_until(lambda: not fleet.ready(bot_id), 60, "pod not ready")
        time.sleep(60)
        (still,) = fleet.release.pods(bot_id)
        assert still["metadata"]["uid"] == pod["metadata"]["uid"]
        assert fleet.restarts(bot_id) == 0
        assert fleet.release.get("deployment", f"bot-{bot_id}")
    finally:
        postgres.start()
    fleet.wait_ready(bot_id)
    bars = bars_of(document)
    fleet.wait_through(bot_id, bars[-1])
    assert fleet.trades(bot_id) == backtested(document, bars)
    assert fleet.restarts(bot_id) == 0
    after = fleet.release.items("pods", "--selector", OPERATOR)
    assert [p["metadata"]["uid"] for p in after] == [p["metadata"]["uid"] for p in operator]
    assert all(c["restartCount"] == 0 for p in after for c in p["status"]["containerStatuses"])
