"""A picture of a run as PNG, for reports and chats. The only importer of matplotlib, which comes with an extra."""

from datetime import datetime
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from bot_core.models.errors import TradingBotError
from bot_runtime.indicators.base import Floats, Integers
from bot_runtime.plots.chart import Chart, marked, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The picture is some 1,400 pixels wide: two values a pixel are all that can be seen.
_BUCKETS = 1400
_INCHES = (16.0, 9.0)
_DPI = 100
_LEFT, _COLUMN_WIDTH, _NAME_WIDTH, _LINE_HEIGHT = 0.03, 0.24, 0.075, 0.025
_COLUMNS = 4
_FEW_TRADES = 60
_MOST_TRADES = 300
_PRICE, _ENTRY, _WON, _LOST, _EQUITY, _SOFT = "#47536a", "#0067b8", "#007f5b", "#c84a00", "#6a3fb5", "#667085"


def require_png() -> None:
    """Raise TradingBotError, naming the remedy, where PNG can't be written."""
    if find_spec("matplotlib") is None:
        raise TradingBotError("PNG needs matplotlib: pip install 'tradingbot-operator[plot]'; or --plot with .html")


def render_png(chart: Chart) -> bytes:
    """Draw 1600 x 900 pixels, without any window or display."""
    require_png()
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra, and slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415 - not pyplot: that keeps global state

    figure = Figure(figsize=_INCHES, dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    price, equity = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
    _head(figure, chart)
    if len(chart.equity.time):
        _draw_price(price, chart)
        _draw_equity(equity, chart)
        _dress(price, "Price", chart)
        _dress(equity, "Equity", chart)
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _head(figure: "Figure", chart: Chart) -> None:
    figure.text(_LEFT, 0.98, _literal(chart.title), fontsize=14, fontweight="bold", va="top")
    rows = -(-len(chart.figures) // _COLUMNS)
    for place, (name, value, remark) in enumerate(chart.figures):
        column, row = divmod(place, rows)
        left, top = _LEFT + column * _COLUMN_WIDTH, 0.937 - row * _LINE_HEIGHT
        figure.text(left, top, _literal(name), fontsize=10, color=_SOFT, va="top")
        text = _literal(f"{value}  ({remark})" if remark else value)
        figure.text(left + _NAME_WIDTH, top, text, fontsize=10, va="top")
    top = 0.9 - _LINE_HEIGHT * rows
    figure.subplots_adjust(left=_LEFT, right=0.93, top=top, bottom=0.05, hspace=0.13)


def _literal(text: str) -> str:
    """Dollar signs of a document are no formulas."""
    return text.replace("$", r"\$")


def _draw_price(axes: "Axes", chart: Chart) -> None:
    axes.plot(*_line(chart.equity.time, chart.equity.close), color=_PRICE, linewidth=0.9, zorder=1)
    trades = marked(chart.trades, _MOST_TRADES)
    size = 55 if len(trades) <= _FEW_TRADES else 24
    for trade in trades:
        color = _WON if trade.net_pnl >= 0 else _LOST
        times, prices = _times(trade.entry_time, trade.exit_time), (float(trade.entry_price), float(trade.exit_price))
        axes.plot(times, prices, color=color, linewidth=0.9, linestyle=":", zorder=2)
    entries = [(trade.entry_time, trade.entry_price) for trade in trades]
    if chart.open_position is not None:
        entries.append((chart.open_position.entry_time, chart.open_position.entry_price))
    _marks(axes, entries, "^", _ENTRY, "entry", size)
    for won, color, name in ((True, _WON, "exit with profit"), (False, _LOST, "exit with loss")):
        exits = [(one.exit_time, one.exit_price) for one in trades if (one.net_pnl >= 0) is won]
        _marks(axes, exits, "v", color, name, size)
    if entries:
        _legend(axes)
    if len(trades) < len(chart.trades):
        text = f"marked: of {len(chart.trades):,} trades the {len(trades) // 2} best and the {len(trades) // 2} worst"
        axes.set_title(text, loc="right", fontsize=9, color=_SOFT, pad=3)


def _marks(axes: "Axes", fills: list[tuple[datetime, Any]], marker: str, color: str, name: str, size: float) -> None:
    if fills:
        times = _times(*(time for time, _ in fills))
        prices = [float(price) for _, price in fills]
        label = f"{name} ({len(fills)})"
        axes.scatter(times, prices, s=size, marker=marker, color=color, edgecolors="white", linewidths=0.4,
                     label=label, zorder=3)  # fmt: skip


def _draw_equity(axes: "Axes", chart: Chart) -> None:
    equity = chart.equity
    peak = np.maximum(np.maximum.accumulate(equity.value), chart.opening_cash)
    line = thinned(equity.time, equity.value, _BUCKETS)
    highest = thinned(equity.time, peak, _BUCKETS)
    axes.fill_between(_clock(line.time), line.low, highest.high, color=_EQUITY, alpha=0.13, linewidth=0,
                      label="below its peak")  # fmt: skip
    axes.plot(*_line(equity.time, equity.value), color=_EQUITY, linewidth=1.1)
    axes.axhline(chart.opening_cash, color=_SOFT, linewidth=0.7, linestyle="--", label="opening cash")
    _legend(axes)


def _legend(axes: "Axes") -> None:
    """Above the axes: inside, it would hide what happened there."""
    axes.legend(loc="lower left", bbox_to_anchor=(0.04, 0.985), ncols=3, fontsize=9, frameon=False, borderpad=0)


def _dress(axes: "Axes", name: str, chart: Chart) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415

    locator = AutoDateLocator(maxticks=14)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.yaxis.tick_right()
    axes.set_title(name, loc="left", fontsize=10, color=_SOFT, pad=3)
    axes.grid(color="#e7eaf0", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(y=0.08)
    axes.yaxis.set_major_formatter(_number_format(axes.get_yticks()))
    first, last = _clock(chart.equity.time[[0, -1]])
    if first < last:
        axes.set_xlim(first, last)
    for side in ("top", "left"):
        axes.spines[side].set_visible(False)
    axes.spines[["bottom", "right"]].set_color("#d5dae3")
    axes.tick_params(colors=_SOFT, labelsize=9, length=3)


def _number_format(ticks: Floats) -> str:
    """As many decimals as tell neighbouring ticks apart, also at prices of 1e-5."""
    step = float(ticks[1] - ticks[0]) if len(ticks) > 1 else 1.0
    places = next((places for places in range(14) if abs(step - round(step, places)) < step * 1e-6), 14)
    return f"{{x:,.{places}f}}"


def _line(time: Integers, values: Floats) -> tuple[Any, Floats]:
    """Points of a line through the lowest and the highest value of each bucket."""
    line = thinned(time, values, _BUCKETS)
    if len(line.time) == len(time):
        return _clock(line.time), line.low
    return _clock(np.repeat(line.time, 2)), np.column_stack((line.low, line.high)).ravel()


def _clock(time: Integers) -> Any:
    return time.astype("datetime64[ms]")


def _times(*times: datetime) -> Any:
    return np.array([time.replace(tzinfo=None) for time in times], dtype="datetime64[ms]")
