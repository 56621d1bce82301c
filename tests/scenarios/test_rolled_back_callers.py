"""Callers that are rolled back: what they were handed can never be claimed again.

Each test mints in a block of a caller, which is rolled back, and has a second process
claim the one worker id there is. It must not get a tick that was used. The clock of
that process is behind, as another host's may be; on SQLite, which has one machine, it
is the same.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import IntegrityError, connection, connections, transaction
from django.http import HttpResponse
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import path

from django_uidgen import conf, generators, registry, uid, uids
from django_uidgen.core.exceptions import WorkerIdUnavailable
from django_uidgen.models import WorkerNode
from tests.programs.claimant import Claimant
from tests.support.clocks import stop_clock
from tests.testapp.models import Event, Order

pytestmark = pytest.mark.django_db(transaction=True)

ON_SQLITE = connection.vendor == "sqlite"
LEASE = 10
UIDGEN = {"default": {"TEST": False, "WORKER_IDS": [7, 7], "OPTIONS": {"LEASE": LEASE}}}


class Boom(Exception):
    """Rolls a block back."""


# The callers. Each inserts rows by hand, does some work, and returns the ids of the
# rows that are there at the end. The work is rolled back.


def insert(number):
    """Insert a row without minting."""
    Event.objects.create(id=number, name="the caller's own")


def atomic(work):
    """One block, ended by an exception."""
    with suppress(Boom), transaction.atomic():
        insert(1)
        work()
        raise Boom
    return []


def atomic_before_any_write(work):
    """The mint is the first that this transaction does."""
    with suppress(Boom), transaction.atomic():
        work()
        insert(1)
        raise Boom
    return []


def durable(work):
    """A block that refuses to be an inner one."""
    with suppress(Boom), transaction.atomic(durable=True):
        insert(1)
        work()
        raise Boom
    return []


def outer_block(work):
    """The inner blocks end well, the outer one does not."""
    with suppress(Boom), transaction.atomic():
        insert(1)
        with transaction.atomic(), transaction.atomic():
            insert(2)
            work()
        raise Boom
    return []


def inner_block(work):
    """Only the inner block is rolled back."""
    with transaction.atomic():
        insert(1)
        with suppress(Boom), transaction.atomic():
            insert(2)
            work()
            raise Boom
        insert(3)
    return [1, 3]


def innermost_blocks(work):
    """Two of three."""
    with transaction.atomic():
        insert(1)
        with suppress(Boom), transaction.atomic():
            insert(2)
            with transaction.atomic():
                work()
            raise Boom
    return [1]


def block_without_savepoint(work):
    """It marks the outer one for rollback."""
    with suppress(Boom), transaction.atomic():
        insert(1)
        with transaction.atomic(savepoint=False):
            work()
            raise Boom
    return []


def savepoint_by_hand(work):
    """Without a block of its own."""
    with transaction.atomic():
        insert(1)
        # Another name since Django 6.1.
        create = getattr(transaction, "savepoint_create", None) or transaction.savepoint
        savepoint = create()
        work()
        transaction.savepoint_rollback(savepoint)
    return [1]


def marked_for_rollback(work):
    """No exception ends the block."""
    with transaction.atomic():
        insert(1)
        work()
        transaction.set_rollback(True)
    return []


def error_of_the_database(work):
    """A constraint is hurt after the mint."""
    with suppress(IntegrityError), transaction.atomic():
        insert(1)
        work()
        insert(1)
    return []


def autocommit_off(work):
    """The caller ends its transactions by hand."""
    transaction.set_autocommit(False)
    try:
        insert(1)
        work()
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    return []


def atomic_request(work):
    """A view that fails, with ATOMIC_REQUESTS."""
    request(lambda: [insert(1), work(), fail()], expected="500")
    return []


def lost_connection(work):
    """The connection breaks before the commit."""
    transaction.set_autocommit(False)
    insert(1)
    work()
    connection.close()
    return []


def begin_immediate(work):
    """SQLite's own way of taking the write lock at once."""
    connection.close()
    connections.settings["default"]["OPTIONS"]["transaction_mode"] = "IMMEDIATE"
    try:
        return atomic(work)
    finally:
        del connections.settings["default"]["OPTIONS"]["transaction_mode"]
        connection.close()


CALLERS = [
    atomic,
    atomic_before_any_write,
    durable,
    outer_block,
    inner_block,
    innermost_blocks,
    block_without_savepoint,
    savepoint_by_hand,
    marked_for_rollback,
    error_of_the_database,
    autocommit_off,
    atomic_request,
    lost_connection,
]
if ON_SQLITE:
    CALLERS.append(begin_immediate)


def fail():
    """Roll the request back."""
    raise Boom


_todo = []


def view(request):
    """Do what the test has asked for."""
    _todo.pop()()
    return HttpResponse()


urlpatterns = [path("", view)]


def request(work, *, expected):
    """Answer one request by ``work``, in Django's own handler."""
    _todo.append(work)
    statuses = []
    # Its connections end with the request, as they do in a server.
    handler = WSGIHandler()
    response = handler(
        RequestFactory().get("/").environ, lambda status, _: statuses.append(status)
    )
    response.close()
    assert statuses[0].startswith(expected)


@pytest.fixture(scope="module")
def claimant(django_db_setup):
    """Return a second process, for all tests of this module."""
    from django.conf import settings

    process = Claimant(settings.SETTINGS_MODULE)
    yield process
    process.end()


