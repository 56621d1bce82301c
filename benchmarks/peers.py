"""One id, and a batch, from this library, from others, and CPython's floors."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from benchmarks import ours
from benchmarks.report import Row, Section
from benchmarks.timing import Measure, batches, calls, in_turns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Calls in a round. Ours stay far within MAX_LEAD: 10,000 UIDs are 2.4 ms of a layout
#: that holds 4,096 a millisecond, and the clock catches up in the pauses.
CALLS = 10_000
PAUSE = 0.01

PACKAGES = [
    "snowflake-id",
    "snowflake-id-toolkit",
    "sonyflake-turbo",
    "uuid-utils",
    "fastuuid",
    "ulid-transform",
    "python-ulid",
    "tsidpy",
]

#: This library's.
OURS = (
    "uid()",
    "uid(), from the stock",
    "DefaultUidGenerator.uid()",
    "uids(1000), per UID",
    "DefaultUidGenerator.uids(1000), per UID",
)

SHOWN = "Nanoseconds for one id, the loop that asks for it included"


def rivals() -> dict[str, Callable[[], object]]:
    """Return what makes one id, by package."""
    import fastuuid
    import sonyflake_turbo
    import tsidpy
    import ulid
    import ulid_transform
    import uuid_utils
    from snowflake import SnowflakeGenerator
    from snowflake_id_toolkit import TwitterSnowflakeIDGenerator

    found: dict[str, Callable[[], object]] = {
        "ulid-transform ulid_now (C++, 128 bits as text)": ulid_transform.ulid_now,
        "sonyflake-turbo, 200 machine ids (C)": partial(
            next, sonyflake_turbo.SonyFlake(*range(200))
        ),
        "sonyflake-turbo, 1 machine id, which waits (C)": partial(
            next, sonyflake_turbo.SonyFlake(1)
        ),
        "uuid-utils uuid7 (Rust, 128 bits)": uuid_utils.uuid7,
        "uuid-utils uuid4 (Rust, 128 bits)": uuid_utils.uuid4,
        "fastuuid uuid7 (Rust, 128 bits)": fastuuid.uuid7,
        "snowflake-id": partial(next, SnowflakeGenerator(1)),
        "snowflake-id-toolkit": TwitterSnowflakeIDGenerator(1).generate_next_id,
        "tsidpy": tsidpy.TSID.create,
        "python-ulid (128 bits)": ulid.ULID,
        "uuid.uuid4 (128 bits)": uuid.uuid4,
    }
    if hasattr(uuid, "uuid7"):
        found["uuid.uuid7 (128 bits)"] = uuid.uuid7
    return found


def popleft() -> Measure:
    """Return a measure of the floor: a pop of a UID that is there already."""
    stock: deque[int] = deque()
    first = count(10**17, CALLS)

    def measure() -> float:
        begin = next(first)
        stock.extend(range(begin, begin + CALLS))
        return timed()

    timed = calls(stock.popleft, CALLS)
    return measure


def from_stock() -> Measure:
    """Return a measure of our pops alone: the stock is filled before."""
    generator = ours.cached()

    def measure() -> float:
        generator.uid()
        stock: Any = generator._own_stock()
        with stock.generation.lock:
            stock.buffer.fill(stock.generation.mint(CALLS).runs)
        return timed()

    timed = calls(generator.uid, CALLS)
    return measure


def lists(function: Callable[[int], object], size: int = 1000) -> Measure:
    """Return a measure of one id of a list of a thousand."""
    return batches(partial(function, size), size, 30)


def floor_of_lists() -> Measure:
    """Return a measure of the floor: a list of a thousand integers."""
    return lists(lambda size: list(range(10**17, 10**17 + size)))


def measures() -> dict[str, Measure]:
    """Return all, by name."""
    # Slow ones are called less often. So is one that sleeps when it is ahead.
    singly = {name: calls(one, CALLS // 5) for name, one in rivals().items()}
    name = "sonyflake-turbo, 1 machine id, which waits (C)"
    singly[name] = calls(rivals()[name], 600)
    return {
        "deque.popleft (the floor)": popleft(),
        OURS[0]: calls(ours.cached().uid, CALLS),
        OURS[1]: from_stock(),
        OURS[2]: calls(ours.exact().uid, CALLS),
        **singly,
        "list(range(1000)) (the floor), per item": floor_of_lists(),
        OURS[3]: lists(ours.cached().uids),
        OURS[4]: lists(ours.exact().uids),
    }


def run(*, quick: bool) -> Section:
    """Measure all in turns."""
    found = in_turns(measures(), 7 if quick else 60, pause=PAUSE)
    rows = [
        Row(name, value, "ns", remark=f"{1000 / value:.1f} M/s")
        for name, value in found.items()
    ]

    def draw(axes: Axes) -> None:
        names = list(reversed(found))
        colors = ["C1" if name in OURS else "C0" for name in names]
        bars = axes.barh(names, [found[name] for name in names], color=colors)
        axes.bar_label(bars, fmt="%.0f", padding=3)
        axes.set_xscale("log")
        axes.set_xlabel(SHOWN)

    return Section("peers", rows, {"ids": draw}, packages=PACKAGES)
