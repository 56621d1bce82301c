"""The configuration of one alias of the ``UIDGEN`` setting, and its defaults."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured

from django_uidgen.core.assigner import WorkerIdAssigner
from django_uidgen.core.exceptions import UidError
from django_uidgen.core.generators import GeneratorOptions, UidGenerator
from django_uidgen.core.layout import DEFAULT_EPOCH, BitLayout

#: The keys of an alias, with their default values.
DEFAULTS: dict[str, Any] = {
    "GENERATOR": "django_uidgen.generators.CachedUidGenerator",
    "LAYOUT": "snowflake",
    "EPOCH": DEFAULT_EPOCH,
    "WORKER_ID_ASSIGNER": "django_uidgen.assigners.LeasedWorkerIdAssigner",
    "WORKER_IDS": None,
    "BACKDATED_WORKER_IDS": None,
    "DATABASE": "default",
    "ASSIGN": "auto",
    "TEST": {},
    "OPTIONS": {},
}


class InvalidSetting(UidError, ImproperlyConfigured):
    """A key or value of the ``UIDGEN`` setting is invalid."""


class WorkerIds(NamedTuple):
    """A range of worker ids, both ends included."""

    first: int
    last: int


class AssignerOptions(NamedTuple):
    """The options of assigners.

    ``lease``: the length of a lease in seconds. ``max_clock_skew``: seconds by which
    the clocks of host and database server may differ, None for no bound.
    ``worker_id``, ``worker_id_env`` and ``worker_table`` are for
    ``FixedWorkerIdAssigner``.
    """

    lease: float
    max_clock_skew: float | None
    worker_id: int | None
    worker_id_env: str | None
    worker_table: bool


class GeneratorConfig(NamedTuple):
    """The valid configuration of one alias of the ``UIDGEN`` setting."""

    alias: str
    generator: type[UidGenerator]
    layout: BitLayout
    assigner: type[WorkerIdAssigner]
    #: The worker ids that processes may lease.
    worker_ids: WorkerIds
    #: The worker ids reserved for backdated UIDs; None for none.
    backdated_worker_ids: WorkerIds | None
    database: str
    assign: str
    test_worker_id: int | None
    generator_options: GeneratorOptions
    assigner_options: AssignerOptions


def invalid(where: str, value: object, allowed: str) -> InvalidSetting:
    """Return an error that names the key ``where``, its value and what is allowed."""
    return InvalidSetting(f"{where} is {shown(value)}; it must be {allowed}.")


def shown(value: object) -> str:
    """Return ``value`` as text for an error message."""
    try:
        return repr(value)
    except ValueError:  # an int of more digits than Python converts to text
        return f"<{type(value).__name__} too large to show>"
