import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest


def in_a_new_process(code: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def test_only_the_exchange_that_is_used_is_imported() -> None:
    found = in_a_new_process("""
        import json, sys
        from bot_runtime.venues.ccxt_import import exchange_class
        kind = exchange_class("kraken")
        names = [name for name in sys.modules if name.startswith("ccxt.async_support.")]
        print(json.dumps([kind.__name__, "ccxt.async_support.kraken" in names, "ccxt.async_support.binance" in names,
                          "ccxt.binance" in sys.modules, kind({}).id]))
    """)
    assert found == ["kraken", True, False, False, "kraken"]


def test_whoever_wants_all_of_ccxt_later_gets_all_of_it() -> None:
    found = in_a_new_process("""
        import json
        from bot_runtime.venues.ccxt_import import ccxt_errors, exchange_class
        kind = exchange_class("binanceus")
        import ccxt, ccxt.async_support as asynchronous
        print(json.dumps([
            len(ccxt.exchanges) > 50, ccxt.kraken.__name__, asynchronous.kraken.__name__,
            asynchronous.binanceus is kind, issubclass(kind, asynchronous.binance),
            ccxt.RequestTimeout is ccxt_errors().RequestTimeout, hasattr(ccxt, "no_such_exchange"),
        ]))
    """)
    assert found == [True, "kraken", "kraken", True, True, True, False]


def test_an_earlier_import_of_ccxt_is_used_as_it_is() -> None:
    found = in_a_new_process("""
        import json
        import ccxt.async_support as whole
        from bot_runtime.venues.ccxt_import import exchange_class
        print(json.dumps([exchange_class("binance") is whole.binance, type(whole).__name__]))
    """)
    assert found == [True, "module"]


def test_an_exchange_that_is_not_there_is_an_import_error() -> None:
    from bot_runtime.venues.ccxt_import import exchange_class  # noqa: PLC0415

    with pytest.raises(ImportError):
        exchange_class("mtgox")


def test_one_exchange_takes_less_than_half_of_the_memory_of_all() -> None:
    grown = """
        import json, aiohttp, certifi
        def resident():
            with open("/proc/self/status") as status:
                return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
        before = resident()
        {load}
        print(json.dumps(resident() - before))
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("memory is read from /proc")
    one = in_a_new_process(
        grown.format(load="from bot_runtime.venues.ccxt_import import exchange_class; exchange_class('binance')")
    )
    everything = in_a_new_process(grown.format(load="import ccxt.async_support"))
    assert one < everything / 2
