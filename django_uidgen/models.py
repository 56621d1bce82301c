"""The worker table: which process may mint with which worker id in which ticks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import IntegrityError, connections, models, transaction
from django.db.models import Count, Exists, F, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_uidgen import conf
from django_uidgen.core.backdated import Blocks
from django_uidgen.core.exceptions import UidError
from django_uidgen.core.layout import BitLayout

#: The term of the first slot: term 1 marks the worker id as reserved.
_FIRST_BACKDATED_TERM = 2


def backdated_term(blocks: Blocks, block: int, slot: int) -> int:
    """Return the term of a slot of ``block``.

    Every slot has a different term, so the unique constraint allows one lease of each.
    """
    return _FIRST_BACKDATED_TERM + blocks.number(block, slot)


#: The columns of a lease in the admin and the REST API, in this order.
SHOWN_COLUMNS = (
    "generator",
    "worker_id",
    "term",
    "state",
    "host_name",
    "process_id",
    "node_type",
    "launched_at",
    "reserved_from_at",
    "reserved_until_at",
    "released_at",
    "layout",
)

#: The columns of a list of leases in the admin and in ``manage.py uidgen``.
LISTED_COLUMNS = tuple(
    name
    for name in SHOWN_COLUMNS
    if name not in {"reserved_from_at", "released_at", "layout"}
)


class LeaseState(models.TextChoices):
    """The state of a lease at the present moment.

    If its generator has another layout now, the ticks of a lease cannot be interpreted,
    and it does not lapse.
    """

    LIVE = "live", _("live")
    #: The lease lapsed, or a clean exit released it.
    FREE = "free", _("free")
    #: A successor has taken the worker id, or the lease is a backdated one.
    SEALED = "sealed", _("sealed")


def _conditions() -> dict[LeaseState, Q]:
    """Return the condition of each state, which is ``WorkerNode.state`` in SQL."""
    now = datetime.now(UTC)
    over = Q(released_at__isnull=False)
    for config in conf.valid_configs():
        over |= Q(
            generator=config.alias,
            layout=config.layout.fingerprint,
            reserved_until__lte=config.layout.tick_at(now),
        )
    return {
        LeaseState.LIVE: Q(sealed=False) & ~over,
        LeaseState.FREE: Q(sealed=False) & over,
        LeaseState.SEALED: Q(sealed=True),
    }


class WorkerNodeQuerySet(models.QuerySet["WorkerNode"]):
    """Filters of the worker table, and the verbs of the lease protocol.

    Each verb is one atomic compare-and-swap, on the database of the queryset. Ticks are
    those of the generator's layout.
    """

    def table_exists(self) -> bool:
        """Return whether the worker table is in the database."""
        tables = connections[self.db].introspection.table_names()
        return self.model._meta.db_table in tables

    def for_generator(self, alias: str) -> WorkerNodeQuerySet:
        """Restrict to the leases of the generator ``alias``."""
        return self.filter(generator=alias)

    def unsealed(self, alias: str) -> WorkerNodeQuerySet:
        """Restrict to the last lease of each worker id of ``alias``."""
        return self.filter(generator=alias, sealed=False)

    def reserved_beyond(self, alias: str, tick: int) -> WorkerNodeQuerySet:
        """Restrict to the unsealed leases of ``alias`` that end after ``tick``.

        They may include released ones, which are not live.
        """
        return self.unsealed(alias).filter(reserved_until__gt=tick)

    def in_state(self, state: str) -> WorkerNodeQuerySet:
        """Restrict to the leases in ``state``, a ``LeaseState`` or its value.

        Raise ``ValueError`` for any other state.
        """
        return self.filter(_conditions()[LeaseState(state)])

    def count_states(self) -> dict[str, int]:
        """Return the number of leases in each state, with one query."""
        counts = {
            state.value: Count("pk", filter=condition)
            for state, condition in _conditions().items()
        }
        return self.aggregate(**counts)

    def count_ids_left(self, config: conf.GeneratorConfig) -> tuple[int, int]:
        """Return the number of unused worker ids, and of those that are free again."""
        first, last = config.worker_ids
        mine = self.for_generator(config.alias).filter(worker_id__range=(first, last))
        used = mine.values("worker_id").distinct().count()
        return last - first + 1 - used, mine.in_state(LeaseState.FREE).count()

    def for_uid(self, uid: int, alias: str = conf.DEFAULT_ALIAS) -> WorkerNodeQuerySet:
        """Restrict to the one lease with which ``uid`` was minted, or none."""
        layout = conf.get_config(alias).layout
        parts = layout.decompose(uid)
        blocks = Blocks(layout)
        slot = parts.sequence // blocks.slot_size
        reserved = self.model._default_manager.using(self.db).reserved(alias)
        return self.filter(
            ~Exists(reserved.filter(worker_id=parts.worker_id))
            | Q(term=backdated_term(blocks, blocks.block_of(parts.tick), slot)),
            generator=alias,
            worker_id=parts.worker_id,
            reserved_from__lte=parts.tick,
            reserved_until__gt=parts.tick,
        )

    def may_be_deleted(self) -> WorkerNodeQuerySet:
        """Restrict to sealed leases of processes on which nothing depends.

        The first and the last lease of a worker id stay: the first one shows that the
        worker id is not reserved for backdated UIDs.
        """
        # A reserved worker id has no unsealed row. Its other rows may have the default
        # kind: versions without that column insert them so.
        later = self.model._default_manager.using(self.db).filter(
            generator=OuterRef("generator"),
            worker_id=OuterRef("worker_id"),
            sealed=False,
        )
        mine = self.filter(kind=WorkerNode.Kind.PROCESS, sealed=True, term__gt=1)
        return mine.filter(Exists(later))

    def reserved(self, alias: str) -> WorkerNodeQuerySet:
        """Restrict to the rows that reserve a worker id for backdated UIDs."""
        # Not by kind: an index has these columns, and older versions set no kind.
        return self.filter(generator=alias, term=1, sealed=True, reserved_until=0)

    def start_term(self, *, term: int = 1, **values: Any) -> WorkerNode | None:
        """Insert a lease: by default the first term of an unused worker id.

        Return None if the term exists: the unique constraint decides a race.
        """
        try:
            with transaction.atomic(using=self.db):
                return self.insert_quietly(term=term, **values)
        except IntegrityError:
            return None

    def reserve(self, **values: Any) -> bool:
        """Reserve a worker id for backdated UIDs for ever. Return whether it is.

        Insert a sealed row without ticks as its first term, which would otherwise be
        the first lease of a process. The unique constraint decides once and for all
        between the two uses of the worker id.
        """
        reserved = self.reserved(values["generator"]).filter(
            worker_id=values["worker_id"]
        )
        if reserved.exists():
            return True
        self.start_term(
            reserved_from=0,
            reserved_until=0,
            sealed=True,
            kind=WorkerNode.Kind.RESERVED,
            **values,
        )
        return reserved.exists()

    def take_over(
        self, seen: WorkerNode, *, start: int, lease: int, end: int, **values: Any
    ) -> WorkerNode | None:
        """Seal the lease ``seen`` and insert its successor, of ``lease`` ticks.

        The successor begins at ``start``, or at the end of ``seen`` if that is later,
        and ends at ``end`` at the latest. Return None if ``seen`` has changed since it
        was read.
        """
        with transaction.atomic(using=self.db):
            sealed = self.filter(
                pk=seen.pk, sealed=False, reserved_until=seen.reserved_until
            ).update(sealed=True, modified=timezone.now())
            if not sealed:
                return None
            reserved_from = max(seen.reserved_until, start)
            return self.insert_quietly(
                worker_id=seen.worker_id,
                term=seen.term + 1,
                reserved_from=reserved_from,
                reserved_until=min(reserved_from + lease, end),
                **values,
            )

    def insert_quietly(self, **values: Any) -> WorkerNode:
        """Insert a row without sending signals.

        A receiver that creates a row for every saved row would mint while the lease is
        being claimed.
        """
        [node] = self.bulk_create([self.model(**values)])
        if not node.pk:  # pragma: no cover - MySQL, which has no RETURNING
            terms = self.filter(generator=node.generator, worker_id=node.worker_id)
            return terms.get(term=node.term)
        return node

    def found_by_a_write(self) -> bool:
        """Return whether there is a row, by a write that changes nothing.

        A read may be answered by a replica, or by an older snapshot.
        """
        return bool(self.update(sealed=F("sealed")))

    def renew(self, pk: int, until: int) -> bool:
        """Extend the unsealed lease ``pk`` to ``until``. Return whether it changed."""
        # Without the last condition, a renewal that runs late on the server, after its
        # client has timed out, could shorten the lease.
        return bool(
            self.filter(pk=pk, sealed=False, reserved_until__lt=until).update(
                reserved_until=until, released_at=None, modified=timezone.now()
            )
        )

    def release(self, pk: int, until: int) -> bool:
        """Release the unsealed lease ``pk``. Return whether it changed.

        It ends at ``until``, the first tick in which nothing was minted.
        """
        now = timezone.now()
        return bool(
            self.filter(pk=pk, sealed=False).update(
                reserved_until=until, released_at=now, modified=now
            )
        )


class WorkerNode(models.Model):
    """One lease: the sole right of one process to mint with one worker id.

    It covers the ticks ``[reserved_from, reserved_until)``. After Baidu's WORKER_NODE,
    whose worker ids are never used again.
    """

    class NodeType(models.IntegerChoices):
        """The environment of the process. The numbers are Baidu's."""

        CONTAINER = 1, _("container")
        ACTUAL = 2, _("actual machine")

    class Kind(models.TextChoices):
        """What a row is for."""

        PROCESS = "process", _("lease of a process")
        BACKDATED = "backdated", _("lease of backdated UIDs")
        RESERVED = "reserved", _("reserves a worker id for backdated UIDs")

    # With a UidAutoField, a claim would need a UID, and a UID needs a lease.
    id = models.BigAutoField(primary_key=True)
    generator = models.CharField(_("generator"), max_length=64)
    worker_id = models.BigIntegerField(_("worker id"))
    term = models.PositiveIntegerField(
        _("term"), help_text=_("Counts the leases of one worker id: 1, 2, 3 …")
    )
    reserved_from = models.BigIntegerField(_("reserved from"), help_text=_("Tick."))
    reserved_until = models.BigIntegerField(
        _("reserved until"), help_text=_("Tick, not included.")
    )
    sealed = models.BooleanField(
        _("sealed"),
        default=False,
        help_text=_("A successor has taken the worker id; this lease is over."),
    )
    kind = models.CharField(
        _("kind"),
        max_length=9,
        choices=Kind.choices,
        default=Kind.PROCESS,
        # Versions without this column still insert rows while they are replaced.
        db_default=Kind.PROCESS,
    )
    released_at = models.DateTimeField(
        _("released at"),
        null=True,
        blank=True,
        help_text=_("When a clean exit released the lease."),
    )
    layout = models.CharField(
        _("layout"), max_length=80, help_text=_("Widths, length of a tick, epoch.")
    )
    host_name = models.CharField(_("host name"), max_length=255)
    process_id = models.BigIntegerField(_("process id"))
    node_type = models.PositiveSmallIntegerField(
        _("node type"), choices=NodeType.choices
    )
    launched_at = models.DateTimeField(_("launched at"))
    created = models.DateTimeField(_("created"), auto_now_add=True)
    modified = models.DateTimeField(_("modified"), auto_now=True)

    objects = WorkerNodeQuerySet.as_manager()

    class Meta:
        """One row for each term of a worker id; indexes by worker id and by end."""

        verbose_name = _("worker node")
        verbose_name_plural = _("worker nodes")
        constraints = [
            models.UniqueConstraint(
                fields=["generator", "worker_id", "term"],
                name="uidgen_one_lease_a_term",
            ),
        ]
        indexes = [
            models.Index(
                fields=["generator", "sealed", "worker_id"], name="uidgen_by_worker_id"
            ),
            models.Index(
                fields=["generator", "sealed", "reserved_until"], name="uidgen_by_end"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.generator}: worker id {self.worker_id}, term {self.term}"

    @property
    def bit_layout(self) -> BitLayout | None:
        """The layout of the ticks; None if the generator has another one now."""
        try:
            layout = conf.get_config(self.generator).layout
        except UidError:
            return None
        return layout if layout.fingerprint == self.layout else None

    @property
    def state(self) -> LeaseState:
        """The state at the present moment. ``in_state()`` finds leases by it."""
        if self.sealed:
            return LeaseState.SEALED
        over = self.released_at is not None or self._has_lapsed
        return LeaseState.FREE if over else LeaseState.LIVE

    @property
    def _has_lapsed(self) -> bool:
        layout = self.bit_layout
        now = datetime.now(UTC)
        return layout is not None and self.reserved_until <= layout.tick_at(now)

    @property
    def reserved_from_at(self) -> datetime | None:
        """The moment of ``reserved_from``; None if the layout is another one now."""
        return self._moment(self.reserved_from)

    @property
    def reserved_until_at(self) -> datetime | None:
        """The moment of ``reserved_until``.

        None if the lease lasts to the end of the layout, or the layout is another now.
        """
        layout = self.bit_layout
        if layout is None or self.reserved_until > layout.max_tick:
            return None
        return self._moment(self.reserved_until)

    def _moment(self, tick: int) -> datetime | None:
        layout = self.bit_layout
        try:
            return None if layout is None else layout.moment(tick)
        except UidError:
            return None
