"""A view with injected values, for tests of rules."""

from datetime import timedelta
from decimal import Decimal

from bot_runtime.domain.bar import epoch_ms
from bot_runtime.domain.position import Direction, Position
from support.bars import START

NAN = float("nan")


class FakeView:
    """Injected values: `output=(now, before)`, or one value for both; `output_14` is for that period only."""

    def __init__(self, *, minute=0, **values):
        self._values = values
        self.time = epoch_ms(START + timedelta(minutes=minute))

    def value(self, indicator, output, ago=0):
        period = getattr(indicator, "period", None)
        given = self._values.get(f"{output}_{period}", self._values.get(output, NAN))
        return given[ago] if isinstance(given, tuple) else given

    def open(self, ago=0):
        return self.value(None, "open", ago)

    def low(self, ago=0):
        return self.value(None, "low", ago)

    def close(self, ago=0):
        return self.value(None, "close", ago)

    def high(self, ago=0):
        return self.value(None, "high", ago)

    def volume(self, ago=0):
        return self.value(None, "volume", ago)

    def bars_since(self, time):
        return (self.time - time) // 60_000

    bars_kept = 1000


def a_position(price="100"):
    return Position(Direction.LONG, Decimal(1), Decimal(price), START, START, Decimal(0), "reason")
