"""Whole processes whose clocks are wrong, each on a host of its own (libfaketime)."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import pytest
from django.db import connection

from tests.support.complete import require
from tests.support.hosts import (
    KINDS,
    Host,
    Hosts,
    Refused,
    assert_distinct,
    assert_leased,
    assert_true,
    await_true,
    breaks,
    generators,
)
from tools.hosts import faketime_library

pytestmark = [pytest.mark.stress, pytest.mark.django_db(transaction=True)]

SECOND_NS = 1_000_000_000
HOUR, DAY = 3600.0, 86_400.0

#: Forward and back.
STEPS = [way * size for size in (0.001, 1.0, HOUR, DAY) for way in (1, -1)]

#: Up to so many seconds back the order holds.
MAX_LEAD = 1.0

LEASE = 600.0


@pytest.fixture
def hosts(settings, tmp_path):
    """Start processes with clocks of their own."""
    require(faketime_library(), "libfaketime (package faketime)")
    with Hosts(settings.SETTINGS_MODULE, tmp_path) as hosts:
        yield hosts


def suffixes(steps):
    """Return a suffix of aliases for each of ``steps``."""
    return [f"-{number}" for number, _ in enumerate(steps)]


def cases(steps):
    """Return each step with an alias of each kind, that serves this case alone."""
    return [
        (step, kind + suffix)
        for step, suffix in zip(steps, suffixes(steps), strict=True)
        for kind in KINDS
    ]


# While a process runs.


def test_step_while_a_process_runs(hosts, subtests):
    """The order breaks only at a step back beyond MAX_LEAD, and that is logged."""
    host = hosts.start(generators(suffixes(STEPS)), 0.0)
    for step, alias in cases(STEPS):
        host.warnings.clear()
        with subtests.test(step=step, alias=alias):
            before = host.mint(alias)
            host.clock.step(step)
            batches = [before, host.settle(alias), host.mint(alias)]
            assert_true(before)
            assert_true(batches[-1])
            assert_distinct(batches)
            assert_leased(host, alias, batches)
            assert breaks(batches) == len(host.warnings) == (step < -MAX_LEAD)
            assert all("was stepped back by" in text for text in host.warnings)
        # The next case has an alias that has not minted yet.
        host.clock.step(-step)


def test_steps_while_threads_mint(hosts):
    """Nothing repeats, no thread is refused, each sees the order break once a step."""
    host = hosts.start(generators(), 0.0)
    host.start_threads(KINDS)
    for step in STEPS:
        host.clock.step(step)
        host.await_rounds()
    threads = host.stop_threads()
    large = sum(step < -MAX_LEAD for step in STEPS)
    for kind in KINDS:
        mine = [thread for thread in threads if thread.alias == kind]
        batches = [batch for thread in mine for batch in thread.batches]
        assert_distinct(batches)
        assert_leased(host, kind, batches)
        assert max(breaks(thread.batches) for thread in mine) == large
        assert not any(thread.refusals for thread in mine)
        assert sum(f"Generator {kind!r}" in text for text in host.warnings) == large


@pytest.mark.parametrize("rate", [1.0005, 0.9995, 1.5, 0.5])
def test_slewed_clock(hosts, rate):
    """As NTP slews one, or smears a leap second; and much stronger."""
    host = hosts.start(generators(), 0.0, rate)
    host.do("clock")
    started = time.monotonic()
    first = host.do("clock")
    between = time.monotonic()
    for kind in KINDS:
        # The second has to wait for the clock: it is more than MAX_LEAD holds.
        batches = [host.mint(kind), host.mint(kind, runs=4_500_000), host.mint(kind)]
        for batch in batches:
            assert_true(batch)
        assert not breaks(batches)
    assert host.warnings == []
    # The clock did run at this rate.
    then = time.monotonic()
    passed = (host.do("clock") - first) / SECOND_NS
    ended = time.monotonic()
    assert (then - between) * rate - 1e-3 <= passed <= (ended - started) * rate + 1e-3


def test_leap_second(hosts):
    """A system that shows the last second of the year twice: MAX_LEAD covers it."""
    next_year = datetime.now(UTC).year + 1
    midnight = int(datetime(next_year, 1, 1, tzinfo=UTC).timestamp()) * SECOND_NS
    host = hosts.start(generators(), 0.0)
    host.start_threads(KINDS)
    host.clock.show(midnight - SECOND_NS // 5)
    host.await_rounds()
    await_true(lambda: host.do("clock") >= midnight)
    host.clock.step(-1.0)
    host.await_rounds()
    await_true(lambda: host.do("clock") >= midnight)
    host.await_rounds()
    threads = host.stop_threads()
    for kind in KINDS:
        mine = [thread for thread in threads if thread.alias == kind]
        assert_distinct(batch for thread in mine for batch in thread.batches)
        assert not any(breaks(thread.batches) for thread in mine)
        assert not any(thread.refusals for thread in mine)
    assert host.warnings == []


# Across a restart.


def mint_twice(hosts, uidgen, end):
    """Mint in a process, ``end`` it, and mint in another whose clock was stepped.

    Yield for each step and alias what the first process minted, the second process, and
    what it minted or was refused with.
    """
    first = hosts.start(uidgen, 0.0)
    minted = {alias: first.mint(alias) for alias in uidgen}
    end(first)
    # At once: each step has aliases of its own.
    starting = [hosts.start(uidgen, step) for step in STEPS]
    for number, (step, alias) in enumerate(cases(STEPS)):
        second = starting[number // len(KINDS)]
        second.do("clock")
        # To the moment: else the time of the start would be added to the step.
        second.clock.show(minted[alias].before + round(step * SECOND_NS))
        try:
            again = second.mint(alias)
        except Refused as refused:
            again = refused
        yield step, alias, minted[alias], second, again


def test_step_between_a_clean_exit_and_a_start(hosts, subtests):
    """The next process begins behind the last one, or has another worker id."""
    uidgen = generators(suffixes(STEPS), worker_ids=(0, 1))
    for step, alias, before, second, again in mint_twice(hosts, uidgen, Host.exit):
        with subtests.test(step=step, alias=alias):
            assert_distinct([before, again])
            assert_true(again)
            assert_leased(second, alias, [again])
            assert second.warnings == []


def test_step_between_a_kill_and_a_start(hosts, subtests):
    """The only worker id cannot be leased before the lease of the dead has ended."""
    uidgen = generators(suffixes(STEPS), worker_ids=(0, 0))
    for step, alias, before, second, again in mint_twice(hosts, uidgen, Host.kill):
        with subtests.test(step=step, alias=alias):
            if step < LEASE:
                assert again.name == "WorkerIdsExhausted"
                continue
            assert_distinct([before, again])
            assert_true(again)
            assert_leased(second, alias, [again])


# Between hosts.


def test_hosts_with_different_clocks_at_once(hosts):
    """One table, and as many worker ids as hosts: nothing repeats, all are in order."""
    offsets = [0.0, *STEPS]
    uidgen = generators(worker_ids=(0, len(offsets) - 1))
    started = [hosts.start(uidgen, offset) for offset in offsets]
    for kind in KINDS:
        minted = {host: [] for host in started}
        for _ in range(3):
            for host in started:
                host.send_mint(kind)
            for host in started:
                minted[host].append(host.receive_batch())
                assert_true(minted[host][-1])
        assert_distinct(batch for batches in minted.values() for batch in batches)
        for host, batches in minted.items():
            assert not breaks(batches)
            assert_leased(host, kind, batches)
            assert host.warnings == []


def test_hosts_with_different_clocks_one_after_the_other(hosts):
    """Each exits before the next mints; from slow to fast clocks and the other way."""
    offsets = sorted([0.0, *STEPS])
    uidgen = generators(["-up", "-down"], worker_ids=(0, len(offsets) - 1))
    moment = time.time_ns()
    minted = {alias: [] for alias in uidgen}
    started = [hosts.start(uidgen, offset) for offset in offsets]
    for host, up, down in zip(started, offsets, reversed(offsets), strict=True):
        for alias, batches in minted.items():
            offset = up if alias.endswith("-up") else down
            # All clocks show the same moment, but for their offsets.
            host.clock.show(moment + round(offset * SECOND_NS))
            batches.append(host.mint(alias))
            assert_leased(host, alias, batches[-1:])
        host.exit()
        assert host.warnings == []
    for batches in minted.values():
        assert_distinct(batches)


# The bound on the skew.


def has_a_server():
    return connection.vendor != "sqlite"


def test_host_that_is_off_by_more_than_max_clock_skew(hosts, subtests):
    """Refused in both directions, naming both times; SQLite has but one clock."""
    uidgen = generators(MAX_CLOCK_SKEW=60.0)
    offsets = [61.5, -61.5, HOUR, -HOUR]
    for offset, host in [(offset, hosts.start(uidgen, offset)) for offset in offsets]:
        for kind in KINDS:
            with subtests.test(offset=offset, kind=kind):
                if not has_a_server():
                    assert_true(host.mint(kind))
                    continue
                with pytest.raises(Refused, match="MAX_CLOCK_SKEW is 60") as caught:
                    host.mint(kind)
                assert caught.value.name == "ClockSkewTooLarge"
                text = str(caught.value)
                assert ("ahead of" if offset > 0 else "behind") in text
                shown = re.findall(r"shows? (\S+), .* 'default' (\S+): ", text)
                [(mine, servers)] = shown
                skew = datetime.fromisoformat(mine) - datetime.fromisoformat(servers)
                assert abs(skew.total_seconds() - offset) < 1.0
                # As soon as the clock is right.
                host.clock.set(0.0)
                assert_true(host.mint(kind))
                host.clock.set(offset)
        assert host.warnings == []


def test_host_that_is_off_by_less_than_max_clock_skew(hosts, subtests):
    """It serves; from a second on it warns."""
    uidgen = generators(MAX_CLOCK_SKEW=60.0)
    offsets = [0.0, 5.0, -5.0, 58.0, -58.0]
    for offset, host in [(offset, hosts.start(uidgen, offset)) for offset in offsets]:
        with subtests.test(offset=offset):
            for kind in KINDS:
                assert_true(host.mint(kind))
            warned = sum("the same time server" in one for one in host.warnings)
            assert warned == (len(KINDS) if offset and has_a_server() else 0)


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_host_that_runs_and_is_stepped_beyond_max_clock_skew(hosts, step):
    """It is refused where it would need the table at a wrong time, and returns."""
    host = hosts.start(generators(MAX_CLOCK_SKEW=60.0), 0.0)
    for kind in KINDS:
        batches = [host.mint(kind)]
        host.clock.step(step)
        if has_a_server():
            with pytest.raises(Refused) as caught:
                host.mint(kind)
            assert caught.value.name == "ClockSkewTooLarge"
        host.clock.step(-step)
        batches += [host.settle(kind), host.mint(kind)]
        assert_true(batches[-1])
        assert_distinct(batches)
