"""The layout of a UID: widths of its fields, length of a tick, epoch."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from django_uidgen.core.exceptions import InvalidUid, LayoutError

#: The largest number of bits in a UID: a signed 64-bit column without its sign.
MAX_BITS = 63

DEFAULT_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

#: Widths of time, worker id and sequence in bits, and the length of a tick in ms.
PRESETS: dict[str, tuple[int, int, int, int]] = {
    # Twitter's Snowflake (2010): 69 years of milliseconds.
    "snowflake": (41, 10, 12, 1),
    # Baidu's UidGenerator: 8.5 years of seconds.
    "baidu": (28, 22, 13, 1000),
    # 53 bits in all, the integers that a JavaScript Number holds exactly.
    "javascript": (31, 10, 12, 1000),
}

_MILLISECOND = timedelta(milliseconds=1)
_LAST_MOMENT = datetime.max.replace(tzinfo=UTC)


class Parts(NamedTuple):
    """The three fields of a UID."""

    tick: int
    worker_id: int
    sequence: int


@dataclass(frozen=True)
class BitLayout:
    """Widths of the three fields of a UID, the length of a tick, and the epoch.

    A UID is ``tick << (worker_bits + sequence_bits) | worker_id << sequence_bits |
    sequence``: time in the high bits, so that UIDs sort by the time they were minted.

    ``tick_ms`` is the length of one tick in milliseconds; ``epoch`` is the moment of
    tick 0, an aware datetime in whole milliseconds.

    Raise ``LayoutError`` for a width below 1, widths of more than 63 bits in sum, a
    tick below 1 ms, or an epoch without time zone.

    Source: Twitter's Snowflake; the configurable widths are those of Baidu's
    BitsAllocator.
    """

    time_bits: int
    worker_bits: int
    sequence_bits: int
    _: KW_ONLY
    tick_ms: int = 1
    epoch: datetime = DEFAULT_EPOCH

    def __post_init__(self) -> None:
        for name in ("time_bits", "worker_bits", "sequence_bits", "tick_ms"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise LayoutError(
                    f"{name} is {value!r}; it must be an int of 1 or more."
                )
        if self.total_bits > MAX_BITS:
            raise LayoutError(
                f"The widths {self.time_bits} + {self.worker_bits} + "
                f"{self.sequence_bits} are {self.total_bits} bits in sum; "
                f"at most {MAX_BITS} fit into a UID."
            )
        if not isinstance(self.epoch, datetime) or self.epoch.utcoffset() is None:
            raise LayoutError(
                f"epoch is {self.epoch!r}; it must be a datetime with a time zone."
            )
        if self.epoch.microsecond % 1000:
            raise LayoutError(
                f"epoch is {self.epoch!r}; it must be whole milliseconds."
            )
        object.__setattr__(self, "epoch", self.epoch.astimezone(UTC))

    @classmethod
    def preset(cls, name: str, *, epoch: datetime = DEFAULT_EPOCH) -> Self:
        """Return the preset ``name``: snowflake, baidu or javascript.

        Raise ``LayoutError`` for another name.
        """
        try:
            time_bits, worker_bits, sequence_bits, tick_ms = PRESETS[name]
        except (KeyError, TypeError):
            raise LayoutError(
                f"{name!r} is not a layout preset; choose one of {', '.join(PRESETS)}."
            ) from None
        return cls(time_bits, worker_bits, sequence_bits, tick_ms=tick_ms, epoch=epoch)

    # Sizes.

    @property
    def total_bits(self) -> int:
        """The sum of the three widths."""
        return self.time_bits + self.worker_bits + self.sequence_bits

    @property
    def time_shift(self) -> int:
        """The number of bits below the tick."""
        return self.worker_bits + self.sequence_bits

    @property
    def worker_shift(self) -> int:
        """The number of bits below the worker id."""
        return self.sequence_bits

    @property
    def max_tick(self) -> int:
        """The last tick."""
        return (1 << self.time_bits) - 1

    @property
    def worker_count(self) -> int:
        """The number of worker ids."""
        return 1 << self.worker_bits

    @property
    def sequence_size(self) -> int:
        """The number of UIDs that one worker id has in one tick."""
        return 1 << self.sequence_bits

    @property
    def uids_per_second(self) -> float:
        """The number of UIDs that one worker id can mint in a second."""
        return self.sequence_size * 1000 / self.tick_ms

    @property
    def ends_at(self) -> datetime:
        """The end of the last tick, or the last moment that datetime can hold."""
        try:
            return self._moment(self.max_tick + 1)
        except OverflowError:
            return _LAST_MOMENT

    @property
    def fingerprint(self) -> str:
        """Text that is equal for two layouts only if they decompose UIDs alike."""
        return (
            f"{self.time_bits}/{self.worker_bits}/{self.sequence_bits} "
            f"{self.tick_ms}ms {self.epoch.isoformat(timespec='milliseconds')}"
        )

    # Ticks and moments.

    def tick_at(self, moment: datetime) -> int:
        """Return the tick of an aware ``moment``; negative before the epoch."""
        return (moment - self.epoch) // (self.tick_ms * _MILLISECOND)

    def ticks(self, seconds: float) -> int:
        """Return the number of whole ticks in ``seconds``."""
        return int(seconds * 1000 / self.tick_ms)

    def moment(self, tick: int) -> datetime:
        """Return the beginning of ``tick``, an aware datetime in UTC.

        Raise ``InvalidUid`` past the year 9999, which datetime cannot hold.
        """
        try:
            return self._moment(tick)
        except OverflowError as error:
            raise InvalidUid(
                f"Tick {tick} is past the year 9999; this UID cannot have been "
                f"minted with the layout {self.fingerprint!r}."
            ) from error

    def _moment(self, tick: int) -> datetime:
        return self.epoch + tick * self.tick_ms * _MILLISECOND

    # UIDs and parts.

    def compose(self, tick: int, worker_id: int, sequence: int) -> int:
        """Return the UID with the three fields.

        Raise ``InvalidUid`` if a field does not fit its width.
        """
        for name, value, bits in (
            ("tick", tick, self.time_bits),
            ("worker id", worker_id, self.worker_bits),
            ("sequence", sequence, self.sequence_bits),
        ):
            if not 0 <= value < 1 << bits:
                raise InvalidUid(f"The {name} {value!r} does not fit into {bits} bits.")
        return tick << self.time_shift | worker_id << self.worker_shift | sequence

    def decompose(self, uid: int) -> Parts:
        """Return the three fields of ``uid``.

        Raise ``InvalidUid`` if ``uid`` is negative or has more bits than the layout.
        """
        if not 0 <= uid < 1 << self.total_bits:
            raise InvalidUid(f"{uid!r} is not between 0 and 2**{self.total_bits} - 1.")
        return Parts(
            uid >> self.time_shift,
            uid >> self.worker_shift & self.worker_count - 1,
            uid & self.sequence_size - 1,
        )

    def lowest(self, moment: datetime) -> int:
        """Return the lowest UID of the tick of ``moment``.

        Raise ``InvalidUid`` if the layout has no such tick.
        """
        return self.compose(self.tick_at(moment), 0, 0)

    def highest(self, moment: datetime) -> int:
        """Return the highest UID of the tick of ``moment``.

        Raise ``InvalidUid`` if the layout has no such tick.
        """
        return self.compose(
            self.tick_at(moment), self.worker_count - 1, self.sequence_size - 1
        )
