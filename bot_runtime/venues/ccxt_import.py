"""Imports one exchange of ccxt without the others.

`ccxt/__init__.py` imports every exchange: some 30 MB and half a second for one that is used. So packages that fill
themselves on demand take the place of `ccxt` and `ccxt.async_support` until somebody asks them for a name that only
the whole library gives; then they become the whole library. Nothing is patched, and an earlier import stays as it is.
"""

import importlib
import sys
import threading
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

_BASES = ("ccxt.base.errors", "ccxt.base.decimal_to_precision", "ccxt.base.precise", "ccxt.base.exchange")
_ONE_AT_A_TIME = threading.Lock()


class _LazyPackage(ModuleType):
    """A package whose `__init__` runs when a name is asked for that it has not got."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or self.__dict__.get("_filled"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__dict__["_filled"] = True
        spec = self.__spec__
        if spec is None or spec.loader is None:
            raise AttributeError(name)
        spec.loader.exec_module(self)
        return getattr(self, name)


def exchange_class(exchange_id: str) -> Any:
    """Return the asynchronous class of an exchange. Raises ImportError where ccxt or the exchange is missing."""
    _make_way()
    module = importlib.import_module(f"ccxt.async_support.{exchange_id}")
    _as_the_whole_library_has_it()
    return getattr(module, exchange_id)


def ccxt_errors() -> Any:
    """Return the module of ccxt's errors."""
    _make_way()
    return importlib.import_module("ccxt.base.errors")


def _make_way() -> None:
    with _ONE_AT_A_TIME:
        if "ccxt" not in sys.modules:
            _put_lazy_packages()


def _put_lazy_packages() -> None:
    package = _lazy("ccxt", None)
    package.__dict__["async_support"] = _lazy("ccxt.async_support", package.__path__)
    for name in _BASES:  # what exchanges import from the package itself
        module = importlib.import_module(name)
        package.__dict__.update({key: value for key, value in vars(module).items() if not key.startswith("_")})


def _lazy(name: str, path: Any) -> ModuleType:
    spec = PathFinder.find_spec(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{name} is not installed", name=name)
    module = _LazyPackage(name)
    vars(module).update(
        __spec__=spec,
        __loader__=spec.loader,
        __file__=spec.origin,
        __package__=name,
        __path__=list(spec.submodule_search_locations or ()),
    )
    sys.modules[name] = module
    return module


def _as_the_whole_library_has_it() -> None:
    """In `ccxt.async_support` the name of an exchange is its class, not its module."""
    package = vars(sys.modules["ccxt.async_support"])
    for name, value in list(package.items()):
        if isinstance(value, ModuleType) and isinstance(vars(value).get(name), type):
            package[name] = vars(value)[name]
