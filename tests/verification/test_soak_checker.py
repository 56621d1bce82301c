"""The program that looks for repeated UIDs after a soak, on logs that are made up."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from verification.soak import checker, run_log
from verification.soak.run_log import STEPPED_BACK, RunLog

TICK = 1 << 22
WORKER = 1 << 12


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a log of runs ``(first, count)`` and marks."""

    def write(name, *entries, alias="default", complete=True):
        folder = tmp_path / "logs" / alias
        folder.mkdir(parents=True, exist_ok=True)
        log = RunLog(folder / name)
        for entry in entries:
            if entry == STEPPED_BACK:
                log.mark(entry)
            else:
                first, count = entry
                log.append([range(first, first + count)])
        if complete:
            log.close()
        return folder / name

    return write


def write_leases(folder, *leases, alias="default"):
    path = folder / "leases" / alias
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{a} {b} {c}\n" for a, b, c in leases))


def test_what_does_not_repeat(tmp_path, write):
    """All that was handed out is counted, and nothing is found."""
    write("a", (10, 5), (20, 1))
    write("b", (15, 5), (21, 4))
    findings = checker.check(tmp_path)
    assert findings.good
    assert findings.counts == {"UIDs": 15, "runs": 4, "logs": 2}


@pytest.mark.parametrize(
    ("one", "other", "repeated"),
    [
        ([(10, 5)], [(10, 5)], 5),
        ([(10, 5)], [(14, 5)], 1),
        ([(14, 5)], [(10, 5)], 1),
        ([(10, 50)], [(20, 5), (30, 5)], 10),
        ([(20, 5), (30, 5)], [(10, 50)], 10),
        ([(10, 50), (100, 1)], [(20, 5), (100, 1)], 6),
        # Over the border between two shares.
        ([((1 << checker.SHARE_BITS) - 5, 10)], [(1 << checker.SHARE_BITS, 9)], 5),
    ],
)
def test_what_repeats(tmp_path, write, one, other, repeated):
    """Each UID that was handed out again is counted, whoever had it first."""
    write("a", *one)
    write("b", *other)
    findings = checker.check(tmp_path)
    assert not findings.good
    assert findings.counts["duplicates"] == repeated


def test_repeated_within_a_log(tmp_path, write):
    """A process that repeats its own is found."""
    write("a", (10, 5), (14, 5))
    findings = checker.check(tmp_path)
    assert findings.counts["duplicates"] == 1
    assert str(tmp_path / "logs/default/a") in findings.examples[-1]


def test_generators_are_apart(tmp_path, write):
    """Two generators may mint the same."""
    write("a", (10, 5))
    write("a", (10, 5), alias="other")
    assert checker.check(tmp_path).good


def test_more_than_is_kept_in_memory(tmp_path, write, monkeypatch):
    """Shares that are written in many parts are looked at as one."""
    monkeypatch.setattr(checker, "BUFFERED", 12)
    monkeypatch.setattr(checker, "SHARE_BITS", 10)
    starts = range(0, 40_000, 7)
    for name in "abc":
        own = [(first, 2) for first in starts[ord(name) % 3 :: 3]]
        write(name, *own)
    again = random.Random(1).choice(starts)
    write("d", (again, 1))
    assert checker.check(tmp_path).counts["duplicates"] == 1


@pytest.mark.parametrize(
    ("entries", "complete", "wrong"),
    [
        ([(10, 5), (30, 5), (20, 5)], True, 1),
        ([(10, 5), (30, 5), STEPPED_BACK, (20, 5)], True, 0),
        ([(10, 5), (30, 5), (20, 5), STEPPED_BACK], True, 0),
        ([(50, 5), STEPPED_BACK, (30, 5), (20, 5)], True, 1),
        ([(10, 5), (30, 5), (20, 5)], False, 0),
        ([(50, 5), (30, 5), (20, 5)], False, 1),
    ],
)
def test_order(tmp_path, write, entries, complete, wrong):
    """It breaks only with a clock, or where the mark may be missing after a kill."""
    write("a", *entries, complete=complete)
    findings = checker.check(tmp_path)
    assert findings.counts["out of order"] == wrong
    assert findings.good == (not wrong)


def test_log_that_was_cut_off(tmp_path, write):
    """What was written in whole is read."""
    path = write("a", (10, 5), (20, 5), complete=False)
    path.write_bytes(path.read_bytes()[: -run_log.PAIR_BYTES // 2])
    assert checker.check(tmp_path).counts["UIDs"] == 5


def test_nothing_at_all(tmp_path, write):
    """A soak in which nothing was minted has shown nothing."""
    write("a")
    assert not checker.check(tmp_path).good


@pytest.mark.parametrize(
    ("run", "count"),
    [
        ((5 * TICK + 3 * WORKER, 4096), 0),
        ((9 * TICK + 3 * WORKER, 1), 0),
        ((4 * TICK + 3 * WORKER, 10), 10),
        ((10 * TICK + 3 * WORKER, 10), 10),
        ((5 * TICK + 4 * WORKER, 10), 10),
    ],
)
def test_leases(tmp_path, write, run, count):
    """UIDs that no lease covers are found."""
    write("a", run)
    write_leases(tmp_path, (3, 1, 2), (3, 5, 10), (3, 20, 30))
    assert checker.check(tmp_path).counts["not leased"] == count


def test_leases_that_overlap(tmp_path, write):
    """Two leases of one worker id in one tick are found; one of no ticks is none."""
    write("a", (5 * TICK, 1))
    write_leases(tmp_path, (0, 5, 10), (0, 10, 20), (0, 7, 7), (1, 6, 9))
    assert checker.check(tmp_path).good
    write_leases(tmp_path, (0, 5, 10), (0, 9, 20))
    assert checker.check(tmp_path).counts["leases that overlap"] == 1


def test_as_a_program(tmp_path, write, capsys):
    """The figures are printed as JSON, what is wrong beside it, and the status says."""
    write("a", (10, 5))
    assert checker.main([str(tmp_path)]) == 0
    assert '"duplicates": 0' in capsys.readouterr().out
    write("b", (10, 5))
    assert checker.main([str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert '"duplicates": 5' in printed.out
    assert str(Path("default", "b")) in printed.err


@pytest.mark.parametrize(
    ("uids", "runs"),
    [
        ([], []),
        ([5], [range(5, 6)]),
        ([0, 1, 2, 7, 8, 3], [range(3), range(7, 9), range(3, 4)]),
    ],
)
def test_joined(uids, runs):
    """UIDs are written as runs, in their order."""
    assert run_log.joined(uids) == runs
