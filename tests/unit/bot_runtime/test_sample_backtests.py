import json
from pathlib import Path

import pytest

from bot_core.models.config import parse_config
from bot_core.models.shapes.normalise import bot_documents
from bot_runtime.cli.main import main
from bot_runtime.feeds.intervals import interval_seconds
from support.bars import made_up_bars
from support.shapes import SAMPLES, SHAPES, samples


def write_bars(path: Path, interval: str) -> Path:
    rows = ["timestamp,open,high,low,close,volume"]
    bars = made_up_bars(600, interval=interval_seconds(interval))
    rows += [",".join([bar.time.isoformat(), *map(repr, bar[1:])]) for bar in bars]
    path.write_text("\n".join(rows))
    return path


def all_samples() -> list[object]:
    """A test for each file, found when the tests are collected; none where there is no folder of samples."""
    return [pytest.param(path, id=path.relative_to(SAMPLES).as_posix()) for path in sorted(SAMPLES.rglob("*.json"))]


def test_the_samples_are_there() -> None:
    assert len(list(samples().rglob("*.json"))) >= 69


@pytest.mark.parametrize("path", all_samples())
def test_a_sample_backtests_on_bars_of_its_interval_exactly_if_it_is_valid(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = path.read_text(encoding="utf-8")
    bots = bot_documents(json.loads(text)) if text.strip() else [None]
    for index, document in enumerate(bots):
        parsed = parse_config(document)
        interval = parsed.config.data.interval if parsed.config else "1h"
        bars = write_bars(tmp_path / "bars.csv", interval)
        code = main(["backtest", str(path), "--bars", str(bars), "--bot", str(index), "--json"])
        out = capsys.readouterr()
        # Whether real money may be traded does not matter to a backtest.
        only_live = bool(parsed.problems) and all("live trading" in str(problem) for problem in parsed.problems)
        assert (code == 0) == (parsed.config is not None or only_live), out.err
        if code == 0:
            assert json.loads(out.out)["final_value"] > 0
        if path.name == "paper_trading_simple_atr.json":
            assert code == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_a_document_of_any_shape_gives_the_same_backtest(
    shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = write_bars(tmp_path / "bars.csv", "4h")
    results = []
    for document in (SHAPES[shape], SHAPES["A"]):
        (tmp_path / "bot.json").write_text(json.dumps(document))
        assert main(["backtest", str(tmp_path / "bot.json"), "--bars", str(bars), "--json"]) == 0
        results.append(json.loads(capsys.readouterr().out))
    assert results[0] == results[1]
    assert results[0]["trades"]
