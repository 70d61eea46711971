import base64
import json
import re
import struct
import warnings

import numpy as np
import pytest

from bot_runtime.engine.backtest import run_backtest
from bot_runtime.engine.performance import trade_return
from bot_runtime.plots.chart import Chart, marked, thinned
from bot_runtime.plots.html import render_html
from bot_runtime.plots.png import render_png
from bot_runtime.strategies.registry import build_sizing, build_strategy
from support.bars import CASH, COMMISSION, made_up_bars, strategy_config

FIGURES = (("total return", "+1.00 %", ""), ("trades", "3", "1 won, 2 lost"))


def a_chart(count=900, *, scale=1.0, title="A bot", figures=FIGURES):
    config = strategy_config()
    names = ("open", "high", "low", "close")
    bars = [bar._replace(**{name: getattr(bar, name) * scale for name in names}) for bar in made_up_bars(count, seed=3)]
    result = run_backtest(
        build_strategy(config),
        bars,
        position_size=build_sizing(config),
        cash=CASH,
        commission=COMMISSION,
    )
    return Chart(title, figures, float(CASH), result.equity, result.trades, result.open_position)


def data_of(page):
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def unpacked(text):
    return np.frombuffer(base64.b64decode(text), dtype="<f8")


def test_thinning_keeps_extremes_and_little_data_as_it_is():
    values = np.sin(np.arange(10_007) / 50.0)
    values[[1234, 8765]] = (7.0, -9.0)
    series = thinned(np.arange(10_007, dtype=np.int64), values, 100)
    assert len(series.time) <= 100
    assert (series.low.min(), series.high.max()) == (-9.0, 7.0)
    assert (series.low <= series.high).all()
    whole = thinned(np.arange(10_007, dtype=np.int64), values, 10_007)
    assert whole.low is values
    assert whole.high is values


def test_of_many_trades_the_best_and_the_worst_are_marked():
    trades = a_chart(2000).trades
    some = marked(trades, 6)
    assert list(some) == [trade for trade in trades if trade in some]
    ranked = sorted(trades, key=trade_return)
    assert sorted(some, key=trade_return) == ranked[:3] + ranked[-3:]
    assert marked(trades, len(trades)) is trades


def test_the_page_holds_the_bars_and_the_trades_exactly():
    chart = a_chart(scale=1e-8)
    data = data_of(render_html(chart))
    assert unpacked(data["time"]).tolist() == chart.equity.time.tolist()
    assert unpacked(data["price"][0]).tolist() == chart.equity.close.tolist()
    assert unpacked(data["equity"][0]).tolist() == chart.equity.value.tolist()
    assert [trade[3] for trade in data["trades"]] == [float(trade.exit_price) for trade in chart.trades]
    assert data["trades"][0][-1] == "stop_loss"


def test_the_page_of_many_bars_stays_small_and_keeps_extremes():
    chart = a_chart(45_000)
    page = render_html(chart)
    assert len(page) < 4_000_000
    data = data_of(page)
    assert data["bars"] == 45_000
    assert len(unpacked(data["time"])) <= 20_000
    assert unpacked(data["price"][0]).min() == chart.equity.close.min()
    assert unpacked(data["price"][1]).max() == chart.equity.close.max()


def test_the_page_asks_nobody_for_anything():
    page = render_html(a_chart())
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)\s*=|url\(|@import|https?://|fetch\(|XMLHttp""", page)
    assert "[[" not in page.partition('<script id="data"')[0]


def test_text_of_a_document_is_never_markup():
    evil = "</script><script>alert('x')</script>[[data]]"
    page = render_html(a_chart(title=evil, figures=((evil, evil, evil),)))
    assert "<script>alert" not in page
    assert data_of(page)["bars"] == 900


@pytest.mark.parametrize("count", [0, 1, 5, 900])
@pytest.mark.parametrize("scale", [1.0, 1e-8])
def test_pictures_of_any_length_and_scale_can_be_drawn(count, scale):
    chart = a_chart(count, scale=scale, title="costs $1 and $2")
    assert data_of(render_html(chart))["bars"] == count
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = render_png(chart)
    assert picture.startswith(b"\x89PNG")
    assert struct.unpack(">II", picture[16:24]) == (1600, 900)
