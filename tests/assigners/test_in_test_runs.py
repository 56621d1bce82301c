"""UIDs in the test run of a project: no database, any clock, never one twice."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from django_uidgen import registry, uid, uids
from tests.testapp.models import Event


@pytest.fixture(autouse=True)
def worker_id_of_its_own(settings):
    """UIDs of 2090 would put all that this process mints later behind them."""
    settings.UIDGEN = {"default": {"TEST": {"WORKER_ID": 9}}}


def freeze(monkeypatch, *date):
    """Let the clock stand still, as freezegun does."""
    nanoseconds = int(datetime(*date, tzinfo=UTC).timestamp()) * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds)


def test_generators_that_were_built_anew_go_on(settings):
    """A test that overrides a setting makes another generator."""
    seen = set()
    for number in range(20):
        new = uids(40_000) if number % 2 else [uid() for _ in range(100)]
        assert not seen.intersection(new)
        seen.update(new)
        settings.UIDGEN = {"default": {"OPTIONS": {"LEASE": 600 + number}}}


@pytest.mark.parametrize("date", [(2020, 1, 1), (2026, 2, 1), (2090, 1, 1)])
def test_clock_that_was_frozen(monkeypatch, date):
    """At any time: before the epoch, in the past, in the future, and back again."""
    minted = [uid(), *uids(10)]
    freeze(monkeypatch, *date)
    minted += [uid(), *uids(10), Event().pk]
    registry.generators.reset()
    minted += [uid(), *uids(10)]
    monkeypatch.undo()
    minted += [uid(), *uids(10)]
    assert minted == sorted(set(minted))


def test_clock_that_stands_still_is_not_waited_for(monkeypatch):
    """More than its layout holds in the time that it may lead."""
    freeze(monkeypatch, 2026, 6, 1)
    assert len(uids(5_000_000)) == 5_000_000


def test_lease_of_a_test_run_has_no_end():
    """Renewing it changes nothing."""
    uid()
    generator = registry.generators["default"]
    assert generator.assigner.renew(generator.lease, 10**15) is generator.lease
