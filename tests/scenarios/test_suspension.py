"""Processes that are suspended for longer than their lease, and woken.

Why nothing can repeat, wherever in a mint a process is suspended. ``Generation.mint``
reads the clock, looks at its copy of the lease, and has ``Sequence.allocate`` mint. All
three may be old when it is woken. But what ``allocate`` hands out is bounded by
``reserved_from`` and ``reserved_until`` of that copy in ticks, which are part of the
UIDs, and by no look at the time. The row in the table reaches at least as far as the
copy: the copy moves only after the database has confirmed. A successor seals the row
and begins at the end that it sealed; a sealed row never grows. So however late the
process is woken, its ticks are not those of the successor. An old clock only has it
mint old ticks of its own lease, and a renewal or a claim that was under way finds the
seal, or is in the table.
"""

from __future__ import annotations

import time

import pytest

from django_uidgen.models import WorkerNode
from tests.support.hosts import (
    KINDS,
    Hosts,
    Refused,
    as_batch,
    assert_distinct,
    assert_leased,
    assert_true,
    await_true,
    breaks,
    generators,
    mint_when_free,
)

pytestmark = [pytest.mark.stress, pytest.mark.django_db(transaction=True)]

#: As short as leases can be with this MAX_LEAD, so that they lapse soon.
SHORT = {"LEASE": 1.0, "MAX_LEAD": 0.25}

#: Seconds that a test waits for what must come.
PATIENCE = 60

#: Where a mint is when its process is suspended.
POINTS = [
    "clock read",
    "lease checked",
    "UIDs born",
    "claim to be sent",
    "claim answered",
    "renewal to be sent",
    "renewal answered",
    "late renewal to be sent",
    "late renewal answered",
]


@pytest.fixture
def hosts(settings, tmp_path):
    """Start processes that can be suspended."""
    with Hosts(settings.SETTINGS_MODULE, tmp_path) as hosts:
        yield hosts


@pytest.mark.parametrize("kind", KINDS)
def test_suspended_in_the_middle_of_a_mint(hosts, subtests, kind):
    """What it mints on waking is its own; at the next mint it knows of its successor.

    The successor has taken the only worker id in the meantime.
    """
    aliases = {kind + suffix: point for suffix, point in enumerate_points()}
    short = generators(suffixes(), worker_ids=(0, 0), **SHORT)
    suspended = {alias: hosts.start(short) for alias in aliases}
    # Its leases are long, so that it does not lose them while the test looks.
    successor = hosts.start(generators(suffixes(), worker_ids=(0, 0), MAX_LEAD=0.25))
    for alias, host in suspended.items():
        host.send("mint_until_stopped", alias, aliases[alias])
    for host in suspended.values():
        host.await_stop()
    later = {alias: mint_when_free(successor, alias) for alias in aliases}
    woken = {}
    for alias, host in suspended.items():
        with subtests.test(point=aliases[alias]):
            host.wake()
            answer, refusal = host.receive()
            woken[alias] = as_batch(answer)
            assert refusal in (None, "WorkerIdsExhausted")
            with pytest.raises(Refused) as caught:
                host.mint(alias)
            assert caught.value.name == "WorkerIdsExhausted"
    successor.exit()
    for alias, host in suspended.items():
        with subtests.test(point=aliases[alias]):
            own = [woken[alias], host.mint(alias)]
            assert_true(own[-1])
            assert_distinct([*own, later[alias]])
            assert_leased(host, alias, own)
            assert_leased(successor, alias, [later[alias]])


def suffixes():
    """Return a suffix of aliases for each point."""
    return [suffix for suffix, _ in enumerate_points()]


def enumerate_points():
    """Return each point with a suffix of aliases."""
    return [(f"-{number}", point) for number, point in enumerate(POINTS)]


def is_held_by(host):
    """Tell whether ``host`` has leased the only worker id of each kind."""
    for kind in KINDS:
        last = WorkerNode.objects.filter(generator=kind).order_by("-term").first()
        if last is None or last.process_id != host.pid:
            return False
    return True


def take_over_from(stopped, other):
    """Suspend ``stopped`` until ``other`` has taken its worker ids."""
    given_up = time.monotonic() + PATIENCE
    while not is_held_by(other):
        assert time.monotonic() < given_up, "The worker ids do not change hands."
        stopped.stop()
        deadline = time.monotonic() + 4 * SHORT["LEASE"]
        while time.monotonic() < deadline and not is_held_by(other):
            time.sleep(0.02)
        if not is_held_by(other):
            # It was suspended in a transaction, and the other waits for that.
            stopped.wake()
            time.sleep(0.1)


def test_threads_of_two_processes_suspended_in_turn(hosts):
    """Whatever their threads were doing: the worker id changes hands, none repeats."""
    uidgen = generators(worker_ids=(0, 0), **SHORT)
    one, other = hosts.start(uidgen), hosts.start(uidgen)
    one.start_threads(KINDS)
    other.start_threads(KINDS)
    await_true(lambda: is_held_by(one) or is_held_by(other))
    for _ in range(3):
        for stopped, awake in ((one, other), (other, one)):
            take_over_from(stopped, awake)
            stopped.wake()
            stopped.await_rounds()
    threads = {host: host.stop_threads() for host in (one, other)}
    for kind in KINDS:
        minted = {
            host: [batch for one in mine if one.alias == kind for batch in one.batches]
            for host, mine in threads.items()
        }
        assert_distinct(batch for batches in minted.values() for batch in batches)
        for host, batches in minted.items():
            assert_leased(host, kind, batches)
    for mine in threads.values():
        refusals = {name for thread in mine for name in thread.refusals}
        assert refusals <= {"WorkerIdsExhausted"}


@pytest.mark.parametrize("kind", KINDS)
def test_threads_that_wait_for_one_that_is_suspended(hosts, kind):
    """MAX_WAIT is over when they wake, but they are not refused, and keep the order."""
    max_wait = 3.0
    host = hosts.start(generators(worker_ids=(0, 0), MAX_WAIT=max_wait))
    claimed = mint_when_free(host, kind)
    host.start_threads([kind], 8)
    host.send("mint_until_stopped", kind, "UIDs born")
    host.await_stop()
    time.sleep(1.5 * max_wait)
    host.wake()
    batches = [claimed, as_batch(host.receive()[0])]
    host.await_rounds()
    threads = host.stop_threads()
    assert not any(breaks(thread.batches) or thread.refusals for thread in threads)
    batches += [batch for thread in threads for batch in thread.batches]
    assert_distinct(batches)
    assert_leased(host, kind, batches)
    assert WorkerNode.objects.filter(generator=kind).count() == 1
