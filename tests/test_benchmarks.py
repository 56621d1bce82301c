"""What the benchmarks make of figures. What they measure is no matter of tests."""

from __future__ import annotations

import csv

import pytest

from benchmarks import guard, machine, report, targets
from benchmarks.report import Row, Section
from benchmarks.targets import Target, at_least

PAGE = "# Page\n\n<!-- one -->\nold\n<!-- end of one -->\n\nafter\n"


@pytest.fixture
def page(tmp_path):
    """Return a page with the marks of a section."""
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("one", "one" + machine.suffix()))
    return page


def test_targets():
    """In both directions, exactly and roughly; a promise is kept exactly."""
    assert Target(2.0).is_met(2.0)
    assert not Target(2.0).is_met(2.1)
    assert at_least(2.0).is_met(2.0)
    assert not at_least(2.0).is_met(1.9)
    assert Target(2.0).is_met_roughly(3.0, 1.5)
    assert not Target(2.0).is_met_roughly(3.1, 1.5)
    assert at_least(3.0).is_met_roughly(2.0, 1.5)
    assert not at_least(3.0).is_met_roughly(1.9, 1.5)
    assert not Target(2.0, exact=True).is_met_roughly(2.1, 1.5)


def test_section_is_written(page, tmp_path):
    """Table and CSV, each with the place where it was measured; twice is no more."""
    rows = [Row("a", 1.234, "ns", Target(2.0), "why"), Row("b", 3.0, "", at_least(4))]
    for _ in range(2):
        report.write(Section("one", rows), page=page, folder=tmp_path / "figures")
    text = page.read_text()
    assert "| a | 1.23 ns | ≤ 2 | met | why |\n| b | 3 | ≥ 4 | **missed** |  |" in text
    assert text.count("CPython") == text.count("| a |") == 1
    assert "old" not in text
    assert text.endswith("after\n")
    [path] = (tmp_path / "figures").iterdir()
    header, first, _, last = csv.reader(path.read_text().splitlines())
    assert header == ["measure", "value", "unit", "target", "remark"]
    assert first == ["a", "1.234", "ns", "≤ 2", "why"]
    assert "CPython" in last[0]


def test_page_without_marks():
    """It is told, before anything is lost."""
    with pytest.raises(ValueError, match="end of two"):
        report.with_part(PAGE, "two", "new")


def figures(**changes):
    """Return a measure that gives each target's bound, but for ``changes`` in turn."""
    values = {name: target.bound for name, target in targets.HOT_PATH.items()}
    turns = iter(zip(*changes.values(), strict=True))

    def measure():
        return values | dict(zip(changes, next(turns), strict=True))

    return measure


NAME = "uids(1000) / list(range(1000))"


def test_guard_lets_noise_pass():
    """One good try of three is enough."""
    assert guard.far_off(figures(**{NAME: [9.0, 9.0, 2.3]})) == []


def test_guard_stops_what_has_become_slow():
    """Three tries that are all too slow are no noise."""
    [line] = guard.far_off(figures(**{NAME: [9.0, 2.5, 9.0]}))
    assert line == f"{NAME}: 2.5, and the target is ≤ 1.6"


def test_guard_fails(monkeypatch, capsys):
    """So that .ci/run does."""
    monkeypatch.setattr(guard, "figures", figures(**{NAME: [9.0] * 3}))
    assert guard.main() == 1
    assert "TOO FAR OFF: uids(1000)" in capsys.readouterr().out


def test_guard_knows_no_tolerance_for_promises():
    """MAX_LEAD is respected or not."""
    name = "sustained 10 s, default layout: greatest lead in s"
    assert guard.far_off(figures(**{name: [1.1] * 3}))
