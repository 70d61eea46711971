import json
from pathlib import Path
from typing import Any

import pytest

from bot_core.models.config import parse_config
from bot_runtime.cli.main import main
from support.bots import a_document
from support.shapes import CURRENT, SHAPES


def written(folder: Path, name: str, document: Any) -> str:
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def test_valid_documents_exit_with_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, live = written(tmp_path, "a.json", a_document()), written(tmp_path, "b.json", CURRENT)
    assert main(["validate", runs, live]) == 0
    out = capsys.readouterr().out
    assert f"{runs}: valid\n" in out
    assert f"{live}: valid\n" in out


def test_every_file_of_a_folder_is_judged_whatever_is_wrong_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, "empty.json", "")
    written(tmp_path, "half.json", '{"symbol": ')
    written(tmp_path, "part.json", {"broker": {}})
    written(tmp_path, "several.json", {"strategies": [SHAPES["M"], {"symbol": "?"}]})
    assert main(["validate", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    for words in (
        "empty.json: NOT A BOT\n  problem  config: is an empty file",
        "half.json: NOT A BOT\n  problem  config: is no JSON document",
        "part.json: NOT A BOT\n  problem  broker: is all there is",
        "several.json#strategies[0]: valid",
        "several.json#strategies[1]: INVALID",
    ):
        assert words in out


def test_findings_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--json", written(tmp_path, "a.json", CURRENT | {"symbol": None})]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    problem = "symbol: is missing; allowed: 1 to 20 letters and digits, such as BTCUSDT"
    assert (found["valid"], found["problems"]) == (False, [problem])


@pytest.mark.parametrize("shape", SHAPES)
def test_the_canonical_document_is_printed_and_means_the_same(
    shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", "--canonical", written(tmp_path, "bot.json", SHAPES[shape])]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert parse_config(printed).config == parse_config(SHAPES[shape]).config
    assert {"symbol", "broker", "data", "strategy"} <= printed.keys()


def test_the_canonical_documents_of_a_file_with_several_bots_are_a_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "several.json", {"strategies": [SHAPES["M"], SHAPES["F"]]})
    assert main(["validate", "--canonical", path]) == 0
    assert [document["symbol"] for document in json.loads(capsys.readouterr().out)] == ["LTCUSDT", "LTCUSDT"]
