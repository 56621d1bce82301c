"""A database server that takes connections and statements, and does not answer."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connections, transaction

from django_uidgen import databases
from django_uidgen.core.exceptions import UidError
from django_uidgen.models import WorkerNode
from tests.scenarios.outages.conftest import (
    ALIAS,
    COMMIT,
    ON_SERVER,
    USES_DATABASE,
    wait_until,
)
from tools.proxy import LateRequest

pytestmark = [USES_DATABASE, ON_SERVER, pytest.mark.usefixtures("by_proxy")]

#: In the errors of callers that waited too long for the database or a thread.
TOO_LONG = r"MAX_WAIT = 0\.3 s"


def our_threads():
    """Return how many threads of ours wait for a database."""
    names = [thread.name for thread in threading.enumerate()]
    return names.count("django_uidgen-lease")


@contextmanager
def autocommit():
    """A caller whose connection is open, as in most requests."""
    connections[ALIAS].ensure_connection()
    yield


@contextmanager
def in_atomic():
    """A caller in a transaction."""
    with transaction.atomic(using=ALIAS):
        connections[ALIAS].cursor().execute("SELECT 1")
        yield


@contextmanager
def no_connection():
    """A caller that has not used the database yet."""
    connections[ALIAS].close()
    yield


@pytest.mark.parametrize("caller", [no_connection, autocommit, in_atomic])
@pytest.mark.parametrize("lease", ["none yet", "ended"])
def test_callers_are_told(start, proxy, caller, lease):
    """After MAX_WAIT. The database gets one connection of ours, not one of each."""
    process = start(MAX_WAIT=0.3)
    if lease == "ended":
        process.mint_soon()
        process.move(65)
    with caller():
        proxy.stall()
        errors, threads = [], []
        for _ in range(4):
            try:
                process.mint()
            except UidError as error:
                errors.append(str(error))
            threads.append(our_threads())
        proxy.resume()
        process.mint_soon()
    assert re.search(TOO_LONG, errors[0])
    assert len(errors) == 4
    assert max(threads) <= 1
    assert our_threads() == 0


def test_event_loop_is_not_blocked(start, proxy):
    """Only the task that mints waits."""
    process = start(MAX_WAIT=0.3)
    proxy.stall()

    async def others_run():
        mint = asyncio.create_task(process.generator.auid())
        turns = 0
        while not mint.done():
            await asyncio.sleep(0.01)
            turns += 1
        with pytest.raises(UidError, match=TOO_LONG):
            await mint
        return turns

    assert asyncio.run(others_run()) > 3
    proxy.resume()
    process.mint_soon()


def test_many_threads_are_told(start, proxy):
    """They wait side by side, not one after another, with one connection of ours."""
    process = start(MAX_WAIT=0.3)
    proxy.stall()
    results, most = [], []

    def mint():
        try:
            results.append(process.generator.uid())
        except UidError as error:
            results.append(str(error))
            most.append(our_threads())

    threads = [threading.Thread(target=mint) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 16
    assert all("MAX_WAIT = 0.3 s" in result for result in results), results
    assert max(most) <= 1
    proxy.resume()
    process.mint_soon()


@pytest.mark.parametrize("statement", [b"INSERT", COMMIT])
def test_late_claim_is_used(start, proxy, statement):
    """What the server carried out after the caller was told is the next one's lease."""
    process = start(MAX_WAIT=0.3)
    late = proxy.inject(LateRequest(statement))
    for _ in range(2):
        with pytest.raises(UidError, match=TOO_LONG):
            process.mint()
    assert late.happened.is_set()
    late.go_on.set()
    wait_until(lambda: our_threads() == 0, "the late claim")
    process.mint_soon()
    assert [node.pk for node in WorkerNode.objects.all()] == [process.lease.key]


def test_late_claim_of_a_future(start, proxy):
    """The clock was put right meanwhile: nobody waits for the time of that lease."""
    process = start(MAX_WAIT=0.3, MAX_CLOCK_SKEW=None)
    process.clock.moved = 3600
    late = proxy.inject(LateRequest(COMMIT))
    with pytest.raises(UidError, match=TOO_LONG):
        process.mint()
    late.go_on.set()
    wait_until(lambda: our_threads() == 0, "the late claim")
    process.clock.moved = 0
    process.mint_soon()
    released, used = WorkerNode.objects.order_by("pk")
    assert released.reserved_until == released.reserved_from
    assert used.pk == process.lease.key
    assert abs(process.clock.seconds_until(used.reserved_from)) < 60


def test_late_renewal_is_harmless(start, proxy, caplog):
    """Minting goes on meanwhile, and the next renewal finds what it needs."""
    process = start(MAX_WAIT=0.3)
    process.mint_soon()
    known = process.lease
    late = proxy.inject(LateRequest(b"UPDATE"))
    process.move(31)
    process.mint()
    wait_until(lambda: "no answer within MAX_WAIT" in caplog.text, "the warning")
    process.mint()
    late.go_on.set()
    wait_until(lambda: our_threads() == 0, "the late renewal")
    wait_until(lambda: process.renewal_has_ended, "the end of the first try")
    assert (
        process.row.reserved_until
        > process.lease.reserved_until
        == known.reserved_until
    )
    process.move(25)
    process.mint_until_renewed(known)
    assert process.row.reserved_until >= process.lease.reserved_until


def test_connection_that_died_without_a_word(start, proxy, monkeypatch):
    """What waits on it is taken for lost after a while, and another is tried."""
    monkeypatch.setattr("django_uidgen.assigners.late_work._LOST_AFTER", 1.0)
    process = start(MAX_WAIT=0.3)
    late = proxy.inject(LateRequest(b"INSERT"))
    with pytest.raises(UidError, match=TOO_LONG):
        process.mint()
    assert late.happened.is_set()
    proxy.strand()
    assert our_threads() == 1

    process.mint_soon()
    assert our_threads() == 1
    late.go_on.set()
    proxy.stop()
    proxy.start()
    wait_until(lambda: our_threads() == 0, "the end of what was lost")
    assert WorkerNode.objects.count() == 1


@pytest.mark.parametrize("in_thread", [False, True])
def test_connection_is_not_waited_for_without_end(proxy, monkeypatch, in_thread):
    """Where no thread can be left behind, the driver gives up: at exit, say.

    Its own limit is 10 s or two minutes, so what it is asked for is looked at.
    """
    backend = type(connections[ALIAS])
    connect, limits, errors = backend.get_new_connection, [], []

    def watched(self, parameters):
        limits.append(parameters["connect_timeout"])
        return connect(self, parameters)

    def work():
        connections[ALIAS].ensure_connection()

    def claim():
        try:
            databases._with_own_connection(ALIAS, work, timeout=1, in_thread=in_thread)
        except OperationalError as error:
            errors.append(error)

    monkeypatch.setattr(backend, "get_new_connection", watched)
    proxy.stall()
    thread = threading.Thread(target=claim, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert limits == [1]
    assert len(errors) == 1