@pytest.fixture(autouse=True)
def generator(settings, monkeypatch):
    """Return the generator, on a clock that moves on command."""
    settings.UIDGEN = UIDGEN
    settings.ROOT_URLCONF = __name__
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    generator = generators["default"]
    stop_clock(generator, datetime.now(UTC))
    yield generator
    registry.generators.reset()


def mint():
    """Mint in every way that there is, and far more than one tick holds."""
    minted = [uid(), *uids(50), Event(name="never saved").pk]
    minted += [Order.objects.create(name=str(number)).pk for number in range(3)]
    for run in generators["default"].allocate(100_000):
        minted += run[0], run[-1]
    # Leaves a stock, if there may be one.
    return [*minted, uid()]


def used(minted):
    """Return the ticks that were used; there is one worker id."""
    layout = conf.get_config("default").layout
    parts = [layout.decompose(number) for number in minted]
    assert {part.worker_id for part in parts} == {7}
    return [part.tick for part in parts]


def assert_out_of_reach(minted, claimant, generator):
    """Have a second process claim, and see that it gets no tick that was used."""
    ticks = used(minted)
    if ON_SQLITE:
        answer = claimant.claim(UIDGEN, generator.clock.tick())
        assert answer["worker_id"] == 7
        assert answer["from"] > max(ticks)
        return
    for tick in (min(ticks), generator.clock.tick()):
        assert claimant.claim(UIDGEN, tick) == "WorkerIdsExhausted"


def assert_goes_on(minted):
    """Mint more: behind all that was minted, and covered by rows that stand."""
    more = mint()
    assert min(more) > max(minted)
    assert all(WorkerNode.objects.for_uid(number).exists() for number in more)


def assert_left_alone(statements, rows):
    """Nothing of ours was said on the caller's connection, nor did it end anything."""
    said = [statement["sql"] for statement in statements]
    if not ON_SQLITE:
        assert not [sql for sql in said if WorkerNode._meta.db_table in sql]
    assert said.count("COMMIT") == (1 if rows else 0)
    assert list(Event.objects.order_by("pk").values_list("pk", flat=True)) == rows


callers = pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.__name__)


@callers
def test_first_mint(caller, claimant, generator):
    """Nobody can claim what it was handed, and the process goes on behind it."""
    minted = []
    with CaptureQueriesContext(connection) as statements:
        rows = caller(lambda: minted.extend(mint()))
    assert_left_alone(statements, rows)
    assert_out_of_reach(minted, claimant, generator)
    assert_goes_on(minted)


@callers
def test_mint_after_the_lease_has_lapsed(caller, claimant, generator):
    """It is renewed, or on SQLite claimed anew, and nobody else can mint there."""
    before = uid()
    generator.clock.step(LEASE + 1)
    minted = []
    with CaptureQueriesContext(connection) as statements:
        rows = caller(lambda: minted.extend(mint()))
    assert_left_alone(statements, rows)
    assert min(minted) > before
    assert_out_of_reach([before, *minted], claimant, generator)
    assert_goes_on(minted)


@callers
def test_mint_when_a_renewal_is_due(caller, claimant, generator):
    """It is not undone either; on SQLite it waits for the end of the block."""
    before = uid()
    lease = generator.lease
    generator.clock.step(LEASE * 0.7)
    minted, during = [], []

    def work():
        minted.extend(mint())
        renewal = generator._own_stock().keeper.renewal
        if renewal is not None:
            renewal.join()
        during.append(generator.lease.reserved_until)

    with CaptureQueriesContext(connection) as statements:
        rows = caller(work)
    assert_left_alone(statements, rows)
    [node] = WorkerNode.objects.all()
    assert node.reserved_until >= during[0]
    assert (during[0] > lease.reserved_until) != ON_SQLITE
    assert claimant.claim(UIDGEN, min(used(minted))) == "WorkerIdsExhausted"
    assert_goes_on([before, *minted])


def test_transaction_begun_by_a_statement(claimant, generator):
    """Django knows nothing of it. On SQLite there is no lease then, nor a renewal."""
    minted = [uid()]
    generator.clock.step(LEASE + 1)
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            if ON_SQLITE:
                with pytest.raises(WorkerIdUnavailable, match="within a transaction"):
                    generator.allocate(1)
            else:
                minted += mint()
        finally:
            cursor.execute("ROLLBACK")
    if not ON_SQLITE:
        assert_out_of_reach(minted, claimant, generator)
    assert_goes_on(minted)


def test_request_that_ends_well(claimant, generator):
    """What was claimed in it is an ordinary lease."""
    minted = []
    request(lambda: [insert(1), minted.extend(mint())], expected="200")
    assert Event.objects.filter(id=1).exists()
    [node] = WorkerNode.objects.all()
    assert generator.lease.key == node.pk
    assert node.reserved_from <= min(used(minted))
    assert max(used(minted)) < node.reserved_until
    assert claimant.claim(UIDGEN, min(used(minted))) == "WorkerIdsExhausted"


@pytest.mark.parametrize("rounds", [20])
def test_rolled_back_again_and_again(claimant, generator, rounds):
    """With a claim of the second process in between each time."""
    minted = []
    for _ in range(rounds):
        atomic(lambda: minted.extend(mint()))
        Order.objects.create(name="kept")
        Event.objects.all().delete()
        tick = generator.clock.tick() if ON_SQLITE else min(used(minted))
        answer = claimant.claim(UIDGEN, tick)
        assert answer == "WorkerIdsExhausted" or answer["from"] > max(used(minted))
        generator.clock.step(LEASE * 0.4)
    assert len(set(minted)) == len(minted)
