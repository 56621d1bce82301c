"""Which databases other test runs may use."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.db import connections

from django_uidgen import databases_in_tests, registry
from django_uidgen.core import process
from django_uidgen.databases_in_tests import may_be_shared

ON_MEMORY = "file:memorydb_default?mode=memory&cache=shared"


@pytest.fixture(autouse=True)
def _knows_nothing(monkeypatch):
    """Begin as a test run that has not used a database."""
    monkeypatch.setattr(databases_in_tests, "_made", {})
    monkeypatch.setattr(databases_in_tests, "_connected", {})
    registry.generators.reset()
    yield
    monkeypatch.undo()
    registry.generators.reset()


def connect(alias):
    databases_in_tests.connected(connection=SimpleNamespace(alias=alias))


def test_database_that_is_not_used():
    """Nothing can be stored there, and nothing is asked of it."""
    assert not may_be_shared("default")


def test_database_that_the_run_has_connected_to():
    """It did not make it, so another run may use it."""
    connect("default")
    assert may_be_shared("default")
    assert not may_be_shared("other")


@pytest.mark.django_db(transaction=True)
def test_database_that_was_there_before():
    """The first migrate decides: a test may migrate as well."""
    databases_in_tests.begin_migrate(using="default")
    assert may_be_shared("default")
    databases_in_tests._made["default"] = True
    databases_in_tests.begin_migrate(using="default")
    assert not may_be_shared("default")


def test_another_alias_of_a_database_that_the_run_has_made(monkeypatch):
    """Django migrates by the first alias only."""
    databases_in_tests._made["default"] = True
    connect("other")
    assert may_be_shared("other")
    monkeypatch.setattr(
        connections["other"], "settings_dict", connections["default"].settings_dict
    )
    assert not may_be_shared("other")


@pytest.mark.skipif(
    connections["default"].vendor != "sqlite", reason="servers have no such databases"
)
def test_database_in_memory(monkeypatch):
    """No other process can use it."""
    connect("default")
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", ON_MEMORY)
    assert not may_be_shared("default")


@pytest.mark.django_db(transaction=True)
def test_outside_of_a_test_run(monkeypatch):
    """What a process did before says nothing of the database of the test run."""
    monkeypatch.setattr(process, "in_test_run", lambda: False)
    connect("default")
    databases_in_tests.begin_migrate(using="default")
    assert not may_be_shared("default")


def test_generators_are_replaced_at_once(settings):
    """When it is known, the stock with the fixed worker id is dropped."""
    settings.UIDGEN = {"default": {}, "orders": {"TEST": False}, "wrong": {}}
    before = [registry.generators[alias] for alias in ("default", "orders", "wrong")]
    settings.UIDGEN["wrong"]["LAYOUT"] = "nope"
    from django_uidgen import conf

    conf.forget()
    before[0].uid()
    connect("default")
    assert before[0].lease is None
    assert registry.generators["default"] is not before[0]
    assert registry.generators["orders"] is before[1]
