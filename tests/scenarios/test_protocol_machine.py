"""The lease protocol on the real database, with the model's events in any order.

The model is ``verification/model/``.

Simulated processes use the very statements of the library. Each is sent by one rule and
carried out by another, or given up: then it is carried out at any later time, or never.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import chain, pairwise
from random import Random
from typing import NamedTuple

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from django_uidgen import assigners, conf, databases
from django_uidgen.assigners import leased
from django_uidgen.core.exceptions import LeaseLost
from django_uidgen.core.sequence import Sequence
from django_uidgen.models import WorkerNode, WorkerNodeQuerySet

pytestmark = [pytest.mark.stress, pytest.mark.django_db(transaction=True)]

LEASE = 4  # ticks, of a second each
UIDGEN = {
    "default": {
        "LAYOUT": {
            "time_bits": 30,
            "worker_bits": 1,
            "sequence_bits": 1,
            "tick_ms": 1000,
        },
        "WORKER_IDS": (0, 1),
        "OPTIONS": {"LEASE": LEASE, "MAX_CLOCK_SKEW": None},
    }
}

#: Any clock at any time; no two readings have to do with each other.
TICKS = st.sampled_from(range(0, 2 * LEASE + 1, 2))
WHICH = st.integers(0, 11)
#: What becomes of a statement that nobody waits for.
FATES = st.sampled_from(["late", "late", "at once", "lost"])


class Asked(NamedTuple):
    """A statement that a process sent and waits for."""

    #: Carry it out; return the lease, or None.
    carry_out: Callable
    is_claim: bool
    #: The lease that it had then.
    had: object


class Process:
    """The memory of a simulated process."""

    def __init__(self, config):
        self.assigner = assigners.LeasedWorkerIdAssigner(config)
        self.sequence = Sequence(config.layout)
        self.lease = None
        self.asked = None


def has_lease(process):
    return process.lease is not None


def waits(process):
    return process.asked is not None


def claims(process):
    asked = process.asked
    return asked is not None and asked.is_claim and process.lease is asked.had


def is_idle(process):
    return process.asked is None


def may_renew(process):
    return is_idle(process) and has_lease(process)


def candidates(assigner, now):
    """Return the claims that may be tried, each once, in an order that is known."""
    found = {}
    for claim in assigner._candidates(now):
        target = claim.args[0]
        is_row = isinstance(target, WorkerNode)
        found[target.worker_id if is_row else target, is_row] = claim
    return [found[key] for key in sorted(found)]


def claim(assigner, candidate):
    """Carry a claim out, as ``TableAssigner._claim`` does."""
    node = candidate()
    return None if node is None else assigner._lease(node)


def can(state):
    """Run a rule where there is a process in that state, with one that is."""
    return precondition(lambda machine: machine.those(state))


class Protocol(RuleBasedStateMachine):
    """What processes and the server may do, and what must hold after each step."""

    checks_table = True
    process_count = 3
    mishaps = ("gives_up", "closes", "crashes")

    def __init__(self):
        super().__init__()
        WorkerNode.objects.all().delete()
        self.config = conf.get_config("default")
        self.processes = [Process(self.config) for _ in range(self.process_count)]
        #: Statements that nobody waits for any more.
        self.late = []
        self.minted = set()
        #: For each worker id and tick the lease that it was minted under.
        self.minted_under = {}

    def those(self, state):
        return [process for process in self.processes if state(process)]

    def one(self, which, state):
        found = self.those(state)
        return found[which % len(found)]

    # What a process asks for.

    @can(is_idle)
    @rule(which=WHICH, now=TICKS, candidate=WHICH)
    def asks_to_claim(self, which, now, candidate):
        process = self.one(which, is_idle)
        found = candidates(process.assigner, now)
        if found:
            chosen = found[candidate % len(found)]
            carry_out = partial(claim, process.assigner, chosen)
            process.asked = Asked(carry_out, is_claim=True, had=process.lease)

    @can(may_renew)
    @rule(which=WHICH, now=TICKS)
    def asks_to_renew(self, which, now):
        process = self.one(which, may_renew)
        tick = max(now, process.sequence.tick)
        renew = partial(process.assigner._renew, process.lease, tick)
        process.asked = Asked(renew, is_claim=False, had=process.lease)

    # What becomes of that.

    @can(waits)
    @rule(which=WHICH, late_claim_is_used=st.booleans(), fate=FATES)
    def is_answered(self, which, late_claim_is_used, fate):
        process = self.one(which, waits)
        asked, process.asked = process.asked, None
        try:
            new = asked.carry_out()
        except LeaseLost:
            if process.lease is asked.had:
                self.lose(process)
            return
        if new is None:
            return
        was_closed = asked.had is not None and process.lease is None
        if process.lease is asked.had or (
            was_closed and asked.is_claim and late_claim_is_used
        ):
            process.lease = new
        else:
            self.release_lease(process, new, process.sequence.next_tick, fate)

    @can(claims)
    @rule(which=WHICH, fate=FATES)
    def is_answered_after_a_clock_was_stepped_back(self, which, fate):
        process = self.one(which, claims)
        asked, process.asked = process.asked, None
        new = asked.carry_out()
        if new is None:
            return
        next_tick = process.sequence.next_tick
        process.sequence.restart(new)
        process.lease = new
        if asked.had is not None:
            self.release_lease(process, asked.had, next_tick, fate)

    def lose(self, process):
        process.lease = None

    @rule(data=st.data(), which=WHICH, fate=FATES)
    def something_goes_wrong(self, data, which, fate):
        # One rule for all, or they would be most of what happens.
        mishap = data.draw(st.sampled_from(self.mishaps))
        process = self.processes[which % len(self.processes)]
        getattr(self, mishap)(process, fate)

    def gives_up(self, process, fate):
        asked, process.asked = process.asked, None
        if asked is not None:
            self.leave(asked.carry_out, fate)

    @precondition(lambda machine: machine.late)
    @rule(which=WHICH)
    def late_statement_is_carried_out(self, which):
        self.carry_out(self.late.pop(which % len(self.late)))

    @staticmethod
    def carry_out(statement):
        with suppress(LeaseLost):
            statement()

    def leave(self, statement, fate):
        """Nobody waits for a statement. At once: only its answer is lost."""
        if fate == "late":
            self.late.append(statement)
        elif fate == "at once":
            self.carry_out(statement)

    # Minting, and the end of it.

    @can(has_lease)
    @rule(which=WHICH, now=TICKS, count=st.sampled_from([1, LEASE, 4 * LEASE]))
    def mints(self, which, now, count):
        process = self.one(which, has_lease)
        lease = process.lease
        if max(now, process.sequence.tick) >= lease.reserved_until:
            return
        runs = process.sequence.allocate(count, lease, now=now, max_lead=None)
        for uid in chain.from_iterable(runs):
            parts = self.config.layout.decompose(uid)
            place = parts.worker_id, parts.tick
            under = self.minted_under.setdefault(place, lease.key)
            assert under == lease.key, f"{place} is minted twice"
            assert uid not in self.minted, f"{uid} is minted twice"
            self.minted.add(uid)

    def closes(self, process, fate):
        lease = process.lease
        if lease is not None:
            self.forget_lease(process)
            self.release_lease(process, lease, process.sequence.next_tick, fate)

    def forget_lease(self, process):
        process.lease = None

    def release_lease(self, process, lease, next_tick, fate):
        self.leave(partial(process.assigner.release, lease, next_tick), fate)

    def crashes(self, process, fate):
        self.gives_up(process, fate)
        self.processes[self.processes.index(process)] = Process(self.config)

    # What holds.

    @invariant()
    def leases_of_a_worker_id_follow_each_other(self):
        if not self.checks_table:
            return
        rows = list(WorkerNode.objects.order_by("worker_id", "term"))
        for worker_id in (0, 1):
            leases = [row for row in rows if row.worker_id == worker_id]
            count = len(leases)
            assert [lease.term for lease in leases] == list(range(1, count + 1))
            assert sum(not lease.sealed for lease in leases) == min(count, 1)
            assert not any(lease.sealed for lease in leases[-1:])
            for one, other in pairwise(leases):
                assert one.reserved_until <= other.reserved_from
        ends = {row.pk: row.reserved_until for row in rows}
        for process in self.those(has_lease):
            assert ends[process.lease.key] >= process.lease.reserved_until


@pytest.fixture(autouse=True)
def _same_each_time(settings, monkeypatch):
    """Have nothing depend on chance, and each statement run where it is called."""
    settings.UIDGEN = UIDGEN
    monkeypatch.setattr(leased, "system_random", Random(1))
    monkeypatch.setattr(databases, "run", lambda database, work, timeout: work())


def run(machine, *, examples, steps):
    """Try ``machine``: the same sequences of steps each time."""
    run_state_machine_as_test(
        machine,
        settings=hypothesis_settings(
            database=None,
            deadline=None,
            derandomize=True,
            max_examples=examples,
            phases=[Phase.generate],
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_nothing_is_minted_twice():
    """Whatever happens in which order, and the table is as it should be."""
    run(Protocol, examples=30, steps=50)


# The same without a safeguard, to see that these steps would find a duplicate.


def renew_sealed(nodes, pk, until):
    rows = nodes.filter(pk=pk, reserved_until__lt=until)
    return bool(rows.update(reserved_until=until))


def renew_shortens(nodes, pk, until):
    return bool(nodes.filter(pk=pk, sealed=False).update(reserved_until=until))


def take_over_without_seal(nodes, seen, **values):
    with suppress(IntegrityError), transaction.atomic(using=nodes.db):
        node = take_over(nodes, seen, **values)
        nodes.filter(pk=seen.pk).update(sealed=False)
        return node


def take_over_without_comparison(nodes, seen, **values):
    nodes.filter(pk=seen.pk, sealed=False).update(reserved_until=seen.reserved_until)
    return take_over(nodes, seen, **values)


def release_all(nodes, pk, until):
    start = nodes.get(pk=pk).reserved_from
    return release(nodes, pk, start)


def one_worker_id():
    """Return settings with which processes get in each other's way more often."""
    return {"default": UIDGEN["default"] | {"WORKER_IDS": (0, 0)}}


