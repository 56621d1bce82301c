"""What the tests of the example project share."""

from __future__ import annotations

import pytest
from django.db import transaction

from tests.example.samples import RECORDED, deliver


@pytest.fixture(scope="module")
def recorded(django_db_setup, django_db_blocker):
    """Store the recorded callbacks, for all tests of a module.

    They are rolled back at its end. Each test has a savepoint in the transaction.
    """
    with django_db_blocker.unblock(), transaction.atomic():
        deliver(RECORDED)
        yield
        transaction.set_rollback(True)
