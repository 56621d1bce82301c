"""What is made of what processes wrote while their database failed over."""

from __future__ import annotations

from array import array

import pytest

from verification.failover.outcome import gather, longest_gap
from verification.soak.run_log import RunLog


@pytest.mark.parametrize(
    ("spans", "longest"),
    [
        ([], 0),
        ([(5, 9)], 0),
        ([(0, 10), (14, 20), (30, 40)], 10),
        # Another process was served in the gap of one.
        ([(0, 10), (30, 40), (12, 28)], 2),
        # One span lies within another.
        ([(0, 50), (10, 20), (55, 60)], 5),
    ],
)
def test_longest_gap(spans, longest):
    """The longest time in which no process was served."""
    assert longest_gap(spans) == longest


@pytest.fixture
def write(tmp_path):
    """Write what two processes would, and return what is made of it."""

    def write(*runs, events=""):
        for number, mine in enumerate(runs):
            folder = tmp_path / "logs" / "default"
            folder.mkdir(parents=True, exist_ok=True)
            log = RunLog(folder / str(number))
            log.append(mine)
            log.close()
        seconds = [0, 2_000_000_000, 3_500_000_000, 4_000_000_000]
        (tmp_path / "spans").write_bytes(array("Q", seconds).tobytes())
        (tmp_path / "events").write_text(events)
        return gather(tmp_path, promotions=1, lost_rows=3)

    return write


def test_what_is_as_it_should_be(write):
    """Claims, refusals and waits are counted."""
    told = ["7 claimed", "8 claimed", "8 refused WorkerIdUnavailable", "8 waited 9000"]
    outcome = write([range(1, 6)], [range(6, 9)], events="\n".join(told))
    assert (outcome.claims, outcome.uids, outcome.duplicates) == (2, 8, 0)
    assert outcome.refusals == {"WorkerIdUnavailable": 1}
    assert outcome.longest_wait == 9e-6
    assert outcome.standstill == 1.5
    assert outcome.good
    assert outcome.lines()["refusals"] == "1 WorkerIdUnavailable"


def test_duplicates(write):
    """They are counted, and are not good."""
    outcome = write([range(1, 6)], [range(4, 9)])
    assert outcome.duplicates == 2
    assert not outcome.good


def test_unexpected_end(write):
    """It is not good either."""
    outcome = write([range(1, 6)], [range(6, 9)], events="7 failed process 9, status 1")
    assert outcome.failures == ["process 9, status 1"]
    assert not outcome.good
