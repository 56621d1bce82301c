"""``manage.py uidgen``: mint and read UIDs, look at leases and layouts."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.apps import apps
from django.core.exceptions import (
    FieldDoesNotExist,
    FieldError,
    ImproperlyConfigured,
)
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    InterfaceError,
    connections,
)

from django_uidgen import conf, worker_states
from django_uidgen.backfill import BATCH_SIZE, backfill
from django_uidgen.core.exceptions import UidError
from django_uidgen.models import WorkerNode
from django_uidgen.parsing import ParsedUid, parse
from django_uidgen.registry import generators

#: UIDs that are minted, and written, at a time.
_CHUNK = 10_000

_COUNT = re.compile(r"[1-9][0-9]{0,17}")

#: What a database that is not there, or has no worker table, raises.
_DATABASE_ERRORS = (DatabaseError, InterfaceError, ImproperlyConfigured)


class _Frame(NamedTuple):
    """What stands before the first UID, between two, and after the last."""

    before: str
    between: str
    after: str


_FRAMES = {
    "plain": _Frame("", "\n", "\n"),
    "json": _Frame('["', '",\n"', '"]\n'),
    "csv": _Frame("uid\n", "\n", "\n"),
}


class Command(BaseCommand):
    """A thin shell over the generators and the worker table."""

    help = "Mints and reads UIDs; shows the leases of worker ids, and the layouts."

    #: A project that is broken elsewhere can still read its UIDs; the UIDGEN setting is
    #: checked where it is used.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the sub-commands."""
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        generate = actions.add_parser("generate", help="mint UIDs and print them")
        generate.add_argument(
            "-n", "--count", default="1", help="how many UIDs (default: 1)"
        )
        generate.add_argument("--format", choices=[*_FRAMES], default="plain")
        read = actions.add_parser("parse", help="print what UIDs tell")
        read.add_argument("uids", nargs="+", metavar="UID")
        read.add_argument("--format", choices=["plain", "json"], default="plain")
        for action in (generate, read):
            action.add_argument(
                "--generator",
                default=conf.DEFAULT_ALIAS,
                metavar="ALIAS",
                help="the generator in the UIDGEN setting (default: %(default)s)",
            )
        workers = actions.add_parser("workers", help="print the leases of worker ids")
        workers.add_argument("--state", choices=worker_states.STATES)
        workers.add_argument(
            "--limit",
            default="50",
            help="how many leases of each generator, newest first (default: 50)",
        )
        layout = actions.add_parser("layout", help="print what the layouts hold")
        for action in (workers, layout):
            action.add_argument(
                "--generator",
                metavar="ALIAS",
                help="a generator in the UIDGEN setting (default: all of them)",
            )

        fill = actions.add_parser(
            "backfill", help="give each row a UID that has none in a column"
        )
        fill.add_argument("model", help="app.Model")
        fill.add_argument("field", help="a field of UIDs that takes NULL")
        fill.add_argument(
            "--from",
            dest="moments_from",
            metavar="FIELD",
            help="a field of dates or datetimes that the UIDs are to tell "
            "(default: they are minted now, in the order of the primary key)",
        )
        fill.add_argument(
            "--batch",
            default=str(BATCH_SIZE),
            help="how many rows one statement writes (default: %(default)s)",
        )
        fill.add_argument(
            "--database",
            default=DEFAULT_DB_ALIAS,
            choices=list(connections),
            help="the database of the table (default: %(default)s)",
        )

    def run_from_argv(self, argv: list[str]) -> None:
        """Run, and exit with 1 for wrong arguments too, not with argparse's 2."""
        try:
            super().run_from_argv(argv)
        except SystemExit as error:
            raise SystemExit(1 if error.code == 2 else error.code) from error

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        """Do what ``action`` says. Raise ``CommandError`` where it cannot be done."""
        actions = {
            "generate": self._generate,
            "parse": self._parse,
            "workers": self._workers,
            "layout": self._layout,
            "backfill": self._backfill,
        }
        try:
            actions[action](options)
            self.stdout.flush()
        except UidError as error:
            raise CommandError(str(error)) from error
        except BrokenPipeError:
            if options.get("stdout") is not None:
                raise  # a stream of the caller's
            _discard_output()

    # generate

    def _generate(self, options: dict[str, Any]) -> None:
        total = _count("--count", options["count"])
        generator = generators[options["generator"]]
        lead, between, after = _FRAMES[options["format"]]
        for done in range(0, total, _CHUNK):
            uids = generator.uids(min(_CHUNK, total - done))
            self._write(lead + between.join(map(str, uids)))
            lead = between
            self._show_progress(done + len(uids), total)
        self._write(after)

    def _write(self, text: str) -> None:
        self.stdout.write(text, ending="")

    def _show_progress(self, done: int, total: int) -> None:
        """Count on a terminal, unless the UIDs run over it."""
        if total > _CHUNK and self.stderr.isatty() and not self.stdout.isatty():
            # Whatever is written next, an error too, begins at the left.
            end = "\n" if done == total else "\r"
            self.stderr.write(f"{done:,} of {total:,} UIDs", str, ending=end)

    # parse

    def _parse(self, options: dict[str, Any]) -> None:
        parsed = [parse(uid, options["generator"]) for uid in options["uids"]]
        nodes, problem = _find_nodes(parsed)
        found = list(zip(parsed, nodes, strict=True))
        if options["format"] == "json":
            self.stdout.write(json.dumps([_as_json(*pair) for pair in found], indent=2))
            if problem:
                self.stderr.write(f"worker_node is unknown: {problem}")
            return
        problem = problem or "no lease in the worker table covers this UID"
        self.stdout.write(
            "\n\n".join(_pairs(_as_pairs(*pair, problem=problem)) for pair in found)
        )

    # workers

    def _workers(self, options: dict[str, Any]) -> None:
        limit = _count("--limit", options["limit"])
        configs = _chosen(options["generator"])
        counts: list[Sequence[object]] = [("generator", *worker_states.STATES)]
        rows: list[Sequence[object]] = [_WORKER_HEAD]
        left_out = 0
        try:
            for config in configs:
                by_state, found, nodes = _leases(config, options["state"], limit)
                counts.append((config.alias, *by_state.values()))
                rows += map(_worker_row, nodes)
                left_out += max(found - len(nodes), 0)
        except _DATABASE_ERRORS as error:
            raise CommandError(
                f"The worker table cannot be read: {_reason(error)} Is the database "
                f"up, and has 'migrate django_uidgen' been run there?"
            ) from error
        self.stdout.write(_table(counts))
        if len(rows) > 1:
            self.stdout.write("\n" + _table(rows))
        if left_out:
            self.stdout.write(f"\n{left_out:,} more: raise --limit to see them.")

    # backfill

    def _backfill(self, options: dict[str, Any]) -> None:
        name, field = options["model"], options["field"]
        try:
            model = apps.get_model(name)
            done = backfill(
                model,
                field,
                moments_from=options["moments_from"],
                batch_size=_count("--batch", options["batch"]),
                using=options["database"],
                on_batch=self._show_rows,
            )
        except (LookupError, ValueError, FieldError, FieldDoesNotExist) as error:
            raise CommandError(f"{name} {field}: {_reason(error)}") from error
        except _DATABASE_ERRORS as error:
            raise CommandError(
                f"{name} {field}: {_reason(error)} What was written is kept: run the "
                f"command again."
            ) from error
        self.stdout.write(f"{done:,} rows of {name} have got a UID in {field}.")

    def _show_rows(self, done: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"{done:,} rows", str, ending="\r")

    # layout

    def _layout(self, options: dict[str, Any]) -> None:
        configs = _chosen(options["generator"])
        self.stdout.write("\n\n".join(_pairs(_layout_pairs(c)) for c in configs))


