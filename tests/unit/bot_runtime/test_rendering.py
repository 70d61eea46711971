from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot_core.models.queued_message import QueuedMessage
from bot_runtime.notifications.base import Markup
from bot_runtime.notifications.digest import Unit
from bot_runtime.notifications.rendering import REPEATED, Renderer

NASTY = "<script>&\"' *_`</b>"


def a_unit(*texts: str, repeated: bool = False, **changes: Any) -> Unit:
    rows = tuple(
        QueuedMessage(
            number, changes.get("kind", "trade_exit"), "HIGH", ("x",), datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
            content={"title": changes.get("title", "Position Closed"), "message": text},
            metadata={"symbol": "BTCUSDT", "pnl": "-1.5", "email_receiver": "a@b.c"} | changes.get("metadata", {}),
            template_name=changes.get("template"),
        )
        for number, text in enumerate(texts, 1)
    )  # fmt: skip
    return Unit(rows[0].key, "somebody", rows, repeated=repeated)


@pytest.mark.parametrize(
    ("markup", "shown"),
    [
        (Markup.TEXT, NASTY),
        (Markup.HTML, "&lt;script&gt;&amp;&#34;&#39; *_`&lt;/b&gt;"),
        (Markup.TELEGRAM, "&lt;script&gt;&amp;&#34;&#39; *_`&lt;/b&gt;"),
        (Markup.SLACK, "&lt;script&gt;&amp;\"' *_`&lt;/b&gt;"),
    ],
)
@pytest.mark.parametrize("many", [False, True])
def test_values_are_escaped_for_their_channel(markup: Markup, shown: str, many: bool) -> None:
    delivery = Renderer().render(a_unit(*[NASTY] * (6 if many else 1)), markup)
    assert shown in delivery.body
    assert NASTY in delivery.text


@pytest.mark.parametrize("text", ["word " * 2000, "<" * 4000, "\N{CHART WITH UPWARDS TREND}" * 3900, "&" * 10_000])
@pytest.mark.parametrize("many", [1, 6, 100])
def test_a_text_for_telegram_is_never_longer_than_it_takes(text: str, many: int) -> None:
    body = Renderer().render(a_unit(*[text] * many, repeated=True), Markup.TELEGRAM).body
    assert len(body.encode("utf-16-le")) // 2 <= 4096
    assert body.count("<b>") == body.count("</b>")
    assert body.startswith(REPEATED)


def test_a_trade_has_its_facts_and_no_ones_address() -> None:
    delivery = Renderer().render(a_unit("sold"), Markup.HTML)
    assert "<td>pnl</td><td>-1.5</td>" in delivery.body
    assert "symbol: BTCUSDT" in delivery.text
    assert delivery.facts["metadata"] == {"symbol": "BTCUSDT", "pnl": "-1.5"}
    assert "a@b.c" not in delivery.body + delivery.text + str(delivery.facts)


def test_templates_of_a_folder_go_before_the_shipped_ones_by_name_then_by_type(tmp_path: Path) -> None:
    (tmp_path / "trade_exit.telegram.j2").write_text("by type: {{ message }} {{ metadata.pnl }}")
    (tmp_path / "special.telegram.j2").write_text("by name: {{ message }}")
    renderer = Renderer(tmp_path)
    assert renderer.render(a_unit("<x>"), Markup.TELEGRAM).body == "by type: &lt;x&gt; -1.5"
    assert renderer.render(a_unit("<x>", template="special"), Markup.TELEGRAM).body == "by name: &lt;x&gt;"
    assert renderer.render(a_unit("<x>", template="../../etc/passwd"), Markup.TELEGRAM).body.startswith("by type")
    assert renderer.render(a_unit("x", kind="status"), Markup.TELEGRAM).body.startswith("<b>Position Closed</b>")


@pytest.mark.parametrize(
    "broken",
    ["{% if %}", "{{ message.nothing.more }}", "{{ ''.__class__.__mro__ }}", "{{ 1 / 0 }}", "{% include 'no' %}"],
)
def test_a_broken_template_is_named_and_the_shipped_one_serves(tmp_path: Path, broken: str) -> None:
    (tmp_path / "trade_exit.telegram.j2").write_text(broken)
    renderer = Renderer(tmp_path)
    bodies = [renderer.render(a_unit("sold"), Markup.TELEGRAM).body for _ in range(3)]
    assert renderer.broken == {"trade_exit.telegram.j2"}
    assert bodies == ["<b>Position Closed</b>\n\nsold"] * 3


def test_a_title_of_several_lines_becomes_one() -> None:
    delivery = Renderer().render(a_unit("x", title="Sold\r\nBcc: all@example.com"), Markup.TEXT)
    assert delivery.title == "Sold Bcc: all@example.com"
