"""What a benchmark found: samples, ratios against a reference of the same run, and what could not be measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

#: Fewer make no median that one could believe.
LEAST_RUNS = 5


@dataclass(frozen=True)
class Sample:
    """The same figure, measured several times."""

    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    def __str__(self) -> str:
        return f"{shown(self.median)} {self.unit} ({shown(min(self.values))} to {shown(max(self.values))})"


@dataclass(frozen=True)
class Figure:
    """One row of the table. `limit` is the most (or, with `at_least`, the least) that the ratio may be."""

    what: str
    ours: Sample
    reference_name: str = ""
    reference: Sample | None = None
    limit: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return None if self.reference is None else self.ours.median / self.reference.median

    @property
    def compared(self) -> float:
        """What the limit is about: the ratio, or where there is no reference the figure itself."""
        return self.ours.median if self.ratio is None else self.ratio

    @property
    def met(self) -> bool | None:
        """Whether the limit is kept; None where there is none."""
        if self.limit is None:
            return None
        return self.compared >= self.limit if self.at_least else self.compared <= self.limit


@dataclass(frozen=True)
class Section:
    """What one benchmark found. `missing` says what it could not measure, and why."""

    key: str
    title: str
    how: str
    figures: tuple[Figure, ...] = ()
    details: tuple[tuple[str, ...], ...] = ()
    missing: tuple[str, ...] = ()
    about: tuple[tuple[str, str], ...] = ()


def shown(value: float) -> str:
    """Three digits that mean something."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value else "0"


def sample(unit: str, values: Sequence[float]) -> Sample:
    return Sample(unit, tuple(float(value) for value in values))
