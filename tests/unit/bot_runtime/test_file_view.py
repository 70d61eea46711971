import math

import numpy as np
import pytest

from bot_runtime.engine.bar_columns import columns_of
from bot_runtime.engine.file_view import FileView
from bot_runtime.feeds.csv_bars import CsvBars
from bot_runtime.indicators.rsi import Rsi
from bot_runtime.indicators.view import View
from support.bars import made_up_bars


def same(one, other):
    return one == other or (math.isnan(one) and math.isnan(other))


class Short:
    """Leaves out the values that it has not."""

    min_bars = warmup = 5

    def compute(self, columns, tail=None):
        del tail
        return {"value": columns.close[4:] * 2}


def test_a_view_of_a_file_reads_what_any_view_reads():
    columns = columns_of(made_up_bars(60))
    rsi, short = Rsi(14), Short()
    fast, plain = FileView(columns, (rsi, short)), View(columns, (rsi, short))
    for index in range(60):
        fast.move_to(index)
        plain.move_to(index)
        assert fast.time == plain.time
        assert fast.bars_since(int(columns.time[7])) == plain.bars_since(int(columns.time[7]))
        for ago in range(4):
            for name in ("open", "high", "low", "close", "volume"):
                assert same(getattr(fast, name)(ago), getattr(plain, name)(ago))
            # An equal indicator is the same indicator.
            assert same(fast.value(Rsi(14), "rsi", ago), plain.value(rsi, "rsi", ago))
            assert same(fast.value(short, "value", ago), plain.value(short, "value", ago))
            assert isinstance(fast.value(rsi, "rsi", ago), float)


@pytest.mark.parametrize("span", [(0, 30), (7, 9), (29, 30)])
def test_columns_give_back_the_bars_that_they_were_made_of(span):
    bars = made_up_bars(30)
    given = columns_of(bars)
    read = columns_of(CsvBars(given.time, np.array([bar[1:] for bar in bars])))
    assert list(given.bars(*span)) == list(read.bars(*span)) == bars[slice(*span)]
    assert read.close.flags.c_contiguous
