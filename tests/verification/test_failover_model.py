"""The model of failovers finds no duplicate, and one without each safeguard."""

from __future__ import annotations

from dataclasses import replace

import pytest

from verification.model import failover_check
from verification.model.explore import Found, search, walk
from verification.model.failover import Model
from verification.model.failover_check import FOR_WALKS, QUICK, without
from verification.model.failover_rules import MUTATIONS, ODD, Bounds

pytestmark = pytest.mark.stress

SMALL = Bounds(2, 3, watched=4, lease=2, lead=0)


@pytest.mark.parametrize("model", QUICK.models)
def test_no_failover_makes_a_uid_repeat(model):
    """In no state that can be reached, with up to three failovers."""
    found = search(model)
    assert found.trace is None
    assert found.states > 100


@pytest.mark.large
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_without_a_safeguard_a_uid_repeats(mutation):
    """The way there is told step by step, and its last step mints a tick again."""
    model = without(mutation)
    trace = search(model).trace
    assert trace is not None
    mint = f"mints tick {model.bounds.watched}"
    assert [line.endswith(mint) for line in trace].count(True) == 2
    assert trace[-1].endswith(mint)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_each_safeguard_is_what_prevents_it(mutation):
    """The same bounds have no duplicate with the safeguard."""
    model = without(mutation)
    if mutation in ("parity_of_table", "parity_of_timeline", "known_by_number"):
        # The number is the safeguard.
        model = replace(model, number="counter")
    assert search(replace(model, mutation="")).trace is None


@pytest.mark.parametrize("number", ["table", "timeline"])
@pytest.mark.parametrize(("failovers", "is_safe"), [(1, True), (2, False)])
def test_what_parity_may_rest_on(number, failovers, is_safe):
    """A number that a failover may lose is safe for one failover, not for two."""
    bounds = SMALL._replace(failovers=failovers)
    trace = search(Model(bounds, ODD, number=number)).trace
    assert (trace is None) is is_safe


@pytest.mark.parametrize(("failovers", "is_safe"), [(2, True), (3, False)])
def test_notes_do_not_tell_how_many_failovers_there_were(failovers, is_safe):
    """With three in a quarantine, the notes of two may both be lost."""
    bounds = SMALL._replace(failovers=failovers)
    model = Model(bounds, ODD, mutation="third_by_notes")
    assert (search(model).trace is None) is is_safe


@pytest.mark.parametrize("mutation", ["no_quarantine", "one_reserve", "third_by_notes"])
def test_walks_at_random_find_duplicates(mutation):
    """So that those with all safeguards, which find none, prove something."""
    case = MUTATIONS[mutation]
    model = Model(FOR_WALKS, case.kind, case.number, case.reserve, mutation)
    found = walk(model, walks=2_000, seed=failover_check.SEED)
    assert found.trace is not None
    assert found.trace[-1].split()[2:4] == ["mints", "tick"]


@pytest.mark.parametrize("model", failover_check.walked_models())
def test_walks_at_random_of_the_protocol(model):
    """Three processes, four failovers, and the figures of the library."""
    found = walk(model, walks=300, seed=failover_check.SEED)
    assert found.trace is None
    assert found.depth > 30


def test_the_same_seed_walks_the_same_way():
    """So that a walk to a duplicate can be walked again."""
    model = failover_check.walked_models()[0]
    first, second = walk(model, 20, seed=1), walk(model, 20, seed=1)
    assert (first.steps, first.depth) == (second.steps, second.depth)
    assert walk(model, 20, seed=2).steps != first.steps


@pytest.mark.large
def test_what_is_printed(capsys):
    """Figures of each search and walk, and the way to a duplicate."""
    size = failover_check.Size([Model(SMALL, ODD)], walks=5)
    holds, refuted = failover_check.run(size)
    printed = capsys.readouterr().out
    assert holds
    assert refuted == [True] * len(MUTATIONS)
    assert "reserved (odd) worker ids, 2 processes, failovers: 3" in printed
    assert "5 walks at random (seed 11)" in printed
    assert printed.count("no duplicate") == 1 + len(failover_check.walked_models())
    assert "one_reserve: both parities claim from one reserve\n  refuted in" in printed


def test_duplicates_and_safeguards_that_do_no_harm_are_reported(capsys):
    """As what they are: a protocol that fails, a mutation that is not refuted."""
    model = without("no_quarantine")
    assert not failover_check._print_search(model, search(model))
    assert "DUPLICATE" in capsys.readouterr().out
    nothing = Found(states=1, steps=0, depth=0, seconds=0.0, trace=None)
    assert not failover_check._print_mutation("no_skew", nothing)
    assert "NOT REFUTED" in capsys.readouterr().out
