from typing import Any

import pytest

from bot_core.models.config import OnStop, parse_config
from support.bots import a_document


def notices(section: str, values: dict[str, Any]) -> list[str]:
    parsed = parse_config(a_document(**{section: values}))
    assert parsed.config is not None, parsed.problems
    return [str(notice) for notice in parsed.notices]


@pytest.mark.parametrize(
    ("section", "values", "told"),
    [
        ("trading", {"max_positions": 1, "leverage": 1, "allow_short": False, "max_exposure": 1.0}, ""),
        ("trading", {"max_positions": 2}, "trading.max_positions: is more than a bot ever holds"),
        ("trading", {"leverage": 1.5}, "trading.leverage: is not supported"),
        ("trading", {"allow_short": True}, "trading.allow_short: is not supported"),
        ("trading", {"max_exposure": 50}, "trading.max_exposure: is a fraction of the equity"),
        ("risk_management", {"max_position_size": 1000.0, "max_daily_loss": 50.0}, ""),
        ("risk_management", {"max_position_size": 0.2}, "risk_management.max_position_size: is money"),
        ("risk_management", {"max_daily_loss": 0.05}, "risk_management.max_daily_loss: is money"),
        ("risk_management", {"max_portfolio_risk": 0.02}, "risk_management.max_portfolio_risk: limits nothing"),
        ("risk_management", {"max_portfolio_risk": 0.02, "stop_loss_pct": 2}, ""),
        ("risk_management", {"max_portfolio_risk": 0.02, "trailing_stop": True, "trailing_stop_pct": 2}, ""),
        ("risk_management", {"position_sizing_method": "kelly"}, "risk_management.position_sizing_method: is not read"),
        ("risk_management", {"stop_loss_enabled": True}, "risk_management.stop_loss_enabled: is true, but"),
        ("risk_management", {"take_profit_enabled": True}, "risk_management.take_profit_enabled: is true, but"),
        ("risk_management", {"trailing_stop": True}, "risk_management.trailing_stop: is true, but"),
        ("risk_management", {"stop_loss_pct": 0}, "risk_management.stop_loss_pct: is 0"),
        ("risk_management", {"stop_loss_pct": 0, "stop_loss_enabled": False}, ""),
        ("risk_management", {"take_profit_pct": 0}, "risk_management.take_profit_pct: is 0"),
        ("risk_management", {"trailing_stop": True, "trailing_stop_pct": 0}, "risk_management.trailing_stop_pct: is 0"),
    ],
)
def test_a_limit_that_does_not_do_what_it_seems_to_is_told(section: str, values: dict[str, Any], told: str) -> None:
    found = notices(section, values)
    assert len(found) == (1 if told else 0), found
    assert not told or found[0].startswith(told)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "utc", "America/New_York", "Etc/GMT+5"])
def test_a_zone_of_the_iana_database_is_allowed(zone: str) -> None:
    assert notices("scheduling", {"enabled": True, "timezone": zone}) == []


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe", "/etc/passwd", "Europe/", "localtime/../UTC", "CEST"])
def test_an_unknown_zone_is_a_problem_with_what_is_allowed(zone: str) -> None:
    parsed = parse_config(a_document(scheduling={"enabled": True, "timezone": zone}))
    assert parsed.config is None
    (problem,) = parsed.problems
    assert str(problem).startswith(f"scheduling.timezone: '{zone}' is ")
    assert "a name of the IANA database such as UTC or Europe/Berlin" in str(problem)


def test_a_stop_cancels_entries_and_keeps_the_position_unless_something_else_is_said() -> None:
    assert getattr(parse_config(a_document()).config, "on_stop", None) is OnStop.CANCEL
    assert getattr(parse_config(a_document(on_stop="keep")).config, "on_stop", None) is OnStop.KEEP
