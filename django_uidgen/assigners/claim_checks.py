"""What every claim checks, before it is made and after it was committed."""

from __future__ import annotations

from django_uidgen import clock_skew
from django_uidgen.conf import GeneratorConfig
from django_uidgen.core.exceptions import LayoutChanged, WorkerIdUnavailable
from django_uidgen.models import WorkerNodeQuerySet


def check_clock(config: GeneratorConfig) -> None:
    """Raise ``ClockSkewTooLarge`` if host and database server disagree too much."""
    max_skew = config.assigner_options.max_clock_skew
    clock_skew.check(config.database, alias=config.alias, max_skew=max_skew)


def check_layout(config: GeneratorConfig, nodes: WorkerNodeQuerySet) -> None:
    """Raise ``LayoutChanged`` if the alias has leases of another layout."""
    # All rows of an alias have one layout. An index finds this row.
    rows = nodes.for_generator(config.alias)
    node = rows.order_by("sealed", "worker_id").first()
    if node is not None and node.layout != config.layout.fingerprint:
        raise LayoutChanged(
            f"Generator {config.alias!r} has the layout {config.layout.fingerprint!r}, "
            f"but has minted UIDs with {node.layout!r}. UIDs of the two may "
            f"collide. Use a new alias for the new layout."
        )


def take_write_lock(nodes: WorkerNodeQuerySet) -> None:
    """Acquire SQLite's write lock, in the caller's transaction.

    SQLite does not wait for this lock once a transaction has read: two transactions
    that read first and then write would deadlock.
    """
    nodes.filter(pk=0).update(sealed=True)


def did_not_last(config: GeneratorConfig, worker_id: int) -> WorkerIdUnavailable:
    """Return the error for a claim whose row is not found after its commit."""
    return WorkerIdUnavailable(
        f"Generator {config.alias!r} claimed worker id {worker_id}, but a new "
        f"transaction on database {config.database!r} does not find the claim. Does "
        f"something switch autocommit off on new connections, or roll back their "
        f"transactions?"
    )
