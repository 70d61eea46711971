"""A picture of a run as one HTML file: data, style and script inside, no network, no library.

Drawing, zooming and tooltips are `chart.js`, on a canvas, since an SVG of a year of minutes stalls a browser.
"""

import base64
import html
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from bot_runtime.domain.bar import epoch_ms
from bot_runtime.domain.trade import Trade
from bot_runtime.engine.performance import trade_return
from bot_runtime.plots.chart import Chart, thinned

# Ten times what the widest screen shows, so that there is something to zoom into; some 1.5 MB of the file.
_BUCKETS = 20_000


def render_html(chart: Chart) -> str:
    """The whole file as text. Whatever comes from documents is data or escaped, never markup."""
    here = files(__package__)
    page = (here / "chart.html").read_text(encoding="utf-8")
    parts = {
        "title": html.escape(chart.title),
        "figures": "".join(_figure(*map(html.escape, figure)) for figure in chart.figures),
        "style": (here / "chart.css").read_text(encoding="utf-8"),
        "script": (here / "chart.js").read_text(encoding="utf-8"),
        # The last one, so that nothing in it is taken for a place to fill in; "<" could end the script element.
        "data": json.dumps(_data(chart), separators=(",", ":")).replace("<", "\\u003c"),
    }
    for name, text in parts.items():
        page = page.replace(f"[[{name}]]", text)
    return page


def _figure(name: str, value: str, remark: str) -> str:
    return f"<div><dt>{name}</dt><dd>{value} <small>{remark}</small></dd></div>"


def _data(chart: Chart) -> dict[str, Any]:
    equity = chart.equity
    price = thinned(equity.time, equity.close, _BUCKETS)
    value = thinned(equity.time, equity.value, _BUCKETS)
    plain = len(price.time) == len(equity.time)
    return {
        "time": _packed(price.time),
        "price": [_packed(price.low)] + ([] if plain else [_packed(price.high)]),
        "equity": [_packed(value.low)] + ([] if plain else [_packed(value.high)]),
        "end": int(equity.time[-1]) if len(equity.time) else 0,
        "bars": len(equity.time),
        "opening": chart.opening_cash,
        "trades": _trades(chart.trades),
        "open": None
        if chart.open_position is None
        else {
            "time": epoch_ms(chart.open_position.entry_time),
            "price": float(chart.open_position.entry_price),
            "size": float(chart.open_position.quantity),
            "why": chart.open_position.entry_reason,
        },
    }


def _trades(trades: Sequence[Trade]) -> list[list[Any]]:
    return [
        [
            epoch_ms(trade.entry_time),
            float(trade.entry_price),
            epoch_ms(trade.exit_time),
            float(trade.exit_price),
            float(trade.size),
            float(trade.net_pnl),
            round(trade_return(trade), 4),
            trade.entry_reason,
            trade.exit_reason,
        ]
        for trade in trades
    ]


def _packed(values: npt.NDArray[Any]) -> str:
    """Eight bytes a number, little-endian, in base 64: exact, and read by a browser without parsing."""
    return base64.b64encode(np.asarray(values, dtype="<f8").tobytes()).decode("ascii")