take_over, release = WorkerNodeQuerySet.take_over, WorkerNodeQuerySet.release


class LogAlone(Protocol):
    """Look at what was minted, not at the table."""

    checks_table = False
    process_count = 2
    mishaps = ("gives_up",)


class LogOfClosing(LogAlone):
    """The same with processes that end."""

    mishaps = ("closes",)


class LossIgnored(LogAlone):
    """Mint on, as if renewed, with a lease that was lost."""

    def lose(self, process):
        end = process.lease.reserved_until + LEASE
        process.lease = process.lease._replace(reserved_until=end)


class UsedAfterRelease(LogAlone):
    """Mint on with a lease that was released."""

    mishaps = ("closes",)

    def forget_lease(self, process):
        pass


class EndAskedFor(LogAlone):
    """Mint up to the end that was asked for."""

    @can(may_renew)
    @rule(which=WHICH, now=TICKS)
    def asks_to_renew(self, which, now):
        super().asks_to_renew(which, now)
        for process in self.those(has_lease):
            end = max(process.lease.reserved_until, now + LEASE)
            process.lease = process.lease._replace(reserved_until=end)


@pytest.mark.django_db  # many steps, none of them committed
@pytest.mark.parametrize(
    ("machine", "verb", "mutation"),
    [
        (LogOfClosing, "release", release_all),
    ],
)
def test_a_statement_without_its_condition_is_found(
    settings, monkeypatch, machine, verb, mutation
):
    """Each condition of each statement is needed."""
    settings.UIDGEN = one_worker_id()
    monkeypatch.setattr(WorkerNodeQuerySet, verb, mutation)
    with pytest.raises(AssertionError, match="minted twice"):
        run(machine, examples=1000, steps=50)


