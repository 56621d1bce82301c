"""Minting on an event loop, also while a worker id is claimed."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.handlers.asgi import ASGIHandler
from django.db import connection, connections, transaction
from django.http import JsonResponse
from django.test import AsyncRequestFactory
from django.urls import path

from django_uidgen import auid, auids, generators, registry, uid, uids
from django_uidgen.core.exceptions import WorkerIdUnavailable
from django_uidgen.models import WorkerNode
from tests.support.clocks import stop_clock
from tests.support.locks import locked_worker_table
from tests.testapp.models import Event, Order

pytestmark = pytest.mark.django_db(transaction=True)

TASKS = 1000

#: Turns of the loop that a task of ours makes while a claim is under way.
BEATS = 50


@pytest.fixture(autouse=True)
def generator(settings, kind):
    """Lease worker ids for real, with a generator of each kind."""
    path = f"django_uidgen.generators.{kind}"
    values = {"GENERATOR": path, "TEST": False, "OPTIONS": {"MAX_WAIT": 10}}
    settings.UIDGEN = {"default": values}
    settings.ROOT_URLCONF = __name__
    # An open connection is what Django refuses to use on a loop.
    connection.ensure_connection()
    yield generators["default"]
    registry.generators.reset()


@pytest.fixture(params=["CachedUidGenerator", "DefaultUidGenerator"])
def kind(request):
    """Return the name of a generator's class."""
    return request.param


@pytest.fixture
def log(generator, monkeypatch):
    """Return a list of what happens; claims note their begin and their end there."""
    log, claim = [], generator.assigner._claim

    def noting(*args, **kwargs):
        log.append("claim begins")
        try:
            return claim(*args, **kwargs)
        finally:
            log.append("claim ends")

    monkeypatch.setattr(generator.assigner, "_claim", noting)
    return log


async def beat_during_the_claim(log, go_on):
    """Turn the loop while the claim waits for the lock, then let it go on."""
    while "claim begins" not in log:
        await asyncio.sleep(0.001)
    for _ in range(BEATS):
        log.append("beat")
        await asyncio.sleep(0)
    log.append("unlock")
    go_on.set()


@pytest.mark.parametrize(
    "mint",
    [
        auid,
        lambda: auids(5),
        lambda: generators["default"].auids(5000),
        uid,
        lambda: uids(5),
        lambda: generators["default"].allocate(5)[0].start,
        lambda: Event(name="x").pk,
        lambda: Order(name="x")._meta.pk.get_pk_value_on_save(None),
    ],
    ids=[
        "auid",
        "auids",
        "many auids",
        "uid",
        "uids",
        "allocate",
        "UidField",
        "UidAutoField",
    ],
)
def test_first_mint_on_a_loop(mint):
    """Django refuses database work there, so a thread does it."""

    async def main():
        result = mint()
        return await result if asyncio.iscoroutine(result) else result

    minted = asyncio.run(main())
    assert WorkerNode.objects.get().state == "live"
    later = asyncio.run(main())
    assert minted < later


@pytest.mark.parametrize("count", [1, 7])
def test_loop_goes_on_while_a_worker_id_is_claimed(count, log):
    """A thousand tasks wait for one claim, and others run meanwhile."""

    async def main(go_on):
        beats = asyncio.create_task(beat_during_the_claim(log, go_on))
        parts = await asyncio.gather(*(auids(count) for _ in range(TASKS)))
        await beats
        return parts

    with locked_worker_table() as go_on:
        parts = asyncio.run(main(go_on))
    beats = ["beat"] * BEATS
    assert log == ["claim begins", *beats, "unlock", "claim ends"]
    assert len({number for part in parts for number in part}) == TASKS * count
    assert all(one < other for part in parts for one, other in pairwise(part))
    assert WorkerNode.objects.count() == 1


def test_uid_blocks_the_loop_for_one_claim(log):
    """It is no coroutine; who cannot have that awaits auid(). The next ones do not."""

    async def main(go_on):
        beats = asyncio.create_task(beat_during_the_claim(log, asyncio.Event()))
        await asyncio.sleep(0)
        minted = [uid()]
        log.append("minted")
        await beats
        return [*minted, *(uid() for _ in range(TASKS))]

    with locked_worker_table() as go_on:

        def unlock():
            while "claim begins" not in log:
                go_on.wait(0.001)
            go_on.set()

        unlocking = threading.Thread(target=unlock)
        unlocking.start()
        minted = asyncio.run(main(go_on))
        unlocking.join()
    beats = ["beat"] * BEATS
    assert log == ["claim begins", "claim ends", "minted", *beats, "unlock"]
    assert len(set(minted)) == TASKS + 1


@pytest.mark.parametrize("count", [1, 7])
def test_thousand_tasks_with_a_lease(count, log, monkeypatch):
    """They need no thread and no claim."""
    before = uid()

    def refuse(*args):
        raise AssertionError("no thread is needed")

    async def main():
        return await asyncio.gather(*(auids(count) for _ in range(TASKS)))

    monkeypatch.setattr(asyncio, "to_thread", refuse)
    parts = asyncio.run(main())
    minted = [number for part in parts for number in part]
    assert len({before, *minted}) == TASKS * count + 1
    assert minted == sorted(minted)
    assert log == ["claim begins", "claim ends"]


