"""What the keys do to the view of the fleet: where the mark stands, what is sorted, filtered, looked at. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot_runtime.cli.fleet_view import FleetLine, Order

_ORDERS = {
    "i": Order.ID,
    "n": Order.NAME,
    "s": Order.STATUS,
    "p": Order.PNL,
    "t": Order.TODAY,
    "h": Order.HEARTBEAT,
}
_LONGEST_FILTER = 60


@dataclass(frozen=True, slots=True)
class FleetScreen:
    """`selected` is a bot's id, for the mark stays with its bot; `detail` the bot that is shown alone."""

    selected: int | None = None
    top: int = 0
    order: Order = Order.ID
    backwards: bool = False
    words: str = ""
    typing: bool = False
    detail: int | None = None
    done: bool = False

    def pressed(self, key: str, lines: Sequence[FleetLine], page: int) -> "FleetScreen":  # a key each
        """The view after a key; `lines` as they are shown, `page` how many of them at once."""
        if self.typing:
            return self._typed(key)
        page = max(1, page)
        match key:
            case "q":
                return replace(self, done=True)
            case "enter" | "d":
                return replace(self, detail=self._marked(lines) if self.detail is None else None)
            case "escape":
                return replace(self, detail=None, words=self.words if self.detail is not None else "")
            case "/":
                return replace(self, typing=True, detail=None)
            case _:
                return self._sorted(_ORDERS[key]) if key in _ORDERS else self._moved(key, lines, page)

    def _sorted(self, order: Order) -> "FleetScreen":
        return replace(self, order=order, backwards=order is self.order and not self.backwards, top=0)

    def _typed(self, key: str) -> "FleetScreen":
        if key == "enter":
            return replace(self, typing=False)
        if key == "escape":
            return replace(self, typing=False, words="")
        if key == "backspace":
            return replace(self, words=self.words[:-1])
        return replace(self, words=(self.words + key)[:_LONGEST_FILTER]) if len(key) == 1 else self

    def _marked(self, lines: Sequence[FleetLine]) -> int | None:
        return lines[self._place(lines)].bot_id if lines else None

    def _moved(self, key: str, lines: Sequence[FleetLine], page: int) -> "FleetScreen":
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -page, "page down": page, " ": page}
        steps |= {"home": -len(lines), "g": -len(lines), "end": len(lines), "G": len(lines)}
        if key not in steps or not lines:
            return self
        place = min(max(self._place(lines) + steps[key], 0), len(lines) - 1)
        moved = replace(self, selected=lines[place].bot_id)
        return replace(moved, detail=None if self.detail is None else moved.selected)

    def _place(self, lines: Sequence[FleetLine]) -> int:
        """Where the mark is; at the top where its bot is not shown."""
        return next((place for place, line in enumerate(lines) if line.bot_id == self.selected), 0)

    def fitted(self, lines: Sequence[FleetLine], page: int) -> "FleetScreen":
        """Scrolled so that the mark is on the page, and no room is left empty that lines could fill."""
        place = self._place(lines)
        top = min(max(self.top, place - page + 1), place)
        top = max(0, min(top, len(lines) - page))
        return replace(self, top=top, selected=self._marked(lines))
