from bot_core.models.broker import BROKER_TYPES, KEYED_BROKERS
from bot_core.models.exchanges import CCXT_EXCHANGES


def test_every_exchange_of_the_installed_ccxt_can_be_named_and_no_other() -> None:
    import ccxt  # noqa: PLC0415  # all of it: slow and large

    assert {*CCXT_EXCHANGES, "binance", "alpaca"} == set(ccxt.exchanges)
    assert list(CCXT_EXCHANGES) == sorted(set(CCXT_EXCHANGES))


def test_live_orders_need_a_key_everywhere_but_on_paper_and_at_interactive_brokers_own_gateway() -> None:
    assert set(BROKER_TYPES) - KEYED_BROKERS == {"paper", "ibkr"}
