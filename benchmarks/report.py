"""What a section found: written as a table, as CSV and as plots for the docs."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import machine
from benchmarks.targets import Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
FOLDER = ROOT / "docs" / "performance"


@dataclass(frozen=True)
class Row:
    """One figure."""

    measure: str
    value: float
    unit: str = ""
    target: Target | None = None
    remark: str = ""

    @property
    def cells(self) -> list[str]:
        """Return the cells of the table."""
        verdict = ""
        if self.target is not None:
            verdict = "met" if self.target.is_met(self.value) else "**missed**"
        target = "" if self.target is None else str(self.target)
        shown = f"{rounded(self.value)} {self.unit}".strip()
        return [self.measure, shown, target, verdict, self.remark]


@dataclass(frozen=True)
class Section:
    """What one part of the benchmarks found."""

    name: str
    rows: list[Row]
    #: By its name, what draws a plot.
    plots: Mapping[str, Callable[[Axes], None]] = field(default_factory=dict)
    #: Lines that follow the table.
    notes: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)


def rounded(value: float) -> str:
    """Return ``value`` with three digits that mean something."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def judged(
    values: Mapping[str, float],
    targets: Mapping[str, Target],
    remarks: Mapping[str, str] | None = None,
) -> list[Row]:
    """Return a row for each of ``values``, with its target."""
    remarks = remarks or {}
    return [
        Row(name, value, target=targets.get(name), remark=remarks.get(name, ""))
        for name, value in values.items()
    ]


def table(section: Section) -> str:
    """Return the table of a section in Markdown."""
    header = ["measure", "reached", "target", "", "remark"]
    lines = [header, ["---"] * len(header), *(row.cells for row in section.rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def write(section: Section, *, page: Path = PAGE, folder: Path = FOLDER) -> None:
    """Write table, CSV and plots, each with machine, versions and date."""
    folder.mkdir(exist_ok=True)
    caption = machine.describe(section.packages)
    name = section.name + machine.suffix()
    write_csv(section, folder / f"{name}.csv", caption)
    pictures = []
    for plot, draw in section.plots.items():
        path = folder / f"{name}-{plot}.svg"
        write_plot(draw, path, caption)
        pictures.append(f"![{name}: {plot}](performance/{path.name})")
    parts = [table(section), *section.notes, *pictures, f"Run on: {caption}."]
    page.write_text(with_part(page.read_text(), name, "\n\n".join(parts)))


def with_part(text: str, name: str, part: str) -> str:
    """Return ``text`` with the part between the marks of ``name`` replaced."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = text.partition(begin)
    _, mark, after = rest.partition(end)
    if not mark:
        raise ValueError(f"{begin} and {end} are not both in the page.")
    return f"{before}{begin}\n\n{part}\n\n{end}{after}"


def write_csv(section: Section, path: Path, caption: str) -> None:
    """Write the rows, and on the last line where they are from."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["measure", "value", "unit", "target", "remark"])
        for row in section.rows:
            target = "" if row.target is None else row.target
            cells = [row.measure, f"{row.value:.6g}", row.unit, target, row.remark]
            writer.writerow(cells)
        writer.writerow([f"# {caption}"])


def write_plot(draw: Callable[[Any], None], path: Path, caption: str) -> None:
    """Write a plot as SVG."""
    # Asked for by the benchmarks alone.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # The same data give the same file.
    mpl.rcParams["svg.hashsalt"] = "benchmarks"
    figure = Figure(figsize=(9, 5), layout="constrained")
    draw(figure.subplots())
    figure.supxlabel(caption, fontsize=5, wrap=True)
    figure.savefig(path, metadata={"Date": None})
