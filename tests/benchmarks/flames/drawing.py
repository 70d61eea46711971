"""A flame graph as SVG from stacks as py-spy writes them (`outer;inner count`): callers above, width by samples."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

_WIDTH, _ROW, _MARGIN, _LETTER = 1200.0, 17, 8, 6.3
#: What is narrower can't be seen.
_LEAST_SHARE = 0.003
_MACHINERY = ("<frozen importlib", "<frozen runpy", "(importlib/")
_WAITING = ("Condition.wait (threading", "EpollSelector.select (", "_worker (concurrent/futures/thread")
_LINE = re.compile(r":\d+\)$")
_OURS = re.compile(r"\((bot_core|bot_runtime|bot_operator)/")
_COLOURS = {True: "#f2a65a", False: "#d8dee9"}


@dataclass
class Frame:
    name: str
    samples: int = 0
    callees: dict[str, "Frame"] = field(default_factory=dict)

    def called(self, name: str) -> "Frame":
        return self.callees.setdefault(name, Frame(name))

    def depth(self, least: float) -> int:
        return 1 + max((callee.depth(least) for callee in self.callees.values() if callee.samples >= least), default=0)


def merged(lines: Iterable[str], root: str, under: str = "") -> Frame:
    """Put together the stacks that work, without the frames that only import.

    With `under`: those in which that frame is, from it on.
    """
    top = Frame(root)
    for line in lines:
        stack, _, count = line.rpartition(" ")
        names = [_LINE.sub(")", name) for name in stack.split(";") if not any(part in name for part in _MACHINERY)]
        if not names or names[-1].startswith(_WAITING):
            continue
        if under:
            start = next((place for place, name in enumerate(names) if name.startswith(under)), None)
            if start is None:
                continue
            names = names[start:]
        frame = top
        frame.samples += int(count)
        for name in names:
            frame = frame.called(name)
            frame.samples += int(count)
    return top


def drawn(top: Frame, title: str) -> str:
    """Raise ValueError where there is no sample."""
    if not top.samples:
        raise ValueError(f"{title}: no sample")
    least = top.samples * _LEAST_SHARE
    height = (top.depth(least) + 2) * _ROW + 2 * _MARGIN
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:.0f}" height="{height}"'
            ' font-family="monospace" font-size="10.5">'
        ),
        f'<rect width="100%" height="100%" fill="#ffffff"/><text x="{_MARGIN}" y="{_ROW}">{escape(title)}</text>',
    ]
    _draw(top, _MARGIN, _ROW + _MARGIN, (_WIDTH - 2 * _MARGIN) / top.samples, top.samples, least, parts)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _draw(frame: Frame, x: float, y: float, scale: float, total: int, least: float, parts: list[str]) -> None:
    width = frame.samples * scale
    label = frame.name[: int((width - 4) / _LETTER)]
    text = f'<text x="{x + 2:.1f}" y="{y + 12}">{escape(label)}</text>' if len(label) > 2 else ""
    parts.append(
        f"<g><title>{escape(frame.name)}: {100 * frame.samples / total:.1f} %</title>"
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_ROW - 1}" rx="1"'
        f' fill="{_COLOURS[bool(_OURS.search(frame.name))]}"/>{text}</g>'
    )
    for callee in sorted(frame.callees.values(), key=lambda callee: -callee.samples):
        if callee.samples >= least:
            _draw(callee, x, y + _ROW, scale, total, least, parts)
            x += callee.samples * scale
