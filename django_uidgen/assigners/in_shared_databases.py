"""Worker ids in a test database that other test runs may use."""

from __future__ import annotations

from django_uidgen.assigners.in_test_runs import InTestRunAssigner
from django_uidgen.assigners.leased import LeasedWorkerIdAssigner
from django_uidgen.conf import GeneratorConfig
from django_uidgen.core.lease import BackdatedLease, Lease

#: What Django and pytest-django raise where a test may not use the database.
_FORBIDDEN = (AssertionError, RuntimeError)


class InSharedDatabaseAssigner(LeasedWorkerIdAssigner):
    """Lease worker ids from a test database that other test runs may use.

    Where a test may not use the database, and so can store no UID, the worker id is the
    fixed one, for a second at a time. As in every test run, clocks set no limits.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        options = config.assigner_options._replace(max_clock_skew=None)
        super().__init__(config._replace(assigner_options=options))
        #: A test run whose clock was set forward may have released a worker id.
        self.max_lead = self.end
        self._without_database = InTestRunAssigner(config)

    def claim(self, now: int) -> Lease:
        """Lease a worker id from tick ``now`` on."""
        try:
            return super().claim(now)
        except _FORBIDDEN:
            return self._fixed(now)

    def renew(self, lease: Lease, now: int) -> Lease:
        """Return ``lease`` with a later end, or another lease from ``now`` on."""
        if lease.key is None:
            return self.claim(now)
        try:
            return super().renew(lease, now)
        except _FORBIDDEN:
            return self._fixed(now)

    def _fixed(self, now: int) -> Lease:
        lease = self._without_database.claim(now)
        second = max(self.layout.ticks(1.0), 1)
        until = min(lease.reserved_from + second, self.end)
        return lease._replace(reserved_until=until, renew_from=until)

    def release(self, lease: Lease, next_tick: int) -> None:
        """Release ``lease``: it ends at ``next_tick``."""
        if lease.key is None:
            self._without_database.release(lease, next_tick)
        else:
            super().release(lease, next_tick)

    def claim_backdated(self, block: int) -> BackdatedLease:
        """Lease a slot of ``block``."""
        try:
            return super().claim_backdated(block)
        except _FORBIDDEN:
            return self._without_database.claim_backdated(block)
