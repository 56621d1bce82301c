"""The worker table: which process may mint with which worker id in which ticks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import IntegrityError, models, transaction
from django.db.models import Exists, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_uidgen import conf
from django_uidgen.core.backdating import Blocks
from django_uidgen.core.exceptions import UidError
from django_uidgen.core.layout import BitLayout

#: The first term of a worker id that is kept for past moments says that it is kept.
_FIRST_PAST_TERM = 2


def past_term(blocks: Blocks, block: int, share: int) -> int:
    """Return the term of a share of ``block``.

    Each has one of its own, so the unique constraint lets each be leased once.
    """
    return _FIRST_PAST_TERM + blocks.number(block, share)


class WorkerNodeQuerySet(models.QuerySet["WorkerNode"]):
    """The verbs of the lease protocol. Each is one atomic compare-and-swap.

    All of them run on the database that the queryset is bound to by ``using()``.
    Ticks are those of the generator's layout.
    """

    def for_generator(self, alias: str) -> WorkerNodeQuerySet:
        """Keep the leases of the generator ``alias``."""
        return self.filter(generator=alias)

    def unsealed(self, alias: str) -> WorkerNodeQuerySet:
        """Keep the last lease of each worker id of ``alias``."""
        return self.filter(generator=alias, sealed=False)

    def live(self, alias: str, now: int) -> WorkerNodeQuerySet:
        """Keep the leases of ``alias`` that hold after tick ``now``."""
        return self.unsealed(alias).filter(reserved_until__gt=now)

    def for_uid(self, uid: int, alias: str = conf.DEFAULT_ALIAS) -> WorkerNodeQuerySet:
        """Keep the one lease that ``uid`` was minted under, if it is in the table."""
        layout = conf.get_config(alias).layout
        parts = layout.decompose(uid)
        blocks = Blocks(layout)
        share = parts.sequence // blocks.share_size
        kept = self.model._default_manager.using(self.db).kept(alias)
        return self.filter(
            ~Exists(kept.filter(worker_id=parts.worker_id))
            | Q(term=past_term(blocks, blocks.block_of(parts.tick), share)),
            generator=alias,
            worker_id=parts.worker_id,
            reserved_from__lte=parts.tick,
            reserved_until__gt=parts.tick,
        )

    def kept(self, alias: str) -> WorkerNodeQuerySet:
        """Keep the rows that say that a worker id is kept for past moments."""
        return self.filter(generator=alias, term=1, sealed=True, reserved_until=0)

    def start_term(self, *, term: int = 1, **values: Any) -> WorkerNode | None:
        """Insert the first lease of a worker id that was never used, or another term.

        Return None where another process was first: the unique constraint decides.
        """
        try:
            with transaction.atomic(using=self.db):
                return self.insert_quietly(term=term, **values)
        except IntegrityError:
            return None

    def kept_for_the_past(self, **values: Any) -> bool:
        """Keep a worker id for past moments, for ever; tell whether it is.

        Its first term, which would be the first lease of a process, is taken by a row
        without a tick, and sealed. So it is decided once, by the unique constraint: no
        process can lease the worker id any more, or this one has no right to the past.
        """
        kept = self.kept(values["generator"]).filter(worker_id=values["worker_id"])
        if kept.exists():
            return True
        self.start_term(reserved_from=0, reserved_until=0, sealed=True, **values)
        return kept.exists()

    def take_over(
        self, seen: WorkerNode, *, start: int, lease: int, end: int, **values: Any
    ) -> WorkerNode | None:
        """Seal the lease ``seen`` and insert its successor, for ``lease`` ticks.

        The successor begins at ``start``, but not before the end that was seen and
        sealed, and ends by ``end``. Return None where ``seen`` has changed meanwhile.
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
        """Insert a row and send no signal.

        A receiver that makes a row of its own for every row that is saved would mint
        while the lease is being claimed.
        """
        [node] = self.bulk_create([self.model(**values)])
        if not node.pk:  # pragma: no cover - MySQL, which has no RETURNING
            terms = self.filter(generator=node.generator, worker_id=node.worker_id)
            return terms.get(term=node.term)
        return node

    def renew(self, pk: int, until: int) -> bool:
        """Let the lease ``pk`` end at ``until``. Never shorten it, never unseal it."""
        # The last condition keeps a renewal that was given up by its client, but runs
        # late on the server, from shortening the lease.
        return bool(
            self.filter(pk=pk, sealed=False, reserved_until__lt=until).update(
                reserved_until=until, released_at=None, modified=timezone.now()
            )
        )

    def release(self, pk: int, until: int) -> bool:
        """Let the lease ``pk`` end at ``until``, of which no tick was minted."""
        now = timezone.now()
        return bool(
            self.filter(pk=pk, sealed=False).update(
                reserved_until=until, released_at=now, modified=now
            )
        )


class WorkerNode(models.Model):
    """One lease: the sole right of one process to mint with one worker id.

    It holds for the ticks ``[reserved_from, reserved_until)``. After Baidu's
    WORKER_NODE, whose worker ids are never used again.
    """

    class NodeType(models.IntegerChoices):
        """Where the process runs. The numbers are Baidu's."""

        CONTAINER = 1, _("container")
        ACTUAL = 2, _("actual machine")

    # Ours would need a UID to claim a lease, and a lease to mint a UID.
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
    released_at = models.DateTimeField(
        _("released at"),
        null=True,
        blank=True,
        help_text=_("When a clean exit gave the lease back."),
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
        """One row for each term of a worker id, found by worker id and by end."""

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
        """The layout of the ticks, or None where the generator has another by now."""
        try:
            layout = conf.get_config(self.generator).layout
        except UidError:
            return None
        return layout if layout.fingerprint == self.layout else None

    @property
    def state(self) -> str:
        """Return "live", "free" (lapsed or released) or "sealed"."""
        if self.sealed:
            return "sealed"
        layout = self.bit_layout
        if layout is None:
            return "free" if self.released_at else "live"
        lapsed = self.reserved_until <= layout.tick_at(datetime.now(UTC))
        return "free" if lapsed or self.released_at else "live"

    @property
    def reserved_from_at(self) -> datetime | None:
        """The moment of ``reserved_from``; None where the layout is not known."""
        return self._moment(self.reserved_from)

    @property
    def reserved_until_at(self) -> datetime | None:
        """The moment of ``reserved_until``; None for no end or an unknown layout."""
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
