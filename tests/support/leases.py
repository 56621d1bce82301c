"""Rows of the worker table, as processes would have left them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django_uidgen import conf
from django_uidgen.models import WorkerNode

#: When this run of the suite began. All rows agree on it.
NOW = datetime.now(UTC)


def add_lease(
    worker_id: int = 1,
    *,
    alias: str = "default",
    since: float = -60,
    # More than a run lasts on any machine.
    until: float = 86_400,
    **values: Any,
) -> WorkerNode:
    """Insert a lease that begins and ends so many seconds from the run's begin."""
    config = conf.get_config(alias)
    layout = config.layout
    row = {
        "generator": alias,
        "worker_id": worker_id,
        "term": 1,
        "reserved_from": layout.tick_at(NOW + timedelta(seconds=since)),
        "reserved_until": layout.tick_at(NOW + timedelta(seconds=until)),
        "layout": layout.fingerprint,
        "host_name": "web-1.example.org",
        "process_id": 4711,
        "node_type": WorkerNode.NodeType.CONTAINER,
        "launched_at": NOW,
    }
    return WorkerNode.objects.using(config.database).create(**row | values)


def uid_of(node: WorkerNode, sequence: int = 0) -> int:
    """Return the first UID that could be minted under a lease, or a later one."""
    layout = conf.get_config(node.generator).layout
    return layout.compose(node.reserved_from, node.worker_id, sequence)


def rows() -> list[tuple[Any, ...]]:
    """Return the worker table as tuples, in the order of the claims."""
    columns = "worker_id", "term", "reserved_from", "reserved_until", "sealed"
    return list(WorkerNode.objects.order_by("pk").values_list(*columns))
