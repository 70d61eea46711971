from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from bot_core.models.config import BotConfig, parse_config
from bot_core.models.halt import Halt, HaltScope
from bot_core.models.recipients import Purpose
from bot_runtime.domain.position import Direction, Position
from bot_runtime.domain.trade import Trade
from bot_runtime.persistence.messages import (
    amount,
    closed_letter,
    duration,
    halted_letter,
    limit_letter,
    money,
    opened_letter,
    resumed_letter,
)
from support.bots import a_document

ENTERED = datetime(2026, 3, 1, 10, tzinfo=UTC)
CONFIG = parse_config(a_document()).config
assert CONFIG is not None


def a_trade(exit_price: str = "2100", *, hours: float = 26.05, entry_price: str = "2000") -> Trade:
    return Trade(
        direction=Direction.LONG,
        size=Decimal("0.5"),
        signal_time=ENTERED - timedelta(hours=1),
        entry_time=ENTERED,
        entry_price=Decimal(entry_price),
        entry_reason="rsi",
        exit_time=ENTERED + timedelta(hours=hours),
        exit_price=Decimal(exit_price),
        exit_reason="take_profit",
        commission=Decimal("2.05"),
    )


def config() -> BotConfig:
    assert CONFIG is not None
    return CONFIG


def test_an_entry_says_what_was_bought_for_how_much_and_why() -> None:
    half, price = Decimal("0.5"), Decimal("2000.10")
    position = Position(Direction.LONG, half, price, ENTERED, ENTERED, Decimal(1), "rsi")
    letter = opened_letter(config(), position, client_order_id="tb7-en-1", correlation_id="c-1")
    assert (letter.title, letter.text) == ("Position Opened: ETHUSDT", "BUY 0.5 ETHUSDT @ 2000.1")
    assert (letter.kind, letter.purpose) == ("trade_entry", Purpose.TRADE_BUY)
    assert letter.data == {
        "order_type": "BUY",
        "price": "2000.10",
        "size": "0.5",
        "pnl": None,
        "entry_price": "2000.10",
        "reason": "rsi",
        "client_order_id": "tb7-en-1",
        "correlation_id": "c-1",
    }


def test_an_exit_says_what_was_earned_in_money_and_per_cent_how_long_it_took_and_why() -> None:
    letter = closed_letter(config(), a_trade(), client_order_id="tb7-ex-1")
    assert letter.title == "Position Closed: ETHUSDT"
    assert letter.text == "SELL 0.5 ETHUSDT @ 2100 (P&L: +47.95 / +4.80%, held 1d 2h 3m, take_profit)"
    assert (letter.kind, letter.purpose) == ("trade_exit", Purpose.TRADE_SELL)
    assert letter.data == {
        "order_type": "SELL",
        "price": "2100",
        "size": "0.5",
        "pnl": "47.95",
        "pnl_percentage": "4.7950",
        "holding_seconds": 93780,
        "reason": "take_profit",
        "entry_price": "2000",
        "client_order_id": "tb7-ex-1",
    }
    assert (
        "(P&L: -52.05 / -5.20%, held 30m 0s, take_profit)" in closed_letter(config(), a_trade("1900", hours=0.5)).text
    )


def test_a_trade_that_cost_nothing_is_told_without_a_division() -> None:
    assert "/ +0.00%" in closed_letter(config(), a_trade(entry_price="0")).text


def test_limits_and_halts_say_what_they_do() -> None:
    assert limit_letter("dips", "max_daily_loss", "too much").title == "Risk Limit: dips"
    halt = Halt(3, HaltScope.ALL, False, "odd fills", "me", ENTERED)  # as the row has it
    letter = halted_letter("dips", halt)
    assert letter.title == "Trading Halted: dips"
    assert "odd fills; no entries" in letter.text
    flat = Halt(4, HaltScope.BOT, True, "", "me", ENTERED)  # as the row has it
    assert "its position is closed" in halted_letter("dips", flat).text
    assert resumed_letter("dips").title == "Trading Resumed: dips"
    assert {one.kind for one in (letter, resumed_letter("dips"))} == {"alert"}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (-5, "0s"),
        (59.6, "1m 0s"),
        (366, "6m 6s"),
        (14_700, "4h 5m"),
        (93_780, "1d 2h 3m"),
        (864_000, "10d 0h 0m"),
    ],
)
def test_a_duration_is_given_in_its_greatest_units(seconds: float, words: str) -> None:
    assert duration(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0", "+0.00"),
        ("1234.567", "+1,234.57"),
        ("-0.5", "-0.50"),
        ("0.00012", "+0.00012000"),
        ("-0.0049", "-0.00490000"),
    ],
)
def test_money_shows_what_two_decimals_would_hide(value: str, words: str) -> None:
    assert money(Decimal(value)) == words


def test_amounts_have_no_exponent_and_no_zeros_at_the_end() -> None:
    assert [amount(Decimal(text)) for text in ("1E-8", "100.00", "0.123456789", "1E+3")] == [
        "0.00000001",
        "100",
        "0.12345679",
        "1000",
    ]