@pytest.mark.django_db  # many steps, none of them committed
@pytest.mark.parametrize("machine", [UsedAfterRelease, EndAskedFor])
def test_a_process_that_keeps_no_rule_is_found(settings, machine):
    """A process must mint inside of what the database has confirmed, and stop then."""
    settings.UIDGEN = one_worker_id()
    with pytest.raises(AssertionError, match="minted twice"):
        run(machine, examples=1000, steps=50)


# What chance finds too seldom: the ways that the model found, on the real table.


def first_leases(machine):
    """Have process A lease the worker id for the ticks 0 to 3."""
    machine.asks_to_claim(0, now=0, candidate=0)
    machine.is_answered(0, late_claim_is_used=False, fate="lost")


def answer_and_mint(machine, which):
    """Have what a process waits for carried out, and mint all of its lease."""
    machine.is_answered(0, late_claim_is_used=False, fate="lost")
    holders = machine.those(has_lease)
    machine.mints(holders.index(machine.processes[which]), now=0, count=4 * LEASE)


def slow_claim(machine):
    """B reads that A's lease ends; A renews and mints; B's claim is carried out."""
    first_leases(machine)
    machine.asks_to_claim(1, now=LEASE, candidate=0)
    machine.asks_to_renew(0, now=LEASE)
    b = machine.processes[1]
    claim, b.asked = b.asked, None
    answer_and_mint(machine, 0)
    b.asked = claim
    machine.is_answered(0, late_claim_is_used=False, fate="lost")
    if b.lease is not None:
        machine.mints(1, now=LEASE, count=4 * LEASE)


