import pytest

from bot_runtime.venues.alpaca_http import _Budget
from bot_runtime.venues.alpaca_symbols import market_symbol, spellings
from support.virtual_time import run_virtually, virtual_now


def test_a_burst_goes_at_once_and_then_two_hundred_requests_a_minute() -> None:
    async def work() -> tuple[float, float]:
        budget = _Budget()
        for _ in range(50):
            await budget.take()
        burst = virtual_now()
        for _ in range(200):
            await budget.take()
        return burst, virtual_now() - burst

    burst, rest = run_virtually(work())
    assert burst == 0
    assert rest == pytest.approx(60, abs=1)


def test_when_the_venue_had_too_many_requests_the_next_one_waits() -> None:
    async def work() -> float:
        budget = _Budget()
        budget.hold(1.0)
        await budget.take()
        return virtual_now()

    assert run_virtually(work()) >= 1


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [("BTCUSD", "BTC/USD"), ("ETHUSDT", "ETH/USDT"), ("ETHBTC", "ETH/BTC"), ("AAPL", "AAPL"), ("AUSD", "AUSD")],
)
def test_what_ends_in_a_currency_and_is_too_long_for_a_share_is_a_pair(symbol: str, expected: str) -> None:
    assert market_symbol(symbol) == expected


def test_a_share_of_a_class_is_tried_with_a_point() -> None:
    assert spellings("BRKB") == ["BRKB", "BRK.B"]
    assert spellings("BTCUSD")[0] == "BTC/USD"
