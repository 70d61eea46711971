import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from support.waiting import wait_until

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def run(folder: Path, *command: str, code: int = 0) -> str:
    environment = os.environ | {"TRADINGBOT_PLUGINS": "rules", "DATABASE_URL": "sqlite:///bots.db", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def traded(folder: Path) -> set[int]:
    """Ids of the bots that have closed a trade."""
    with closing(sqlite3.connect(folder / "bots.db")) as connection:
        return {bot_id for (bot_id,) in connection.execute("SELECT bot_id FROM trading_trades WHERE status = 'closed'")}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """All files of the page on strategies, where it says they are."""
    (tmp_path / "rules").mkdir()
    for code in blocks("writing-a-strategy.md", "python"):
        name = code.partition("\n")[0].removeprefix("# ")
        (tmp_path / name).write_text(code, encoding="utf-8")
    bot, swing = blocks("writing-a-strategy.md", "json")
    (tmp_path / "bot.json").write_text(bot)
    (tmp_path / "swing.json").write_text(swing)
    return tmp_path


def test_the_rule_and_the_strategy_of_the_page_are_found_tested_backtested_and_run(written: Path) -> None:
    tradingbot = ("-m", "bot_runtime")
    found = run(written, *tradingbot, "plugins")
    assert "CrossEntry" in found
    assert "Swing" in found
    run(written, *tradingbot, "validate", "bot.json", "swing.json")
    assert "2 passed" in run(written, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_cross.py")
    run(written, "make_bars.py")
    tested = json.loads(run(written, *tradingbot, "backtest", "bot.json", "swing.json", "--bars", "bars.csv", "--json"))
    assert all(outcome["trades"] for outcome in tested)
    for document in ("bot.json", "swing.json"):
        fast = (written / document).read_text().replace('"speed": 20', '"speed": 0, "bars": 600')
        (written / document).write_text(fast)
    run(written, *tradingbot, "db", "upgrade")
    run(written, *tradingbot, "bots", "import", "bot.json", "swing.json")
    environment = os.environ | {"TRADINGBOT_PLUGINS": "rules", "DATABASE_URL": "sqlite:///bots.db", "HOST": "127.0.0.1"}
    with (written / "log").open("wb") as log:
        service = subprocess.Popen(
            [sys.executable, *tradingbot, "serve", "--plain", "--port", "0"],
            cwd=written, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_until(lambda: traded(written) == {1, 2}, 60, "trades of both", tell=(written / "log").read_text)
    finally:
        service.terminate()
        service.wait(30)


def test_the_bot_of_the_quick_start_is_valid_and_can_be_imported(tmp_path: Path) -> None:
    mine, live = blocks("quick-start.md", "json")
    (tmp_path / "my-bot.json").write_text(mine)
    merged = mine.replace(
        '"broker": {"type": "paper", "trading_mode": "paper", "cash": 5000, "commission": 0.001}', "BROKER"
    )
    parts = dict(re.findall(r'"(broker|credentials_secret)": (.*?),?$', live, re.MULTILINE))
    merged = merged.replace(
        "BROKER", f'"broker": {parts["broker"]}, "credentials_secret": {parts["credentials_secret"]}'
    )
    merged = re.sub(r'"data": \{.*?\}', '"data": {"data_source": "binance", "interval": "15m"}', merged)
    (tmp_path / "live.json").write_text(merged)
    run(tmp_path, "-m", "bot_runtime", "validate", "my-bot.json", "live.json")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_to_something(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        assert found.exists(), f"{page.name} leads to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{page.name} leads to {target}"
