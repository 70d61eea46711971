"""Column types that mean the same on PostgreSQL and on SQLite. They decide nothing about meaning."""

import json
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, Numeric, String, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine


class NaiveUTC(TypeDecorator[datetime]):
    """`timestamp` without time zone that holds UTC; aware datetimes outside."""

    impl = DateTime(timezone=False)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else _aware(value).astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else _aware(value)


class AwareUTC(TypeDecorator[datetime]):
    """`timestamptz`; on SQLite, text in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        value = _aware(value).astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else _aware(value).astimezone(UTC)


class Money(TypeDecorator[Decimal]):
    """`numeric(20,8)`; on SQLite, which has no exact numbers, its decimal text. Rounded half to even."""

    impl = Numeric(20, 8)
    cache_ok = True

    def __init__(self, digits: int = 20, places: int = 8) -> None:
        super().__init__(digits, places)
        self.step = Decimal(1).scaleb(-places)
        self.digits = digits
        self.places = places

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        exact: TypeEngine[Any] = Numeric(self.digits, self.places) if dialect.name == "postgresql" else String(40)
        return dialect.type_descriptor(exact)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        rounded = Decimal(value).quantize(self.step, rounding=ROUND_HALF_EVEN)
        return rounded if dialect.name == "postgresql" else format(rounded, "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        if value is None:
            return None
        amount = Decimal(value)
        return amount if amount.is_finite() else None  # `numeric` knows NaN, money does not


class JsonDocument(TypeDecorator[Any]):
    """`jsonb` on PostgreSQL, where older databases have `json` or `text` for it. None is SQL NULL.

    What is written is cast by the server; what is read as text is parsed, unless it is none of an object or list.
    """

    impl = JSON
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(none_as_null=True)

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        own = JSONB(none_as_null=True) if dialect.name == "postgresql" else JSON(none_as_null=True)
        return dialect.type_descriptor(own)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value


Json = JsonDocument()
#: `text[]` on PostgreSQL, a JSON list elsewhere.
TextList = JSON().with_variant(ARRAY(Text()), "postgresql")
#: SQLite generates ids for INTEGER keys only.
BigId = BigInteger().with_variant(Integer(), "sqlite")


def _aware(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)