def test_thousand_tasks_when_the_lease_has_lapsed(generator, log):
    """One of them renews it, for all."""
    stop_clock(generator, datetime.now(UTC))
    before = uid()
    end = generator.lease.reserved_until
    generator.clock.step(601)

    async def main():
        return await asyncio.gather(*(auid() for _ in range(TASKS)))

    minted = asyncio.run(main())
    assert len({before, *minted}) == TASKS + 1
    assert log == ["claim begins", "claim ends"]
    assert WorkerNode.objects.get().reserved_until > end


# Cancelled tasks.


def assert_nothing_is_held(generator):
    keeper = generator._own_stock().keeper
    for lock in (keeper.generation.lock, keeper._lock):
        assert lock.acquire(timeout=0)
        lock.release()


def test_tasks_that_are_cancelled_during_a_claim(generator, log):
    """The others get theirs, nothing repeats, and no lock is left held."""

    async def main(go_on):
        tasks = [asyncio.create_task(auids(3)) for _ in range(200)]
        while "claim begins" not in log:
            await asyncio.sleep(0.001)
        for task in tasks[::2]:
            task.cancel()
        ended = await asyncio.gather(*tasks[::2], return_exceptions=True)
        assert {type(end) for end in ended} == {asyncio.CancelledError}
        log.append("unlock")
        go_on.set()
        parts = await asyncio.gather(*tasks[1::2])
        return [number for part in parts for number in part] + await auids(1000)

    with locked_worker_table() as go_on:
        minted = asyncio.run(main(go_on))
    assert log == ["claim begins", "unlock", "claim ends"]
    assert_nothing_is_held(generator)
    minted += uids(1000)
    assert len(set(minted)) == 300 + 2000
    assert WorkerNode.objects.count() == 1


def test_all_tasks_cancelled_during_a_claim(generator, log):
    """What was claimed for them is used by the next mint, on another loop."""

    async def main(go_on):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(auid(), 0.01)
        while "claim begins" not in log:
            await asyncio.sleep(0.001)
        go_on.set()

    with locked_worker_table() as go_on:
        asyncio.run(main(go_on))
    assert_nothing_is_held(generator)
    assert asyncio.run(auid()) > 0
    assert log == ["claim begins", "claim ends"]


def test_error_of_a_claim_reaches_each_task(generator, monkeypatch):
    """By its own name, and afterwards all is well."""

    def refuse(start):
        raise WorkerIdUnavailable("not today")

    async def main():
        return await asyncio.gather(
            *(auid() for _ in range(10)), return_exceptions=True
        )

    with monkeypatch.context() as patch:
        patch.setattr(generator.assigner, "attempt", refuse)
        assert {str(error) for error in asyncio.run(main())} == {"not today"}
    assert_nothing_is_held(generator)
    assert len(set(asyncio.run(main()))) == 10


# Django's ASGI handler.


@transaction.non_atomic_requests
async def async_view(request):
    """Mint in each way, on the loop."""
    minted = [uid(), await auid(), *uids(2), *await auids(2), Event(name="x").pk]
    return JsonResponse({"minted": minted})


def sync_view(request):
    """Mint in a thread of Django's, inside of a transaction."""
    assert connection.in_atomic_block
    minted = [uid(), *uids(2), Order.objects.create(name="x").pk]
    return JsonResponse({"minted": minted})


async def saving_view(request):
    """Save with Django's asynchronous interface."""
    order = await Order.objects.acreate(name="x")
    several = [Order(name="y") for _ in range(3)]
    await Order.objects.abulk_create(several)
    minted = [order.pk, *(other.pk for other in several), await auid()]
    return JsonResponse({"minted": minted})


urlpatterns = [
    path("async/", async_view),
    path("sync/", sync_view),
    path("saving/", transaction.non_atomic_requests(saving_view)),
]


async def answer(application, url):
    """Return what a request to ``url`` is answered."""
    scope = AsyncRequestFactory().get(url).scope
    communicator = ApplicationCommunicator(application, scope)
    await communicator.send_input({"type": "http.request", "body": b""})
    start = await communicator.receive_output(60)
    body = await communicator.receive_output(60)
    assert start["status"] == 200
    await communicator.wait(60)
    return json.loads(body["body"])["minted"]


@pytest.mark.parametrize(
    "urls", [["async"], ["sync"], ["saving"], ["async", "sync", "saving"]], ids="-".join
)
def test_requests_at_once(urls, monkeypatch):
    """Through Django's ASGI handler: no view is refused, and nothing repeats."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    requests = 24

    async def main():
        application = ASGIHandler()
        answers = (
            answer(application, f"/{urls[number % len(urls)]}/")
            for number in range(requests)
        )
        return await asyncio.gather(*answers)

    parts = asyncio.run(main())
    minted = [number for part in parts for number in part]
    assert len(parts) == requests
    assert len(set(minted)) == len(minted)
    assert WorkerNode.objects.filter(sealed=False).exists()
