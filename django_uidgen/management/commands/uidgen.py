"""``manage.py uidgen``: mint and parse UIDs, print leases and layouts, backfill."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, FieldError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, connections

from django_uidgen import conf
from django_uidgen.backfill import BATCH_SIZE, backfill
from django_uidgen.core.exceptions import UidError
from django_uidgen.management.rendering import FRAMES
from django_uidgen.management.reports import (
    DATABASE_ERRORS,
    LeaseReport,
    UidReport,
    layouts,
    reason,
)
from django_uidgen.models import LeaseState
from django_uidgen.registry import generators

#: The number of UIDs that are minted and written at a time.
_CHUNK = 10_000

_COUNT = re.compile(r"[1-9][0-9]{0,17}")


class Command(BaseCommand):
    """A thin shell over the generators and the worker table."""

    help = (
        "Mints and parses UIDs, prints leases and layouts, and fills columns of UIDs."
    )

    #: A project with other errors can still parse its UIDs. The UIDGEN setting is
    #: checked on use.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the sub-commands."""
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        generate = actions.add_parser("generate", help="mint UIDs and print them")
        generate.add_argument(
            "-n", "--count", default="1", help="how many UIDs (default: 1)"
        )
        generate.add_argument("--format", choices=[*FRAMES], default="plain")
        read = actions.add_parser("parse", help="print the parts of UIDs")
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
        workers.add_argument("--state", choices=LeaseState.values)
        workers.add_argument(
            "--limit",
            default="50",
            help="how many leases of each generator, newest first (default: 50)",
        )
        layout = actions.add_parser("layout", help="print the layouts")
        for action in (workers, layout):
            action.add_argument(
                "--generator",
                metavar="ALIAS",
                help="a generator in the UIDGEN setting (default: all of them)",
            )

        fill = actions.add_parser(
            "backfill", help="write a UID to each row that has NULL in a column"
        )
        fill.add_argument("model", help="app.Model")
        fill.add_argument("field", help="a field of UIDs with null=True")
        fill.add_argument(
            "--from",
            dest="moments_from",
            metavar="FIELD",
            help="a field of dates or datetimes, to which the UIDs are backdated "
            "(default: mint them now, in the order of the primary key)",
        )
        fill.add_argument(
            "--batch",
            default=str(BATCH_SIZE),
            help="how many rows each statement writes (default: %(default)s)",
        )
        fill.add_argument(
            "--database",
            default=DEFAULT_DB_ALIAS,
            choices=list(connections),
            help="the database of the table (default: %(default)s)",
        )

    def run_from_argv(self, argv: list[str]) -> None:
        """Run the command. Exit with 1, not argparse's 2, for invalid arguments."""
        try:
            super().run_from_argv(argv)
        except SystemExit as error:
            raise SystemExit(1 if error.code == 2 else error.code) from error

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        """Run the sub-command ``action``. Raise ``CommandError`` if it fails."""
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
                raise  # the caller passed this stream
            _discard_output()

    # generate

    def _generate(self, options: dict[str, Any]) -> None:
        total = _count("--count", options["count"])
        generator = generators[options["generator"]]
        lead, between, after = FRAMES[options["format"]]
        for done in range(0, total, _CHUNK):
            uids = generator.uids(min(_CHUNK, total - done))
            self._write(lead + between.join(map(str, uids)))
            lead = between
            self._show_progress(done + len(uids), total)
        self._write(after)

    def _write(self, text: str) -> None:
        self.stdout.write(text, ending="")

    def _show_progress(self, done: int, total: int) -> None:
        """Print the count on a terminal, unless that shows the UIDs."""
        if total > _CHUNK and self.stderr.isatty() and not self.stdout.isatty():
            # The next text, even an error, begins at the left margin.
            end = "\n" if done == total else "\r"
            self.stderr.write(f"{done:,} of {total:,} UIDs", str, ending=end)

    # parse

    def _parse(self, options: dict[str, Any]) -> None:
        report = UidReport.of(options["uids"], options["generator"])
        if options["format"] == "plain":
            self.stdout.write(report.as_text())
            return
        self.stdout.write(report.as_json())
        if report.problem:
            self.stderr.write(f"worker_node is unknown: {report.problem}")

    # workers

    def _workers(self, options: dict[str, Any]) -> None:
        limit = _count("--limit", options["limit"])
        configs = _configs(options["generator"])
        try:
            report = LeaseReport.of(configs, options["state"], limit)
        except DATABASE_ERRORS as error:
            raise CommandError(
                f"The worker table cannot be read: {reason(error)} Is the database "
                f"up, and has 'migrate django_uidgen' been run there?"
            ) from error
        self.stdout.write(report.as_text())

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
            raise CommandError(f"{name} {field}: {reason(error)}") from error
        except DATABASE_ERRORS as error:
            raise CommandError(
                f"{name} {field}: {reason(error)} The rows written so far have their "
                f"UIDs: run the command again for the others."
            ) from error
        self.stdout.write(f"{done:,} rows of {name} now have a UID in {field}.")

    def _show_rows(self, done: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"{done:,} rows", str, ending="\r")

    # layout

    def _layout(self, options: dict[str, Any]) -> None:
        self.stdout.write(layouts(_configs(options["generator"])))


def _count(name: str, value: object) -> int:
    """Return ``value`` as an int of 1 or more. Raise ``CommandError`` for others."""
    text = str(value)
    if _COUNT.fullmatch(text) is None:
        shown = text if len(text) <= 40 else text[:40] + "…"
        raise CommandError(
            f"{name} is {shown!r}; it must be a whole number from 1 to 10**18 - 1."
        )
    return int(text)


def _discard_output() -> None:
    """Redirect the rest of the output to the null device: its reader has exited.

    Python flushes stdout again at its exit, and would print an error.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _configs(alias: str | None) -> list[conf.GeneratorConfig]:
    """Return the configuration of ``alias``, or those of all generators."""
    aliases = conf.aliases() if alias is None else [alias]
    return [conf.get_config(alias) for alias in aliases]
