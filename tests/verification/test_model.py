"""The checker of the lease protocol finds nothing, and would find what there is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from verification.model import failover_check
from verification.model.check import (
    FOR_MUTATIONS,
    QUICK,
    check,
    main,
    shortest_duplicate,
)
from verification.model.lease_model import MUTATIONS, Bounds

pytestmark = pytest.mark.stress


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(QUICK, id="two worker ids"),
        pytest.param(FOR_MUTATIONS, id="one worker id, longer time"),
        pytest.param(FOR_MUTATIONS._replace(late=2), id="two late statements"),
        pytest.param(FOR_MUTATIONS._replace(processes=3), id="three processes"),
        pytest.param(FOR_MUTATIONS._replace(lease=1), id="short leases"),
    ],
)
def test_no_order_of_events_mints_a_uid_twice(bounds):
    """In no state that can be reached, whichever tick is watched."""
    results = check(bounds)
    assert [result.watched for result in results] == list(range(bounds.ticks))
    assert [result.trace for result in results] == [None] * bounds.ticks
    assert all(result.states > 500 for result in results)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_without_a_safeguard_a_uid_is_minted_twice(mutation):
    """The way there is told step by step, and its last step mints a tick again."""
    result = shortest_duplicate(mutation)
    assert result is not None
    mint = f"mints tick {result.watched} of worker id 0"
    minted = [line.endswith(mint) for line in result.trace]
    assert sum(minted) == 2
    assert minted[-1]


def test_a_duplicate_may_take_as_many_processes_as_there_are():
    """One process alone never meets the successor that this mutation needs."""
    alone = Bounds(processes=1, worker_ids=1, ticks=3, lease=2, late=1)
    assert shortest_duplicate("no_comparison", alone) is None
    assert shortest_duplicate("no_comparison", alone._replace(processes=2)) is not None


def test_the_program_prints_what_it_found():
    """Figures of the search, and each mutation with the way to a duplicate."""
    small = ["--processes=2", "--worker-ids=1", "--ticks=2"]
    program = subprocess.run(
        [sys.executable, "-m", "verification.model.check", *small],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = program.stdout.splitlines()
    assert lines[0].startswith("2 processes, 1 worker ids, ticks 0 to 1")
    assert lines[-2] == "With all safeguards: no duplicate"
    assert lines[-1] == f"Mutations refuted: {len(MUTATIONS)} of {len(MUTATIONS)}"
    assert "     1 process A reads that worker id 0 is unused" in program.stdout


@pytest.mark.parametrize(("all_safeguards", "refuted"), [(True, False), (False, True)])
def test_the_program_fails(monkeypatch, all_safeguards, refuted):
    """For a protocol that fails, and for a safeguard whose absence does no harm."""
    monkeypatch.setattr(
        "verification.model.check._print_check", lambda bounds: all_safeguards
    )
    monkeypatch.setattr(
        "verification.model.check._print_mutation", lambda mutation: refuted
    )
    monkeypatch.setattr(
        "verification.model.failover_check.run", lambda size: (True, [True])
    )
    assert main([]) == 1


@pytest.mark.parametrize("result", [(True, [False]), (False, [True])])
def test_the_program_fails_for_the_model_of_failovers(monkeypatch, result):
    """As for the model of one incarnation."""
    for name in ("_print_check", "_print_mutation"):
        monkeypatch.setattr(f"verification.model.check.{name}", lambda what: True)
    sizes = []
    monkeypatch.setattr(
        "verification.model.failover_check.run",
        lambda size: sizes.append(size) or result,
    )
    assert [main([]), main(["--quick"]), main(["--full"])] == [1, 1, 1]
    assert sizes == [failover_check.USUAL, failover_check.QUICK, failover_check.FULL]
