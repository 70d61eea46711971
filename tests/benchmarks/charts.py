"""Bars for the report, as SVG: one panel for each thing measured, ours beside every reference of the same run."""

from collections.abc import Iterable, Sequence
from math import floor, log10
from xml.sax.saxutils import escape

from benchmarks.figures import Figure, Sample, Section, shown

_WIDTH, _NAMES, _VALUES, _ROW, _GAP = 760, 190, 130, 20, 14
_OURS, _THEIRS = "#f2a65a", "#9aa8bf"
#: Where the longest bar is so many times the shortest, the scale is logarithmic.
_MOST_TIMES = 30


def chart(section: Section) -> str:
    """Return an empty text where nothing has a reference."""
    panels = [_panel(what, bars) for what, bars in _compared(section.figures).items()]
    if not panels:
        return ""
    parts, y = [], 0
    for rows, height in panels:
        parts.append(f'<g transform="translate(0 {y})">{rows}</g>')
        y += height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" height="{y}"'
        f' font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _compared(figures: Iterable[Figure]) -> dict[str, dict[str, Sample]]:
    """Bars by their names, by what is measured: the same thing against several references is one panel."""
    found: dict[str, dict[str, Sample]] = {}
    for figure in figures:
        if figure.reference is not None:
            found.setdefault(figure.what, {"ours": figure.ours})[figure.reference_name] = figure.reference
    return found


def _panel(what: str, bars: dict[str, Sample]) -> tuple[str, int]:
    medians = [sample.median for sample in bars.values()]
    known = [value for value in medians if value > 0]
    logarithmic = bool(known) and max(known) > _MOST_TIMES * min(known)
    unit = next(iter(bars.values())).unit
    title = ", ".join([what, *([unit] if unit else []), *(["logarithmic"] if logarithmic else [])])
    rows = [f'<text x="8" y="16" font-weight="bold">{escape(title)}</text>']
    for place, (name, sample) in enumerate(bars.items()):
        y = 24 + place * _ROW
        length = _length(sample.median, medians, logarithmic=logarithmic) * (_WIDTH - _NAMES - _VALUES)
        rows.append(
            f'<text x="{_NAMES - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{_NAMES}" y="{y}" width="{length:.1f}" height="{_ROW - 4}"'
            f' fill="{_THEIRS if place else _OURS}"/>'
            f'<text x="{_NAMES + length + 6:.1f}" y="{y + 13}">{escape(shown(sample.median))}</text>'
        )
    return "".join(rows), 24 + len(bars) * _ROW + _GAP


def _length(value: float, among: Sequence[float], *, logarithmic: bool) -> float:
    """From 0 to 1. A logarithmic scale begins at the power of ten below the shortest bar."""
    if value <= 0:
        return 0.0
    if not logarithmic:
        return value / max(among)
    least = floor(log10(min(other for other in among if other > 0)))
    return (log10(value) - least) / (log10(max(among)) - least)
