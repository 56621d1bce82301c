"""One generator for each alias and process, as its setting is now."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import os
import signal
import threading
import warnings
from types import SimpleNamespace

import pytest
from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.db import connection
from django.test import SimpleTestCase, override_settings

from django_uidgen import auid, auids, generators, parse, registry, uid, uids
from django_uidgen.assigners import LeasedWorkerIdAssigner
from django_uidgen.assigners.in_test_runs import InTestRunAssigner
from django_uidgen.conf import InvalidSetting
from django_uidgen.core import process
from django_uidgen.core.assigner import WorkerIdAssigner
from django_uidgen.core.exceptions import WorkerIdUnavailable
from django_uidgen.core.generators import CachedUidGenerator, DefaultUidGenerator
from django_uidgen.core.lease import Lease
from django_uidgen.models import WorkerNode
from tests.support.holders import held_by_a_thread
from tests.testapp.models import Event, Order

DEFAULT = "django_uidgen.generators.DefaultUidGenerator"


class Assigner(WorkerIdAssigner):
    """An assigner without a database, that notes what it is asked."""

    made = 0
    claims: list[int] = []
    released: list[int] = []
    #: Raised by the next claims.
    error: Exception | None = None
    #: Raised by the next releases.
    release_error: Exception | None = None

    def __init__(self, config):
        type(self).made += 1
        self.config = config

    def claim(self, now):
        if self.error is not None:
            raise self.error
        self.claims.append(now)
        return Lease(5, now, now + 10**6, renew_from=now + 10**6)

    def release(self, lease, next_tick):
        if self.release_error is not None:
            raise self.release_error
        self.released.append(next_tick)


OWN = {"WORKER_ID_ASSIGNER": "tests.test_registry.Assigner", "TEST": False}


@pytest.fixture
def assigner(monkeypatch):
    """Return the assigner's class, with nothing noted."""
    monkeypatch.setattr(Assigner, "made", 0)
    monkeypatch.setattr(Assigner, "claims", [])
    monkeypatch.setattr(Assigner, "released", [])
    monkeypatch.setattr(Assigner, "error", None)
    monkeypatch.setattr(Assigner, "release_error", None)
    yield Assigner
    registry.generators.reset()