def _count(name: str, value: object) -> int:
    """Return ``value`` as a number of 1 or more, in no time for huge ones."""
    text = str(value)
    if _COUNT.fullmatch(text) is None:
        shown = text if len(text) <= 40 else text[:40] + "…"
        raise CommandError(
            f"{name} is {shown!r}; it must be a whole number from 1 to 10**18 - 1."
        )
    return int(text)


def _discard_output() -> None:
    """Send what is left of the output nowhere: its reader has gone.

    Python flushes it once more at its exit, and would complain then.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _chosen(alias: str | None) -> list[conf.GeneratorConfig]:
    """Return the generator ``alias``, or all of them."""
    aliases = conf.aliases() if alias is None else [alias]
    return [conf.get_config(alias) for alias in aliases]


def _reason(error: Exception) -> str:
    """Return what an error of the database says, as one sentence in one line."""
    return " ".join(str(error).split()).removesuffix(".") + "."


def _find_nodes(
    parsed: Sequence[ParsedUid],
) -> tuple[list[WorkerNode | None], str | None]:
    """Return the leases that UIDs were minted under, or why they are not known."""
    try:
        return [uid.worker_node for uid in parsed], None
    except _DATABASE_ERRORS as error:
        return [None] * len(parsed), _reason(error)


def _as_json(uid: ParsedUid, node: WorkerNode | None) -> dict[str, Any]:
    return {
        "uid": str(uid.uid),
        "generator": uid.generator,
        "minted_at": _moment(uid.minted_at),
        "tick": uid.tick,
        "worker_id": uid.worker_id,
        "sequence": uid.sequence,
        "worker_node": node
        and {
            "term": node.term,
            "host_name": node.host_name,
            "process_id": node.process_id,
            "node_type": _node_type(node),
            "launched_at": _moment(node.launched_at),
        },
    }


def _as_pairs(
    uid: ParsedUid, node: WorkerNode | None, *, problem: str
) -> list[tuple[str, object]]:
    return [
        ("uid", uid.uid),
        ("generator", uid.generator),
        ("minted at", _moment(uid.minted_at)),
        ("tick", uid.tick),
        ("worker id", uid.worker_id),
        ("sequence", uid.sequence),
        ("host", node.host_name if node else f"unknown: {problem}"),
        ("PID", node.process_id if node else "unknown"),
        ("node type", _node_type(node) if node else "unknown"),
        ("launched at", _moment(node.launched_at) if node else "unknown"),
    ]


def _leases(
    config: conf.GeneratorConfig, state: str | None, limit: int
) -> tuple[dict[str, int], int, list[WorkerNode]]:
    """Return the count of each state, the count of those asked for, and some of them.

    ``state`` is the one asked for, None for all; ``limit`` bounds the list.
    """
    nodes = WorkerNode.objects.using(config.database).for_generator(config.alias)
    by_state = worker_states.count_states(nodes)
    found = by_state[state] if state else sum(by_state.values())
    if state:
        nodes = nodes.filter(worker_states.in_state(state))
    return by_state, found, list(nodes.order_by("-pk")[:limit])


_WORKER_HEAD = (
    "generator",
    "worker id",
    "term",
    "state",
    "host",
    "PID",
    "node type",
    "launched at",
    "leased until",
)


def _worker_row(node: WorkerNode) -> Sequence[object]:
    return (
        node.generator,
        node.worker_id,
        node.term,
        node.state,
        node.host_name,
        node.process_id,
        _node_type(node),
        _moment(node.launched_at),
        _moment(node.reserved_until_at),
    )


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
        ("epoch", _moment(layout.epoch)),
        ("end of life", _moment(layout.ends_at)),
        ("rate", f"{_number(rate)} UIDs/s for each worker id"),
        ("", f"{_number(rate * size)} UIDs/s in all"),
        ("worker ids", f"{first} to {last}: {size:,}"),
        ("worker ids left", _ids_left(config)),
        ("for the past", _ids_kept(config)),
        ("lease", f"{_number(config.assigner_options.lease)} s"),
    ]


def _ids_left(config: conf.GeneratorConfig) -> str:
    try:
        unused, free = worker_states.count_ids_left(config)
    except _DATABASE_ERRORS as error:
        return f"unknown: {_reason(error)}"
    return f"{unused + free:,}: {unused:,} never used, {free:,} free again"


def _ids_kept(config: conf.GeneratorConfig) -> str:
    kept = config.backdated_worker_ids
    if kept is None:
        return "no worker ids: set BACKDATED_WORKER_IDS"
    return f"{kept.first} to {kept.last}: {kept.last - kept.first + 1:,}"


def _number(value: float) -> str:
    return f"{value:,.12g}"


def _moment(moment: datetime | None) -> str:
    return "-" if moment is None else moment.isoformat(timespec="milliseconds")


def _node_type(node: WorkerNode) -> str:
    return WorkerNode.NodeType(node.node_type).name.lower()


def _pairs(pairs: Iterable[tuple[str, object]]) -> str:
    """Return one line for each pair, the values aligned."""
    return "\n".join(f"{name:<15}  {value}".rstrip() for name, value in pairs)


def _table(rows: Sequence[Sequence[object]]) -> str:
    """Return aligned text, the first row on top; numbers are flush right."""
    widths = [
        max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)
    ]
    right = [isinstance(cell, int) for cell in rows[-1]]
    return "\n".join(
        "  ".join(
            f"{cell!s:>{width}}" if flush_right else f"{cell!s:<{width}}"
            for cell, width, flush_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    )