def late_renewal(machine):
    """A renews, and an older renewal of A's is carried out late; B claims."""
    first_leases(machine)
    machine.asks_to_renew(0, now=1)
    machine.gives_up(machine.processes[0], "late")
    machine.asks_to_renew(0, now=LEASE)
    answer_and_mint(machine, 0)
    machine.late_statement_is_carried_out(0)
    machine.asks_to_claim(1, now=LEASE + 1, candidate=0)
    if machine.processes[1].asked is not None:
        answer_and_mint(machine, 1)


def renewal_after_takeover(machine):
    """B takes over what A had, and mints; A finds that when it renews."""
    first_leases(machine)
    machine.asks_to_claim(1, now=LEASE, candidate=0)
    answer_and_mint(machine, 1)
    machine.asks_to_renew(0, now=LEASE)
    machine.is_answered(0, late_claim_is_used=False, fate="lost")
    if machine.processes[0].lease is not None:
        machine.mints(0, now=LEASE, count=4 * LEASE)


@pytest.mark.parametrize("way", [slow_claim, late_renewal, renewal_after_takeover])
def test_what_leads_to_a_duplicate_leads_to_none(settings, way):
    """With all conditions in their places."""
    settings.UIDGEN = one_worker_id()
    way(LogAlone())


@pytest.mark.parametrize(
    ("way", "verb", "mutation"),
    [
        (slow_claim, "take_over", take_over_without_comparison),
        (late_renewal, "renew", renew_shortens),
        (renewal_after_takeover, "renew", renew_sealed),
        (renewal_after_takeover, "take_over", take_over_without_seal),
    ],
)
def test_ways_to_a_duplicate(settings, monkeypatch, way, verb, mutation):
    """The condition that is missing is what kept these steps from minting twice."""
    settings.UIDGEN = one_worker_id()
    monkeypatch.setattr(WorkerNodeQuerySet, verb, mutation)
    with pytest.raises(AssertionError, match="minted twice"):
        way(LogAlone())


def test_process_that_ignores_its_loss(settings):
    """It mints what its successor has minted."""
    settings.UIDGEN = one_worker_id()
    with pytest.raises(AssertionError, match="minted twice"):
        renewal_after_takeover(LossIgnored())
