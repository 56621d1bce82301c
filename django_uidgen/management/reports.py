"""The reports of ``manage.py uidgen`` about UIDs, leases and layouts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError

from django_uidgen import conf
from django_uidgen.management.rendering import moment, number, pairs, table
from django_uidgen.models import LISTED_COLUMNS, LeaseState, WorkerNode
from django_uidgen.parsing import ParsedUid, parse

#: The errors of a database that is down or has no worker table.
DATABASE_ERRORS = (DatabaseError, InterfaceError, ImproperlyConfigured)

#: The columns of a lease that identify the process that minted a UID.
_PROCESS_COLUMNS = ("host_name", "process_id", "node_type", "launched_at")

#: Headings that differ from the name of their column.
_HEADINGS = {
    "host_name": "host",
    "process_id": "PID",
    "reserved_until_at": "leased until",
}


def reason(error: Exception) -> str:
    """Return the message of a database's error as one sentence on one line."""
    return " ".join(str(error).split()).removesuffix(".") + "."


def _heading(column: str) -> str:
    return _HEADINGS.get(column, column.replace("_", " "))


def _cell(node: WorkerNode, column: str) -> object:
    value = getattr(node, column)
    if column == "node_type":
        return WorkerNode.NodeType(value).name.lower()
    if value is None or isinstance(value, datetime):
        return moment(value)
    return value


class UidReport(NamedTuple):
    """The parts of some UIDs, and the lease with which each was minted, if known.

    ``problem``: why the worker table could not be read; None if it could.
    """

    uids: list[ParsedUid]
    nodes: list[WorkerNode | None]
    problem: str | None

    @classmethod
    def of(cls, texts: Iterable[str], alias: str) -> UidReport:
        """Parse UIDs of the generator ``alias``. Raise ``InvalidUid`` for others."""
        uids = [parse(text, alias) for text in texts]
        try:
            return cls(uids, [uid.worker_node for uid in uids], None)
        except DATABASE_ERRORS as error:
            return cls(uids, [None] * len(uids), reason(error))

    def as_json(self) -> str:
        """Return a list of objects. ``worker_node`` is null if it is unknown."""
        found = zip(self.uids, self.nodes, strict=True)
        return json.dumps([_as_json(*pair) for pair in found], indent=2)

    def as_text(self) -> str:
        """Return a paragraph for each UID."""
        problem = self.problem or "no lease in the worker table covers this UID"
        found = zip(self.uids, self.nodes, strict=True)
        return "\n\n".join(pairs(_as_pairs(*pair, problem=problem)) for pair in found)


def _parts(uid: ParsedUid) -> dict[str, object]:
    return {
        "uid": str(uid.uid),
        "generator": uid.generator,
        "minted_at": moment(uid.minted_at),
        "tick": uid.tick,
        "worker_id": uid.worker_id,
        "sequence": uid.sequence,
    }


def _as_json(uid: ParsedUid, node: WorkerNode | None) -> dict[str, Any]:
    columns = ("term", *_PROCESS_COLUMNS)
    lease = node and {column: _cell(node, column) for column in columns}
    return {**_parts(uid), "worker_node": lease}


def _as_pairs(
    uid: ParsedUid, node: WorkerNode | None, *, problem: str
) -> list[tuple[str, object]]:
    values = _parts(uid)
    if node is None:
        values |= dict.fromkeys(_PROCESS_COLUMNS, "unknown")
        values["host_name"] = f"unknown: {problem}"
    else:
        values |= {column: _cell(node, column) for column in _PROCESS_COLUMNS}
    return [(_heading(name), value) for name, value in values.items()]


class LeaseReport(NamedTuple):
    """A table with the number of leases of each generator, and one of the leases.

    The first row of each is its headings. ``left_out`` is the number of leases that
    have no row.
    """

    counts: list[Sequence[object]]
    leases: list[Sequence[object]]
    left_out: int

    @classmethod
    def of(
        cls, configs: Iterable[conf.GeneratorConfig], state: str | None, limit: int
    ) -> LeaseReport:
        """Read up to ``limit`` leases of each generator, newest first.

        ``state`` restricts them to a ``LeaseState``. Raise one of ``DATABASE_ERRORS``
        if a worker table cannot be read.
        """
        counts: list[Sequence[object]] = [("generator", *LeaseState.values)]
        leases: list[Sequence[object]] = [tuple(map(_heading, LISTED_COLUMNS))]
        left_out = 0
        for config in configs:
            nodes = WorkerNode.objects.using(config.database).for_generator(
                config.alias
            )
            by_state = nodes.count_states()
            counts.append((config.alias, *by_state.values()))
            found = by_state[state] if state else sum(by_state.values())
            if state:
                nodes = nodes.in_state(state)
            listed = list(nodes.order_by("-pk")[:limit])
            leases += [
                [_cell(node, name) for name in LISTED_COLUMNS] for node in listed
            ]
            left_out += max(found - len(listed), 0)
        return cls(counts, leases, left_out)

    def as_text(self) -> str:
        """Return a table of the counts, and one of the leases if there are any."""
        text = table(self.counts)
        if len(self.leases) > 1:
            text += "\n\n" + table(self.leases)
        if self.left_out:
            text += f"\n\n{self.left_out:,} more: raise --limit to see them."
        return text


def layouts(configs: Iterable[conf.GeneratorConfig]) -> str:
    """Return a paragraph for each generator: its layout, worker ids and lease."""
    return "\n\n".join(pairs(_layout_pairs(config)) for config in configs)


def _layout_pairs(config: conf.GeneratorConfig) -> list[tuple[str, object]]:
    layout = config.layout
    first, last = config.worker_ids
    size = last - first + 1
    rate = layout.uids_per_second
    return [
        ("generator", config.alias),
        ("time", f"{layout.time_bits} bits, ticks of {layout.tick_ms:,} ms"),
        ("worker id", f"{layout.worker_bits} bits"),
        ("sequence", f"{layout.sequence_bits} bits"),
        ("in all", f"{layout.total_bits} bits"),
        ("epoch", moment(layout.epoch)),
        ("end of life", moment(layout.ends_at)),
        ("rate", f"{number(rate)} UIDs/s for each worker id"),
        ("", f"{number(rate * size)} UIDs/s in all"),
        ("worker ids", f"{first} to {last}: {size:,}"),
        ("worker ids left", _ids_left(config)),
        ("backdated", _reserved_ids(config)),
        ("lease", f"{number(config.assigner_options.lease)} s"),
    ]


def _ids_left(config: conf.GeneratorConfig) -> str:
    nodes = WorkerNode.objects.using(config.database)
    try:
        unused, free = nodes.count_ids_left(config)
    except DATABASE_ERRORS as error:
        return f"unknown: {reason(error)}"
    return f"{unused + free:,}: {unused:,} never used, {free:,} free again"


def _reserved_ids(config: conf.GeneratorConfig) -> str:
    reserved = config.backdated_worker_ids
    if reserved is None:
        return "no worker ids: set BACKDATED_WORKER_IDS"
    return (
        f"{reserved.first} to {reserved.last}: {reserved.last - reserved.first + 1:,}"
    )
