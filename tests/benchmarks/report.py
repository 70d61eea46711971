"""docs/benchmarks.md from what was measured; figures of an earlier run stay where a benchmark was not run again."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.charts import chart
from benchmarks.figures import Figure, Section, shown

PROJECT = Path(__file__).resolve().parents[2]
RESULTS = PROJECT / "docs" / "benchmarks.json"
PAGE = PROJECT / "docs" / "benchmarks.md"
_SECTIONS = TypeAdapter(dict[str, Section])

_INTRODUCTION = """# Benchmarks

Written by `make bench`; every figure is a median, with the lowest and the highest in brackets. A ratio compares with a
reference that was measured in the same run on the same machine: ratios can be compared between machines, times can't.
`make bench ONLY="backtest heartbeat"` runs some. `make bench-peers` installs other frameworks, each
into an environment of its own, and measures them beside ours. `make flame` draws where the processor's time goes: in
[the start of a pod](flame/pod-start.svg), in [a live bar](flame/bar-live.svg), in [a reconcile](flame/reconcile.svg).
"""


def machine(name: str) -> tuple[tuple[str, str], ...]:
    """What the figures of this benchmark were measured on, and by which command."""
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    model = next((ln for ln in Path("/proc/cpuinfo").read_text().splitlines() if ln.startswith("model name")), ": ?")
    commit = subprocess.run(
        ["git", "-C", str(PROJECT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return (
        ("command", f"`make bench ONLY={name}`"),
        ("measured", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("commit", commit.stdout.strip() or "unknown"),
        ("machine", f"{os.cpu_count()} x {model.split(':')[1].strip()}, {int(memory.split()[1]) / 2**20:.0f} GiB"),
        ("system", f"{platform.system()} {platform.release()}, Python {platform.python_version()}"),
    )


def kept(results: Path = RESULTS) -> dict[str, Section]:
    """All sections that were ever measured."""
    return _SECTIONS.validate_json(results.read_bytes()) if results.exists() else {}


def keep(section: Section, results: Path = RESULTS) -> None:
    """Write down a section, in the place of an earlier one of that key."""
    found = kept(results) | {section.key: section}
    results.write_bytes(_SECTIONS.dump_json(found, indent=1) + b"\n")


def write(order: tuple[str, ...], results: Path = RESULTS, page: Path = PAGE) -> None:
    """Render all sections that were ever measured, in this order, and a chart of each in a folder beside the page."""
    found = kept(results)
    sections = [found[key] for key in order if key in found]
    missing = [key for key in order if key not in found]
    parts = [_INTRODUCTION, _summary(sections), *[_section(section, _chart(section, page)) for section in sections]]
    if missing:
        parts.append(f"Not measured yet: {', '.join(missing)}.\n")
    page.write_text("\n".join(parts))


def _summary(sections: list[Section]) -> str:
    lines = ["| what | ours | reference | ratio | must reach | |", "|---|---|---|---|---|---|"]
    lines += [_row(figure) for section in sections for figure in section.figures]
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> str:
    reference = "" if figure.reference is None else f"{figure.reference_name}: {figure.reference}"
    ratio = "" if figure.ratio is None else shown(figure.ratio)
    limit = "" if figure.limit is None else f"{'at least' if figure.at_least else 'at most'} {shown(figure.limit)}"
    verdict = {True: "met", False: "**not met**", None: ""}[figure.met]
    return f"| {figure.what} | {figure.ours} | {reference} | {ratio} | {limit} | {verdict} |"


def _chart(section: Section, page: Path) -> str:
    """Return the chart's place as the page names it; empty where there is nothing to draw."""
    drawn, path = chart(section), page.with_suffix("") / f"{section.key}.svg"
    if not drawn:
        return ""
    path.parent.mkdir(exist_ok=True)
    path.write_text(drawn)
    return f"{path.parent.name}/{path.name}"


def _section(section: Section, picture: str) -> str:
    lines = [f"## {section.title}", "", section.how, ""]
    lines += [f"![{section.title}]({picture})", ""] if picture else []
    lines += [f"* {figure.what}: {figure.note}" for figure in section.figures if figure.note]
    if section.details:
        head, *rows = section.details
        lines += ["", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        lines += [f"| {' | '.join(row)} |" for row in rows]
    lines += [f"* **Not measured**: {text}" for text in section.missing]
    lines += ["", "; ".join(f"{name}: {value}" for name, value in section.about), ""]
    return "\n".join(lines)
