"""Parse a UID: when, with which worker id, and by which process it was minted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django_uidgen.conf import DEFAULT_ALIAS, get_config
from django_uidgen.core.layout import BitLayout
from django_uidgen.core.text import to_uid

if TYPE_CHECKING:
    from django_uidgen.models import WorkerNode

__all__ = ["ParsedUid", "parse", "to_uid"]


@dataclass(frozen=True)
class ParsedUid:
    """The parts of a UID of the generator ``generator``.

    ``minted_at`` is aware and in UTC, exact to one tick of ``layout``.
    """

    uid: int
    generator: str
    layout: BitLayout
    tick: int
    worker_id: int
    sequence: int
    minted_at: datetime

    @property
    def worker_node(self) -> WorkerNode | None:
        """The lease with which the UID was minted, from the worker table.

        None if there is no row: the UID was never minted, or in a test run, or without
        a worker table, or the row was deleted.
        """
        from django_uidgen.models import WorkerNode

        nodes = WorkerNode.objects.using(get_config(self.generator).database)
        return nodes.for_uid(self.uid, self.generator).first()


def parse(uid: int | str, generator: str = DEFAULT_ALIAS) -> ParsedUid:
    """Return the parts of ``uid``, an int or its decimal digits.

    ``generator`` is the alias that minted it. Raise ``InvalidUid`` if it is not a UID
    of that generator's layout, and ``InvalidSetting`` for an unknown alias.
    """
    layout = get_config(generator).layout
    number = to_uid(uid)
    parts = layout.decompose(number)
    return ParsedUid(
        uid=number,
        generator=generator,
        layout=layout,
        tick=parts.tick,
        worker_id=parts.worker_id,
        sequence=parts.sequence,
        minted_at=layout.moment(parts.tick),
    )
