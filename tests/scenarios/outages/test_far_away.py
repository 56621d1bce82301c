"""A database so far away that a claim takes longer than a lease."""

from __future__ import annotations

import time

import pytest
from django.db import connection
from django.db.backends.signals import connection_created

from django_uidgen import generators, registry
from django_uidgen.core.exceptions import MaxWaitExceeded

pytestmark = pytest.mark.django_db(transaction=True)


def far_away(execute, sql, params, many, context):
    """Let a statement take longer than the leases of these tests."""
    time.sleep(0.03)
    return execute(sql, params, many, context)


@pytest.fixture
def _far_away():
    """Let each statement take that long, on new connections too."""

    def slow_down(*, connection, **kwargs):
        connection.execute_wrappers.append(far_away)

    connection_created.connect(slow_down)
    with connection.execute_wrapper(far_away):
        yield
    connection_created.disconnect(slow_down)


@pytest.mark.usefixtures("_far_away")
@pytest.mark.parametrize("kind", ["Default", "Cached"])
def test_claims_that_take_longer_than_a_lease(settings, kind):
    """Each lease has ended when it comes: the error names LEASE, not the clock."""
    options = {"LEASE": 0.02, "MAX_LEAD": 0, "MAX_WAIT": 3}
    settings.UIDGEN = {
        "default": {
            "GENERATOR": f"django_uidgen.generators.{kind}UidGenerator",
            "TEST": False,
            "OPTIONS": options,
        }
    }
    with pytest.raises(MaxWaitExceeded, match=r"LEASE is shorter than a claim takes\."):
        generators["default"].uid()
    settings.UIDGEN = {"default": {"TEST": False}}
    assert generators["default"].uid()
    registry.generators.reset()
