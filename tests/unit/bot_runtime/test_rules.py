from decimal import Decimal

import pytest

from bot_core.models.rule_parameters import RULES, RuleKind
from bot_runtime.strategies.registry import ENTRIES, EXITS, build_sizing
from support.bars import strategy_config


@pytest.mark.parametrize(("rules", "kind"), [(ENTRIES, RuleKind.ENTRY), (EXITS, RuleKind.EXIT)])
def test_the_catalogue_names_exactly_the_rules_that_exist(rules, kind):
    assert set(rules) == set(RULES[kind])
    assert all(name == rules[name].name for name in rules)


@pytest.mark.parametrize(("asset_type", "quantity"), [("crypto", "0.33333333"), ("stock", "0")])
def test_sizing_rounds_down_to_the_step_of_the_asset(asset_type, quantity):
    sizing = build_sizing(strategy_config(asset_type=asset_type))
    assert sizing.quantity(Decimal(1000), Decimal(300)) == Decimal(quantity)
