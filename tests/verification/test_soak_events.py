"""What the conductor of the soak makes of what the processes tell."""

from __future__ import annotations

import signal

import pytest

from verification.soak.conductor import Events


@pytest.fixture
def told(tmp_path):
    """A function that reads lines as processes write them."""
    events = Events(tmp_path / "events")

    def told_(*lines):
        with (tmp_path / "events").open("a") as file:
            file.writelines(line + "\n" for line in lines)
        events.read()
        return events

    yield told_
    events._file.close()


def test_orphan_of_a_fork_in_c(told):
    """Its parent was killed before it could tell; that it crashes is CPython's part."""
    events = told("host1 77 start raw-fork")
    assert events.raw == {77}
    events.note_end(-signal.SIGSEGV, 77)
    assert events.counts["child-crashed"] == 1
    assert events.failures == []


def test_other_child_that_crashes(told):
    """It is a finding."""
    events = told("host1 77 start fork")
    events.note_end(-signal.SIGSEGV, 77)
    assert events.failures == ["child 77 ended with status -11"]


def test_refusals_are_counted_by_error(told):
    """And those for want of worker ids by host."""
    events = told(
        "host1 7 refused WorkerIdsExhausted", "host2 8 refused MaxWaitExceeded"
    )
    assert events.counts["refused WorkerIdsExhausted"] == 1
    assert events.counts["refused MaxWaitExceeded"] == 1
    assert events.starved["host1"] == 1
    assert not events.starved["host2"]


def test_process_that_failed(told):
    """What it said is kept."""
    assert told("host1 7 failed 'why'").failures == ["host1 7 failed 'why'"]
