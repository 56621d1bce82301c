"""When another try of a step is worth it."""

from __future__ import annotations

import pytest
from django.db import Error, connections

from django_uidgen import databases
from django_uidgen.assigners.retries import after_conflicts
from django_uidgen.assigners.steps import StepRunner
from django_uidgen.core.exceptions import WorkerIdUnavailable

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _on_sql_server(monkeypatch):
    """Its driver's error for a deadlock is no DatabaseError of Django's."""
    monkeypatch.setattr(type(connections["default"]), "vendor", "microsoft")


def failing(*errors):
    """Return a step that fails so often, and then succeeds."""
    left = list(errors)

    def step():
        if left:
            raise left.pop()
        return "done"

    return step


def test_deadlock_is_tried_again():
    """Whatever class of error the driver raises."""
    step = failing(Error("40001", "deadlock victim"), Error("40001", "once more"))
    assert after_conflicts(step, database="default") == "done"


def test_other_errors_are_not():
    """Another try would fail as well."""
    with pytest.raises(Error, match="42000"):
        after_conflicts(failing(Error("42000", "x")), database="default")


def test_each_error_of_a_database_is_named(monkeypatch):
    """Also one that is no DatabaseError."""
    monkeypatch.setattr(databases, "run", lambda database, work, timeout: work())
    steps = StepRunner("default", alias="default", max_wait=1)
    with pytest.raises(WorkerIdUnavailable, match="42000"):
        steps.run(failing(Error("42000", "x")))