def in_threads(work, count=24):
    """Return what ``work`` returns in many threads that start it at once."""
    barrier = threading.Barrier(count)
    results = []

    def target():
        barrier.wait()
        results.append(work())

    threads = [threading.Thread(target=target) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == count
    return results


def in_child(work):
    """Fork, do ``work`` in the child, and return its result as JSON gives it."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(20)
            os.write(write, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return json.loads(text)


# One object.


def test_built_at_its_first_use(settings):
    """And kept."""
    settings.UIDGEN = {"orders": {"GENERATOR": DEFAULT}}
    assert registry.generators.built() == []
    generator = generators["orders"]
    assert type(generator) is DefaultUidGenerator
    assert generator.alias == "orders"
    assert generators["orders"] is generator
    assert registry.generators.built() == [generator]
    assert generators["default"] is not generator
    assert type(generators["default"]) is CachedUidGenerator


def test_unknown_alias(settings):
    """It is not built, and the next time is refused again."""
    settings.UIDGEN = {"orders": {}}
    for _ in range(2):
        with pytest.raises(InvalidSetting, match="'nope'"):
            registry.generators["nope"]
    assert registry.generators.built() == []


def test_mapping(settings):
    """Of the aliases that are configured, built or not."""
    settings.UIDGEN = {"orders": {}}
    assert list(registry.generators) == ["default", "orders"]
    assert len(registry.generators) == 2
    assert "orders" in registry.generators
    assert "nope" not in registry.generators


def test_one_object_for_all_threads(settings, assigner, monkeypatch):
    """Many threads are first at once, and the assigner is made once."""
    make = registry._new_generator

    def slowly(config, run):
        # Long enough for the others to come as well.
        threading.Event().wait(0.05)
        return make(config, run)

    monkeypatch.setattr(registry, "_new_generator", slowly)
    settings.UIDGEN = {"default": OWN}
    made = in_threads(lambda: generators["default"])
    assert len({id(generator) for generator in made}) == 1
    assert assigner.made == 1


def test_one_object_for_all_threads_after_a_change(monkeypatch, assigner):
    """No signal reports the change, and many threads find it at once.

    One of them builds, and none closes what another has built.
    """
    monkeypatch.setattr(django_settings, "UIDGEN", {"default": OWN})
    for worker in range(20):
        before = generators["default"]
        before.uid()
        setting = {"default": OWN | {"WORKER_IDS": (0, worker)}}
        monkeypatch.setattr(django_settings, "UIDGEN", setting)
        made = in_threads(lambda: generators["default"], 8)
        assert len({id(generator) for generator in made}) == 1
        assert made[0] is not before
        assert assigner.made == worker + 2
        assert len(assigner.released) == worker + 1


def test_uids_of_many_threads_are_unique(settings, assigner):
    """One object, one lease."""
    settings.UIDGEN = {"default": OWN}
    minted = in_threads(lambda: [uid() for _ in range(500)] + uids(500), 8)
    assert len({number for numbers in minted for number in numbers}) == 8000
    assert len(assigner.claims) == 1


# The setting, read live.


def test_override_settings_reaches_the_functions():
    """``uid`` was imported long before, and goes to the generator of the moment."""
    before = generators["default"]
    assert uid() >= 2**53
    with override_settings(UIDGEN={"default": {"LAYOUT": "javascript"}}):
        assert 0 < uid() < 2**53
        assert all(number < 2**53 for number in uids(3))
        assert generators["default"].layout.total_bits == 53
        with override_settings(UIDGEN={"default": {"GENERATOR": DEFAULT}}):
            assert uid() >= 2**53
            assert type(generators["default"]) is DefaultUidGenerator
        assert 0 < uid() < 2**53
    assert uid() >= 2**53
    assert generators["default"] is not before


def test_settings_fixture_reaches_the_functions(settings):
    """pytest-django's, in the same way."""
    assert uid() >= 2**53
    settings.UIDGEN = {"default": {"LAYOUT": "javascript", "TEST": {"WORKER_ID": 9}}}
    assert parse(uid()).worker_id == 9
    assert uid() < 2**53
    settings.UIDGEN = {}
    assert parse(uid()).worker_id == 0
    assert uid() >= 2**53


def test_setting_changed_behind_the_back(monkeypatch):
    """Without Django's signal it is noticed where a generator is looked up.

    From then on the functions go to the new one as well.
    """
    monkeypatch.setattr(django_settings, "UIDGEN", {"default": {}})
    before = generators["default"]
    assert uid() >= 2**53
    setting = {"default": {"LAYOUT": "javascript"}}
    monkeypatch.setattr(django_settings, "UIDGEN", setting)
    assert generators["default"] is not before
    assert generators["default"].layout.total_bits == 53
    assert uid() < 2**53


def test_setting_deleted(settings):
    """pytest-django sends no signal then."""
    settings.UIDGEN = {"default": {"LAYOUT": "javascript"}}
    assert uid() < 2**53
    del settings.UIDGEN
    assert uids(1)[0] >= 2**53
    assert uid() >= 2**53


def test_equal_setting_keeps_the_generator(monkeypatch, assigner):
    """Settings that make a new dict at each access must not cost a lease each."""
    setting = {"default": OWN}
    monkeypatch.setattr(django_settings, "UIDGEN", setting)
    generator = generators["default"]
    generator.uid()
    for _ in range(3):
        monkeypatch.setattr(django_settings, "UIDGEN", copy.deepcopy(setting))
        assert generators["default"] is generator
    assert assigner.made == 1
    assert assigner.released == []


def test_changed_setting_gives_the_lease_back(settings, assigner):
    """A generator that nobody can reach any more must not keep a worker id."""
    settings.UIDGEN = {"default": OWN}
    uid()
    assert assigner.released == []
    settings.UIDGEN = {"default": OWN, "orders": {}}
    assert len(assigner.released) == 1
    uid()
    assert len(assigner.claims) == 2


@pytest.mark.parametrize("name", ["UIDGEN", "DATABASES"])
def test_settings_that_matter(name):
    """A change of these builds anew."""
    generator = generators["default"]
    setting_changed.send(sender=object, setting=name, value=None, enter=False)
    assert generators["default"] is not generator


def test_settings_that_do_not_matter():
    """A change of others does not."""
    generator = generators["default"]
    with override_settings(USE_TZ=True, CACHES={}, LANGUAGE_CODE="de"):
        assert generators["default"] is generator
    assert generators["default"] is generator


def test_wrong_setting_is_said_at_each_use():
    """By the public functions as well, and forgotten when it is mended."""
    with override_settings(UIDGEN={"default": {"LAYOUT": "nope"}}):
        for use in (uid, lambda: uids(1), lambda: generators["default"]):
            for _ in range(2):
                with pytest.raises(InvalidSetting, match="'nope'"):
                    use()
        with pytest.raises(InvalidSetting, match="'nope'"):
            asyncio.run(auid())
    assert uid()


# The functions.


def test_functions():
    """Each goes to the default generator."""
    assert isinstance(uid(), int)
    several = uids(5)
    assert several == sorted(set(several))
    assert len(several) == 5
    assert uids(0) == []

    async def both():
        return await auid(), await auids(3)

    one, more = asyncio.run(both())
    assert [*several, one, *more] == sorted([*several, one, *more])
    assert len(more) == 3


# Test runs.


def test_model_without_a_database():
    """No mark, no fixture: a test run mints without a lease."""
    event = Event(name="x")
    assert event.pk == event.id > 0
    assert parse(event.pk).worker_id == 0
    assert isinstance(generators["default"].assigner, InTestRunAssigner)
    assert Order().pk is None


class SimpleTests(SimpleTestCase):
    """Django's own test case that forbids the database."""

    def test_model_without_a_database(self):
        """It mints as well."""
        assert Event().pk > 0


def test_worker_id_of_the_test_run(settings):
    """The one of the setting, for each alias its own."""
    settings.UIDGEN = {
        "default": {"TEST": {"WORKER_ID": 17}},
        "orders": {"WORKER_IDS": (500, 600)},
    }
    assert parse(uid()).worker_id == 17
    assert parse(generators["orders"].uid(), "orders").worker_id == 500


def test_test_run_has_the_generator_of_the_setting(settings):
    """Only the worker id is another."""
    settings.UIDGEN = {"default": {"GENERATOR": DEFAULT, "LAYOUT": "baidu"}}
    assert type(generators["default"]) is DefaultUidGenerator
    assert parse(uid()).layout.time_bits == 28


@pytest.mark.django_db(transaction=True)
def test_real_leases_in_a_test_run(settings):
    """Where ``TEST`` is False, and none where it is not."""
    connection.ensure_connection()
    uid()
    assert WorkerNode.objects.count() == 0
    settings.UIDGEN = {"default": {"TEST": False}}
    assert isinstance(generators["default"].assigner, LeasedWorkerIdAssigner)
    node = parse(uid()).worker_node
    assert node == WorkerNode.objects.get()
    assert node.process_id == os.getpid()
    assert node.state == "live"
    settings.UIDGEN = {}
    node.refresh_from_db()
    assert node.released_at is not None


def test_end_of_the_test_run(monkeypatch, assigner, settings):
    """A generator that was built in it is not used afterwards, nor the other way."""
    settings.UIDGEN = {"default": OWN | {"TEST": {}}}
    inside = generators["default"]
    with monkeypatch.context() as patch:
        patch.setattr(process, "in_test_run", lambda: False)
        outside = generators["default"]
        assert outside is not inside
        assert outside.uid()
        assert len(assigner.claims) == 1
    assert generators["default"] not in (inside, outside)
    assert len(assigner.released) == 1


def test_forked_child_of_a_test_run(settings):
    """It takes another worker id, since it shares no memory with its parent."""
    layout = {"time_bits": 41, "worker_bits": 21, "sequence_bits": 1}
    settings.UIDGEN = {"default": {"LAYOUT": layout, "TEST": {"WORKER_ID": 7}}}
    assert parse(uid()).worker_id == 7

    def mint():
        return [parse(uid()).worker_id for _ in range(3)]

    # One of two million: that both take the same, or the parent's, will not happen.
    children = [in_child(mint) for _ in range(2)]
    for worker_ids in children:
        assert len(set(worker_ids)) == 1
    taken = {7, children[0][0], children[1][0]}
    assert len(taken) == 3
    assert parse(uid()).worker_id == 7


# The end.


def test_reset_gives_leases_back(settings, assigner):
    """Each generator's, and the next use builds anew."""
    settings.UIDGEN = {"default": OWN, "orders": OWN, "idle": OWN}
    before = [generators[alias] for alias in generators]
    uid()
    generators["orders"].uid()
    registry.generators.reset()
    assert len(assigner.released) == 2
    assert registry.generators.built() == []
    assert generators["default"] not in before
    assert uid()


def test_reset_goes_on_after_an_error(settings, assigner, caplog):
    """A lease that cannot be released lapses; the others are released."""
    settings.UIDGEN = {"default": OWN, "orders": OWN}
    for alias in generators:
        generators[alias].uid()
    assigner.release_error = OSError("no route")
    with caplog.at_level(logging.ERROR, "django_uidgen"):
        registry.generators.reset()
    assert [record.message for record in caplog.records] == [
        "Generator 'default' could not be closed.",
        "Generator 'orders' could not be closed.",
    ]
    assert "no route" in caplog.text
    assert registry.generators.built() == []


# The start.


def finished(alias_list):
    """Assign in the background, and wait for the end of that."""
    registry.generators.assign_in_background(alias_list)
    thread = registry.generators._assigning
    assert thread.daemon
    thread.join(30)
    assert not thread.is_alive()


def test_assigned_in_the_background(settings, assigner):
    """Before anything is minted; the first mint finds it."""
    settings.UIDGEN = {"default": OWN, "orders": OWN, "idle": OWN}
    finished(["default", "orders"])
    assert len(assigner.claims) == 2
    uid()
    generators["orders"].uid()
    assert len(assigner.claims) == 2
    assert generators["idle"].lease is None


def test_failure_is_logged_once_and_not_fatal(settings, assigner, caplog):
    """A warning for each generator without one; the first mint tries again."""
    settings.UIDGEN = {"default": OWN, "orders": OWN}
    assigner.error = WorkerIdUnavailable("The database is down.")
    finished(["default"])
    assert [(r.name, r.levelname, r.message) for r in caplog.records] == [
        (
            "django_uidgen",
            "WARNING",
            "No worker id at start-up, the first mint will try: The database is down.",
        )
    ]
    with pytest.raises(WorkerIdUnavailable):
        uid()
    assigner.error = None
    assert uid()


def test_unexpected_failure_is_logged_with_its_traceback(settings, assigner, caplog):
    """It ends neither the process nor the assignment of the other generators."""
    settings.UIDGEN = {"default": OWN, "orders": {"TEST": {}}}
    assigner.error = OSError("no route")
    finished(["default", "orders"])
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert record.message == (
        "No worker id for generator 'default' at start-up, the first mint will try."
    )
    assert "no route" in caplog.text
    assert generators["orders"].lease is not None


def test_no_assignment_where_the_start_never_ends(settings, assigner, monkeypatch):
    """Nothing is claimed before all apps are ready."""
    settings.UIDGEN = {"default": OWN}
    never = SimpleNamespace(ready_event=threading.Event(), ready=False)
    monkeypatch.setattr(registry, "apps", never)
    monkeypatch.setattr(registry, "_START_TIMEOUT", 0.0)
    finished(["default"])
    assert assigner.claims == []


def test_assignment_waits_for_the_apps(settings, assigner, monkeypatch):
    """And then claims; a fork in between does not wait for it."""
    settings.UIDGEN = {"default": OWN}
    starting = SimpleNamespace(ready_event=threading.Event(), ready=False)
    monkeypatch.setattr(registry, "apps", starting)
    registry.generators.assign_in_background(["default"])
    thread = registry.generators._assigning
    with monkeypatch.context() as patch:
        patch.setattr(thread, "join", None)
        registry.generators.before_fork()
    assert thread.is_alive()
    assert assigner.claims == []
    starting.ready_event.set()
    thread.join(30)
    assert len(assigner.claims) == 1


def test_exit_waits_for_the_assignment(settings, assigner, monkeypatch):
    """A lease that is claimed at that moment is released too."""
    settings.UIDGEN = {"default": OWN}
    monkeypatch.setattr(registry, "_STOP_TIMEOUT", 30)
    ending, claiming = threading.Event(), threading.Event()
    claim = assigner.claim

    def slow_claim(self, now):
        claiming.set()
        assert ending.wait(30)
        return claim(self, now)

    monkeypatch.setattr(assigner, "claim", slow_claim)
    registry.generators.assign_in_background(["default"])
    assert claiming.wait(30)
    thread = registry.generators._assigning
    join = thread.join

    def watched_join(timeout):
        ending.set()
        join(timeout)

    monkeypatch.setattr(thread, "join", watched_join)
    registry.generators.shut_down()
    assert len(assigner.claims) == 1
    assert len(assigner.released) == 1


def test_thread_of_the_start_may_fork(settings, assigner, monkeypatch):
    """It does not wait for itself."""
    settings.UIDGEN = {"default": OWN}
    claim = assigner.claim

    def forking_claim(self, now):
        registry.generators.before_fork()
        return claim(self, now)

    monkeypatch.setattr(assigner, "claim", forking_claim)
    finished(["default"])
    assert len(assigner.claims) == 1


# Forks.


def test_child_of_a_parent_whose_lock_is_held(settings):
    """Another thread may be building a generator at that moment."""
    settings.UIDGEN = {"default": {}, "orders": {}}

    def mint():
        return generators["orders"].uid()

    # Python 3.12 and later warn of a fork beside threads.
    with (
        held_by_a_thread(registry.generators._lock.held),
        warnings.catch_warnings(action="ignore", category=DeprecationWarning),
    ):
        assert in_child(mint) > 0


def test_child_has_the_generator_of_its_parent(settings, assigner):
    """The same object, which notices the fork itself, and a lease of its own."""
    settings.UIDGEN = {"default": OWN}
    uid()
    generator = generators["default"]

    def mint():
        same = generators["default"] is generator
        uid()
        return [same, len(assigner.claims)]

    assert in_child(mint) == [True, 2]
