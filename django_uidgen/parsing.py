"""Read a UID: when, by which worker id, and by which process it was minted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django_uidgen.conf import DEFAULT_ALIAS, get_config
from django_uidgen.core.exceptions import InvalidUid
from django_uidgen.core.layout import MAX_BITS, BitLayout

if TYPE_CHECKING:
    from django_uidgen.models import WorkerNode

#: As many digits as 2**63 - 1 has, without leading zeros.
_UID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


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
        """The lease that the UID was minted under, looked up in the worker table.

        None where there is no such row: the UID was never minted, or was in a test run
        or without a table, or the row was deleted.
        """
        from django_uidgen.models import WorkerNode

        nodes = WorkerNode.objects.using(get_config(self.generator).database)
        return nodes.for_uid(self.uid, self.generator).first()


def to_uid(value: object) -> int:
    """Return ``value``, an int or its decimal digits, as a UID.

    Raise ``InvalidUid`` for anything else: text, signs, leading zeros, floats, bools,
    0, and more than 63 bits. Takes no time for huge numbers.
    """
    if isinstance(value, str):
        if _UID.fullmatch(value) is None:
            raise InvalidUid(
                f"{_shown(value)} is no UID: UIDs are 1 to 19 digits, without a sign "
                f"or leading zeros."
            )
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        raise InvalidUid(f"{_shown(value)} is no UID: it is not a whole number.")
    if number <= 0 or number.bit_length() > MAX_BITS:
        raise InvalidUid(
            f"{_shown(value)} is no UID: UIDs lie between 1 and 2**{MAX_BITS} - 1."
        )
    return number


def parse(uid: int | str, generator: str = DEFAULT_ALIAS) -> ParsedUid:
    """Return the parts of ``uid``, an int or its decimal digits.

    ``generator`` is the alias that minted it. Raise ``InvalidUid`` for what is no UID
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


def _shown(value: object) -> str:
    """Return ``value`` for a message, short, and without turning a huge int to text."""
    if isinstance(value, str):
        return repr(value) if len(value) <= 40 else f"{value[:40]!r}…"
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an int of {value.bit_length()} bits"
    if value is None or isinstance(value, int | float):
        return repr(value)
    return f"<{type(value).__name__}>"
