"""Worker ids that are used once."""

from __future__ import annotations

import pytest

from django_uidgen.core.exceptions import WorkerIdsExhausted
from tests.support.leases import rows

pytestmark = pytest.mark.django_db(transaction=True)


def test_disposable_worker_ids_are_never_used_again(make):
    """Each launch has a new one, without an end."""
    assigner = make("Disposable")
    first = assigner.claim(1000)
    assert first.worker_id == 0
    assert first.reserved_until == first.renew_from == assigner.layout.max_tick + 1
    assigner.release(first, 2000)
    assert rows() == [(0, 1, 1000, 2000, True)]
    assert [assigner.claim(3000).worker_id for _ in range(3)] == [1, 2, 3]
    with pytest.raises(WorkerIdsExhausted, match="0 to 3, once"):
        assigner.claim(4000)


def test_disposable_lease_needs_no_renewal(make):
    """It has no end to move."""
    assigner = make("Disposable")
    lease = assigner.claim(1000)
    assert assigner.renew(lease, 10**9) is lease
