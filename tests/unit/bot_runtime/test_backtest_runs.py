import io
import json
import sys
from datetime import timedelta

import pytest

from bot_runtime.cli import backtest_batch, progress
from bot_runtime.cli.backtest_report import duration
from bot_runtime.cli.main import main
from bot_runtime.engine import document_backtest
from bot_runtime.plots import png
from support.bars import made_up_bars, strategy_document


@pytest.fixture
def folder(tmp_path):
    for number, seed in ((1, 3), (2, 5)):
        rows = ["timestamp,open,high,low,close,volume"]
        rows += [",".join([bar.time.isoformat(), *map(repr, bar[1:])]) for bar in made_up_bars(400, seed=seed)]
        (tmp_path / f"bars{number}.csv").write_text("\n".join(rows))
    bots = tmp_path / "bots"
    bots.mkdir()
    for name, exit_ in (("atr", "ATRExitMixin"), ("bands", "RSIBBExitMixin")):
        document = {"strategy": strategy_document(exit_=exit_), "data": {"interval": "5m"}}
        (bots / f"{name}.json").write_text(json.dumps(document))
    return tmp_path


def run(*arguments):
    return main(["backtest", *map(str, arguments)])


def both(folder):
    return folder / "bars1.csv", folder / "bars2.csv"


def test_every_document_of_a_folder_runs_over_every_file_of_bars(folder, capsys):
    assert run(folder / "bots", "--bars", *both(folder), "--json", "--jobs", 1) == 0
    runs = json.loads(capsys.readouterr().out)
    assert [(one["path"].rpartition("/")[2], one["bars"].rpartition("/")[2]) for one in runs] == [
        ("atr.json", "bars1.csv"),
        ("atr.json", "bars2.csv"),
        ("bands.json", "bars1.csv"),
        ("bands.json", "bars2.csv"),
    ]
    assert all({"trades", "open_position", "final_value", "summary"} < set(one) for one in runs)


def test_runs_in_processes_give_what_runs_one_by_one_give(folder, capsys):
    assert run(folder / "bots", "--bars", *both(folder), "--json", "--jobs", 1) == 0
    alone = capsys.readouterr().out
    assert run(folder / "bots", "--bars", *both(folder), "--json", "--jobs", 2) == 0
    assert capsys.readouterr().out == alone


