import json

import pytest

from bot_runtime.cli.main import main
from support.bars import made_up_bars, strategy_document


@pytest.fixture
def files(tmp_path):
    rows = ["timestamp,open,high,low,close,volume"]
    rows += [",".join([bar.time.isoformat(), *map(repr, bar[1:])]) for bar in made_up_bars(400)]
    bars = tmp_path / "bars.csv"
    bars.write_text("\n".join(rows))
    document = tmp_path / "bot.json"
    document.write_text(json.dumps({"strategy": strategy_document(), "broker": {"cash": 500, "commission": 0}}))
    return document, bars


def run(*arguments):
    return main(["backtest", *map(str, arguments)])


def test_json_output_has_the_documented_keys(files, capsys):
    document, bars = files
    assert run(document, "--bars", bars, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result) == {"trades", "open_position", "final_value", "summary"}
    assert set(result["trades"][0]) >= {
        "entry_time", "entry_price", "size", "direction", "exit_time", "exit_price", "exit_reason", "gross_pnl",
        "net_pnl", "commission",
    }  # fmt: skip
    assert result["trades"][0]["commission"] == 0
    assert result["summary"]["trades"] == len(result["trades"])
    assert result["summary"]["final_value"] == pytest.approx(result["final_value"])
    assert 300 < result["final_value"] < 700


def test_options_win_over_the_document(files, capsys):
    document, bars = files
    assert run(document, "--bars", bars, "--json", "--cash", "2000", "--commission", "0.01") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["trades"][0]["commission"] > 0
    assert result["final_value"] > 1000


def test_the_table_is_for_people(files, capsys):
    document, bars = files
    assert run(document, "--bars", bars) == 0
    text = capsys.readouterr().out
    assert "RSIOrBBEntryMixin + ATRExitMixin" in text
    assert "stop_loss" in text
    assert "final value" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON document"),
        ("", "is an empty file"),
        ("[]", "is not a JSON object"),
        ("{}", "config: is an empty document"),
        (json.dumps({"broker": {}, "data": {}}), "strategy: is missing"),
        (json.dumps({"strategy": strategy_document()}), "strategy: is all there is: this is one part of a bot's"),
        (json.dumps({"symbol": "BTCUSDT", "strategy": strategy_document("Nope")}), "'Nope' is not a known entry rule"),
        (json.dumps({"strategy": strategy_document(), "broker": {"cash": "much"}}), "broker.cash: 'much'"),
    ],
)
def test_a_document_that_cannot_run_fails_with_its_problems(files, content, message, capsys):
    document, bars = files
    document.write_text(content)
    assert run(document, "--bars", bars) == 1
    assert message in capsys.readouterr().err


def test_the_market_of_the_document_does_not_matter_and_a_file_of_several_bots_asks_which(files, capsys):
    document, bars = files
    live = {
        "symbol": "BTCUSDT",
        "broker": {"type": "binance", "trading_mode": "live"},
        "data": {"data_source": "binance", "interval": "5m"},
        "strategy": strategy_document(),
    }
    document.write_text(json.dumps({"strategies": [live, live | {"symbol": "?"}]}))
    assert run(document, "--bars", bars, "--bot", 0) == 0
    for wrong, message in (
        (["--bot", 1], "symbol: '?' is not allowed"),
        (["--bot", 2], "has no bot 2"),
        ([], "holds 2"),
    ):
        assert run(document, "--bars", bars, *wrong) == 1
        assert message in capsys.readouterr().err


def test_missing_bars_fail_and_wrong_usage_is_two(files, capsys):
    document, bars = files
    assert run(document, "--bars", bars.with_name("none.csv")) == 1
    assert run(document, "--bars", bars, "--cash", "much") == 2
    assert "'much' is no number" in capsys.readouterr().err
