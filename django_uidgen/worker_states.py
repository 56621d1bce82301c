"""The states of leases as queries: what ``WorkerNode.state`` says of one, for many."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db.models import Count, Q

from django_uidgen import conf
from django_uidgen.models import WorkerNode, WorkerNodeQuerySet

STATES = ("live", "free", "sealed")


def configured() -> list[conf.GeneratorConfig]:
    """Return the generators whose settings hold."""
    try:
        aliases = conf.aliases()
    except conf.InvalidSetting:
        return []
    configs = []
    for alias in aliases:
        try:
            configs.append(conf.get_config(alias))
        except conf.InvalidSetting:
            continue  # django_uidgen.E001 says it
    return configs


def in_state(state: str) -> Q:
    """Return the condition that a lease is in ``state``, one of ``STATES``, now."""
    if state == "sealed":
        return Q(sealed=True)
    over = Q(released_at__isnull=False) | _lapsed()
    return Q(sealed=False) & (over if state == "free" else ~over)


def _lapsed() -> Q:
    """Return the condition that a lease has ended, where its ticks can be read."""
    now = datetime.now(UTC)
    lapsed = Q(pk__in=[])
    for config in configured():
        lapsed |= Q(
            generator=config.alias,
            layout=config.layout.fingerprint,
            reserved_until__lte=config.layout.tick_at(now),
        )
    return lapsed


def count_states(nodes: WorkerNodeQuerySet) -> dict[str, int]:
    """Return how many of ``nodes`` are in each state, in one query."""
    counts = {state: Count("pk", filter=in_state(state)) for state in STATES}
    return nodes.aggregate(**counts)


def count_ids_left(config: conf.GeneratorConfig) -> tuple[int, int]:
    """Return how many worker ids were never used, and how many are free again."""
    first, last = config.worker_ids
    nodes = WorkerNode.objects.using(config.database).filter(
        generator=config.alias, worker_id__range=(first, last)
    )
    used = nodes.values("worker_id").distinct().count()
    return last - first + 1 - used, nodes.filter(in_state("free")).count()
