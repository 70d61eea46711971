"""The `strategy` section of a document: which rules trade, with which parameters, and how much they buy.

`parse_strategy` finds every problem at once and never raises on bad input. It must not import the rules themselves.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from bot_core.models.ml_strategy import ML_STRATEGIES, ModelConfig
from bot_core.models.problem import Notice, Problem, shown
from bot_core.models.rule import RuleConfig, parse_rule
from bot_core.models.rule_parameters import RuleKind
from bot_core.models.typed_strategy import Rules, is_typed, parse_typed

CUSTOM_STRATEGY = "CustomStrategy"
BUILT_IN_STRATEGIES = (CUSTOM_STRATEGY, *ML_STRATEGIES)
DEFAULT_POSITION_SIZE = Decimal("0.1")
_READ_KEYS = frozenset(
    {"entry_logic", "exit_logic", "position_size", "min_position_size", "max_position_size", "asset_type"}
)
# Read by the platform that rows come from, or inert there too.
_PARKED = "legacy_strategy_params"
_KNOWN_KEYS = frozenset(
    {
        "use_talib", _PARKED, "min_order_value", "enable_database_logging", "bot_type", "optimization_mode",
        "bot_instance_name",
    }
)  # fmt: skip


class AssetType(StrEnum):
    """What is bought: decides the smallest quantity."""

    CRYPTO = "crypto"
    STOCK = "stock"


class StrategyConfig(BaseModel):
    """A strategy that can run. Sizes are fractions of the free cash.

    `unknown_type` is what the document asks for where nobody knows it, so that the rules run as a CustomStrategy.
    """

    model_config = ConfigDict(frozen=True)

    type: str
    entry: RuleConfig
    exit: RuleConfig
    model: ModelConfig | None = None
    unknown_type: str | None = None
    position_size: Decimal = DEFAULT_POSITION_SIZE
    min_position_size: Decimal | None = None
    max_position_size: Decimal | None = None
    asset_type: AssetType = AssetType.CRYPTO

    @property
    def fraction(self) -> Decimal:
        """Return the position size within its limits, where the document has any."""
        fraction = self.position_size
        if self.min_position_size is not None:
            fraction = max(fraction, self.min_position_size)
        if self.max_position_size is not None:
            fraction = min(fraction, self.max_position_size)
        return fraction


def parse_strategy(document: Any, path: str = "strategy") -> tuple[StrategyConfig | None, list[Problem], list[Notice]]:
    """Read the block {"type", "parameters"}: a config exactly when there is no problem."""
    problems: list[Problem] = []
    notices: list[Notice] = []
    parameters = _parameters(document, path, problems)
    if parameters is None:
        return None, problems, notices
    kind = document.get("type")
    typed = kind != CUSTOM_STRATEGY and is_typed(kind)
    _note_type(document, path, notices, known=typed)
    path = f"{path}.parameters"
    read = parse_typed if typed else _parse_custom
    rules = read(kind, parameters, path, problems, notices)
    sizes = _sizes(parameters, path, problems)
    asset_type = _asset_type(parameters.get("asset_type"), path, problems)
    if problems or rules is None:
        return None, problems, notices
    config = StrategyConfig(
        type=kind if typed else CUSTOM_STRATEGY,
        entry=rules.entry,
        exit=rules.exit,
        model=rules.model,
        unknown_type=None if typed or kind is None or kind == CUSTOM_STRATEGY else shown("type", kind),
        asset_type=asset_type,
        **sizes,
    )
    return config, problems, notices


def _parse_custom(
    _kind: Any, parameters: Mapping[str, Any], path: str, problems: list[Problem], notices: list[Notice]
) -> Rules | None:
    known = _READ_KEYS | _KNOWN_KEYS
    notices += [Notice(f"{path}.{key}", "is not known here; kept, not read") for key in parameters if key not in known]
    entry = parse_rule(RuleKind.ENTRY, parameters.get("entry_logic"), f"{path}.entry_logic", problems, notices)
    exit_ = parse_rule(RuleKind.EXIT, parameters.get("exit_logic"), f"{path}.exit_logic", problems, notices)
    if parameters.get(_PARKED) and (entry is None or exit_ is None):
        notices.append(Notice(f"{path}.{_PARKED}", "is not read: a conversion put it there, and no program runs it; "
                              "name the rules in entry_logic and exit_logic, with these as their params"))  # fmt: skip
    return None if entry is None or exit_ is None else Rules(entry, exit_)


def _parameters(document: Any, path: str, problems: list[Problem]) -> Mapping[str, Any] | None:
    if not isinstance(document, Mapping):
        problems.append(Problem(path, document, "is not a JSON object with `type` and `parameters`"))
        return None
    parameters = document.get("parameters")
    if isinstance(parameters, Mapping):
        return parameters
    message = "is missing" if parameters is None else "is not a JSON object"
    problems.append(Problem(f"{path}.parameters", parameters, f"{message}; it names entry_logic and exit_logic"))
    return None


def _note_type(document: Mapping[str, Any], path: str, notices: list[Notice], *, known: bool) -> None:
    kind = document.get("type")
    if kind != CUSTOM_STRATEGY and not known:
        what = "is missing" if kind is None else f"{shown(path, kind)} is not a known strategy"
        notices.append(Notice(f"{path}.type", f"{what}; falls back to {CUSTOM_STRATEGY}"))
    others = [key for key in document if key not in {"type", "parameters"}]
    notices += [Notice(f"{path}.{key}", "is not known here; kept, not read") for key in others]


def _sizes(parameters: Mapping[str, Any], path: str, problems: list[Problem]) -> dict[str, Decimal]:
    sizes: dict[str, Decimal] = {}
    for name in ("position_size", "min_position_size", "max_position_size"):
        value = parameters.get(name)
        if value is None:
            continue
        size = _fraction(value, or_nothing=name == "min_position_size")
        if size is None:
            allowed = "a number above 0, at most 1"
            problems.append(Problem(f"{path}.{name}", value, f"is no fraction of the cash; allowed: {allowed}"))
        else:
            sizes[name] = size
    low, high = sizes.get("min_position_size"), sizes.get("max_position_size")
    if low is not None and high is not None and low > high:
        problems.append(Problem(f"{path}.min_position_size", float(low), f"is above max_position_size, {high}"))
    return sizes


def _fraction(value: Any, *, or_nothing: bool) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    if or_nothing and value == 0:
        return Decimal(0)
    return Decimal(str(value)) if 0 < value <= 1 else None  # refuses NaN as well


def _asset_type(value: Any, path: str, problems: list[Problem]) -> AssetType:
    if value is None or value == "":
        return AssetType.CRYPTO
    if isinstance(value, str) and value.lower() in list(AssetType):
        return AssetType(value.lower())
    problems.append(Problem(f"{path}.asset_type", value, f"is no asset type; allowed: {', '.join(AssetType)}"))
    return AssetType.CRYPTO
