"""Log records wait until no lock is held, for their handlers may mint."""

from __future__ import annotations

import logging
import threading

import pytest

from django_uidgen.core.deferred_log import _deferral, deferred
from django_uidgen.core.exceptions import WorkerIdUnavailable
from django_uidgen.core.layout import BitLayout
from tests.core.test_fork import forks, in_child
from tests.support.bench import both
from tests.support.memory import MemoryAssigner

logger = logging.getLogger("django_uidgen")


class Loud(MemoryAssigner):
    """An assigner that warns of each claim, as of a clock that is off."""

    refuses = False

    def claim(self, now):
        logger.warning("A claim.")
        if self.refuses:
            raise WorkerIdUnavailable("No.")
        return super().claim(now)


class Minting(logging.Handler):
    """A handler that stores its records under UIDs."""

    def __init__(self, generator):
        super().__init__()
        self.generator = generator
        self.minted = []

    def emit(self, record):
        try:
            self.minted.append(self.generator.uid())
        except WorkerIdUnavailable as error:
            self.minted.append(error)


@pytest.fixture
def handled(kind):
    """Make a generator of a loud assigner, whose log is stored under its UIDs."""
    layout = BitLayout.preset("snowflake")
    generator = kind(layout, Loud(layout))
    handler = Minting(generator)
    logger.addHandler(handler)
    yield generator, handler
    logger.removeHandler(handler)
    generator.close()


@both
def test_handler_that_mints_is_served(handled):
    """At once, and by the same lease."""
    generator, handler = handled
    uid = generator.uid()
    assert len({uid, *handler.minted}) == 2
    assert generator.assigner.claims == 1


@both
def test_handler_that_mints_while_no_worker_id_can_be_claimed(handled):
    """It causes another record, but not for ever; none is lost."""
    generator, handler = handled
    generator.assigner.refuses = True
    with pytest.raises(WorkerIdUnavailable):
        generator.uid()
    assert [str(one) for one in handler.minted] == ["No."]
    generator.assigner.refuses = False
    generator.uid()
    assert len(handler.minted) == 3
    assert all(type(uid) is int for uid in handler.minted[1:])


def test_records_of_other_threads_wait_too(caplog):
    """A claim logs in a thread of its own."""
    with deferred():
        thread = threading.Thread(target=logger.warning, args=("A step.",))
        thread.start()
        thread.join(30)
        with deferred():
            pass
        assert not caplog.records
    assert [record.getMessage() for record in caplog.records] == ["A step."]


def test_record_of_the_last_moment(caplog, monkeypatch):
    """It is not left behind by a body that ends while it is being kept back."""
    answers = iter([True])
    monkeypatch.setattr(_deferral, "_is_open", lambda: next(answers, False))
    logger.warning("Late.")
    assert [record.getMessage() for record in caplog.records] == ["Late."]


@forks
def test_child_does_not_wait_for_its_parent(fork, caplog):
    """What the parent has opened is never closed there."""

    def log():
        logger.warning("In a child.")
        return [record.getMessage() for record in caplog.records]

    with deferred():
        assert in_child(log, fork=fork) == ["In a child."]
