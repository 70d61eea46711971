from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from bot_runtime.engine.track_record import MOST_AT_ONCE, Closed, History, Kind, Mark, due_marks, figures

START = datetime(2026, 3, 2, 10, tzinfo=UTC)


def closed(day: float, pnl: float, hours: float = 6) -> Closed:
    """A trade that ends so many days after the start."""
    end = START + timedelta(days=day)
    return Closed(end - timedelta(hours=hours), end, Decimal(str(pnl)), Decimal("0.5"))


def a_history(*trades: Closed, open_since: datetime | None = None) -> History:
    return History(Decimal(1000), trades, open_since)


THREE = a_history(closed(0.25, 100), closed(1.25, -50), closed(3.25, 25))


@pytest.mark.parametrize(
    ("now", "last_day", "last_trades", "names"),
    [
        (START + timedelta(hours=7), None, 0, []),
        (START + timedelta(days=1), None, 0, ["day 2026-03-02"]),
        (START + timedelta(days=1), date(2026, 3, 2), 0, []),
        (datetime(2026, 3, 6, tzinfo=UTC), date(2026, 3, 3), 0, ["day 2026-03-04", "day 2026-03-05"]),
    ],
)
def test_a_day_is_due_once_it_is_over_and_so_are_those_that_were_missed(
    now: datetime, last_day: date | None, last_trades: int, names: list[str]
) -> None:
    assert [f"{mark.kind} {mark.name}" for mark in due_marks(THREE, 20, now, last_day, last_trades)] == names


@pytest.mark.parametrize(
    ("every", "last", "names"), [(1, 0, ["1", "2", "3"]), (2, 0, ["2"]), (2, 2, []), (1, 2, ["3"]), (3, 0, ["3"])]
)
def test_so_many_trades_are_due_at_each_multiple(every: int, last: int, names: list[str]) -> None:
    marks = due_marks(THREE, every, START, None, last)
    assert [mark.name for mark in marks if mark.kind is Kind.TRADES] == names


def test_a_bot_without_trades_has_no_figures_and_after_years_away_only_the_newest_are_made_up_for() -> None:
    years = START + timedelta(days=1000)
    assert due_marks(a_history(), 1, years, None, 0) == ()
    days = due_marks(THREE, 20, years, None, 0)
    assert len(days) == MOST_AT_ONCE
    assert days[-1].name == (years - timedelta(days=1)).date().isoformat()


def test_the_figures_of_a_period_are_those_of_its_closed_trades() -> None:
    found = figures(THREE, Mark(Kind.DAY, "2026-03-05", 3, datetime(2026, 3, 6, tzinfo=UTC)))
    assert (found["trades"], found["wins"], found["losses"]) == (3, 2, 1)
    assert found["win_rate_percent"] == pytest.approx(66.67, abs=0.01)
    assert found["profit_factor"] == 2.5
    assert (found["net_pnl"], found["commission"], found["return_percent"]) == (75, 1.5, pytest.approx(7.5))
    assert found["max_drawdown_percent"] == pytest.approx(100 * 50 / 1100)
    returns = [100 / 1000, -50 / 1100, 0, 25 / 1050]
    mean = sum(returns) / 4
    deviation = (sum((one - mean) ** 2 for one in returns) / 3) ** 0.5
    assert found["sharpe"] == pytest.approx(mean / deviation * 365**0.5)
    assert "sqrt(365)" in found["sharpe_is"]
    assert found["period"] == {"from": "2026-03-02T10:00:00Z", "until": "2026-03-06T00:00:00Z"}
    assert found["exposure_percent"] == pytest.approx(100 * 18 / 86)
    assert found["day"] == {"trades": 1, "net_pnl": 25}


def test_an_open_position_counts_as_exposure_and_an_undefined_figure_is_none() -> None:
    history = a_history(closed(0.25, 100), open_since=START + timedelta(hours=10))
    found = figures(history, Mark(Kind.DAY, "2026-03-02", 1, START + timedelta(hours=14)))
    assert found["exposure_percent"] == pytest.approx(100 * (6 + 4) / 14)
    assert (found["profit_factor"], found["sharpe"]) == (None, None)