def test_a_folder_of_one_document_gives_a_list_as_any_folder_does(folder, capsys):
    (folder / "bots" / "bands.json").unlink()
    assert run(folder / "bots", "--bars", folder / "bars1.csv", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_a_broken_document_fails_alone(folder, capsys):
    (folder / "bots" / "broken.json").write_text("{")
    assert run(folder / "bots", "--bars", folder / "bars1.csv", "--json", "--jobs", 1) == 1
    shown = capsys.readouterr()
    runs = json.loads(shown.out)
    assert ["error" in one for one in runs] == [False, False, True]
    assert "broken.json" in shown.err
    assert "is no JSON document" in shown.err


def test_an_error_in_a_rule_fails_its_run_only(folder, capsys, monkeypatch):
    real = document_backtest.build_strategy

    def breaks_for_bands(config):
        if config.exit.name == "RSIBBExitMixin":
            raise ZeroDivisionError("float division by zero")
        return real(config)

    monkeypatch.setattr(document_backtest, "build_strategy", breaks_for_bands)
    assert run(folder / "bots", "--bars", folder / "bars1.csv", "--jobs", 1) == 1
    shown = capsys.readouterr()
    assert "the run broke off: ZeroDivisionError: float division by zero" in shown.err
    lines = shown.out.splitlines()
    assert len(lines) == 3
    assert "failed" in lines[2]


def test_several_runs_have_one_line_each(folder, capsys):
    assert run(folder / "bots", "--bars", *both(folder), "--jobs", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "document", "bars", "trades", "win", "return", "hold", "drawdown", "Sharpe", "PF", "exposure", "final", "value",
    ]  # fmt: skip
    assert [line.split()[:2] for line in lines[1:]] == [
        ["atr", "bars1"], ["atr", "bars2"], ["bands", "bars1"], ["bands", "bars2"],
    ]  # fmt: skip


def test_documents_of_equal_name_are_told_apart_by_their_folders(folder, capsys):
    (folder / "bots" / "more").mkdir()
    (folder / "bots" / "atr.json").rename(folder / "bots" / "more" / "bands.json")
    out = folder / "plot.html"
    assert run(folder / "bots", "--bars", folder / "bars1.csv", "--jobs", 1, "--plot", out) == 0
    assert "bots/more/bands.json" in capsys.readouterr().out
    assert {path.name for path in folder.glob("plot*")} == {"plot-bands-bars1.html", "plot-bands-bars1-2.html"}


def test_slippage_costs(folder, capsys):
    values = []
    for points in ("0", "20"):
        arguments = ("--bars", folder / "bars1.csv", "--json", "--slippage-bps", points)
        assert run(folder / "bots" / "atr.json", *arguments) == 0
        values.append(json.loads(capsys.readouterr().out)["final_value"])
    assert values[1] < values[0]


def test_a_document_says_what_is_simulated_and_the_option_replaces_its_slippage_alone(folder, capsys):
    path = folder / "bots" / "atr.json"
    document = json.loads(path.read_text())

    def value(*arguments, **simulation):
        document["broker"] = {"type": "paper", "trading_mode": "paper", "simulation": simulation}
        path.write_text(json.dumps(document))
        assert run(path, "--bars", folder / "bars1.csv", "--json", *arguments) == 0
        return json.loads(capsys.readouterr().out)["final_value"]

    option = ("--slippage-bps", "20")
    assert value(slippage_bps=20) == value(*option) == value(*option, slippage_bps=500) < value()
    assert value(reject_probability=1) == value(*option, reject_probability=1) == 10000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--plot", "out.gif"), "'out.gif' is neither .html nor .png"),
        (("--jobs", "0"), "'0' is no number of processes"),
        (("--jobs", "many"), "'many' is no number of processes"),
        (("--slippage-bps", "10000"), "allowed: below 10000"),
        (("--cash", "-1"), "'-1' is out of range"),
    ],
)
def test_wrong_usage_is_told_with_what_is_allowed(folder, arguments, message, capsys):
    assert run(folder / "bots", "--bars", folder / "bars1.csv", f"{arguments[0]}={arguments[1]}") == 2
    assert message in capsys.readouterr().err


def test_a_folder_without_documents_fails(folder, capsys):
    (folder / "empty").mkdir()
    assert run(folder / "empty", "--bars", folder / "bars1.csv") == 1
    assert "no *.json file in" in capsys.readouterr().err


def test_a_plot_that_cannot_be_written_fails_with_its_name(folder, capsys):
    out = folder / "nowhere" / "plot.html"
    assert run(folder / "bots" / "atr.json", "--bars", folder / "bars1.csv", "--plot", out) == 1
    assert f"{out}: No such file or directory" in capsys.readouterr().err


def test_png_without_matplotlib_names_the_extra_before_anything_runs(folder, capsys, monkeypatch):
    monkeypatch.setattr(png, "find_spec", lambda _name: None)
    monkeypatch.setattr(backtest_batch, "run_job", None)
    assert run(folder / "bots", "--bars", folder / "bars1.csv", "--plot", folder / "out.png") == 1
    assert "pip install 'tradingbot-operator[plot]'" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_shown_on_a_terminal_and_on_standard_error_only(folder, capsys, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert run(folder / "bots" / "atr.json", "--bars", folder / "bars1.csv", "--json") == 0
    assert "400/400" in terminal.getvalue()
    json.loads(capsys.readouterr().out)


def test_no_progress_is_shown_when_piped_or_without_rich(folder, capsys, monkeypatch):
    assert run(folder / "bots" / "atr.json", "--bars", folder / "bars1.csv") == 0
    assert capsys.readouterr().err == ""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "find_spec", lambda _name: None)
    assert run(folder / "bots" / "atr.json", "--bars", folder / "bars1.csv") == 0
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=20), "0 min"),
        (timedelta(minutes=59), "59 min"),
        (timedelta(hours=4, minutes=5), "4 h 5 min"),
        (timedelta(days=3, hours=4, minutes=5), "3 d 4 h"),
        (timedelta(days=1234, hours=4), "1,234 d"),
    ],
)
def test_durations_are_written_in_their_largest_units(span, text):
    assert duration(span) == text
