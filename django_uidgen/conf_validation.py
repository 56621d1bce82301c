"""Check one alias of the ``UIDGEN`` setting, key by key.

``conf`` imports this at the first use of a generator and passes the values in: nothing
here reads settings. Each function returns the valid value, or raises an
``InvalidSetting`` that names the key, the value and what is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.module_loading import import_string

from django_uidgen.core.assigner import WorkerIdAssigner
from django_uidgen.core.exceptions import LayoutError
from django_uidgen.core.generators import GeneratorOptions, UidGenerator
from django_uidgen.core.layout import MAX_BITS, BitLayout
from django_uidgen.generator_config import (
    DEFAULTS,
    AssignerOptions,
    GeneratorConfig,
    InvalidSetting,
    WorkerIds,
    invalid,
    shown,
)


def validated(alias: str, given: Any, databases: Iterable[str]) -> GeneratorConfig:
    """Return the configuration of ``alias``, derived from the values ``given``.

    ``databases``: the aliases of the ``DATABASES`` setting.
    """
    where = f"UIDGEN[{alias!r}]"
    values = {**DEFAULTS, **_dict_of(where, given, tuple(DEFAULTS))}
    epoch = _epoch(f"{where}['EPOCH']", values["EPOCH"])
    layout = _layout(f"{where}['LAYOUT']", values["LAYOUT"], epoch)
    worker_ids, backdated = _divided_worker_ids(where, values, layout)
    options = _options(f"{where}['OPTIONS']", values["OPTIONS"])
    _check_times(f"{where}['OPTIONS']", options, layout)
    return GeneratorConfig(
        alias=alias,
        generator=_generator_class(f"{where}['GENERATOR']", values["GENERATOR"]),
        layout=layout,
        assigner=_assigner_class(
            f"{where}['WORKER_ID_ASSIGNER']", values["WORKER_ID_ASSIGNER"]
        ),
        worker_ids=worker_ids,
        backdated_worker_ids=backdated,
        # Django has the alias "default" even if DATABASES is empty.
        database=_choice(
            f"{where}['DATABASE']",
            values["DATABASE"],
            list(dict.fromkeys([DEFAULT_DB_ALIAS, *databases])),
        ),
        assign=_choice(
            f"{where}['ASSIGN']", values["ASSIGN"], ["auto", "ready", "first_use"]
        ),
        test_worker_id=_test_worker_id(f"{where}['TEST']", values["TEST"], worker_ids),
        generator_options=_generator_options(options),
        assigner_options=_assigner_options(f"{where}['OPTIONS']", options, worker_ids),
    )


# Helpers of several keys.


def _dict_of(where: str, value: Any, keys: tuple[str, ...]) -> Mapping[str, Any]:
    """Return ``value`` if it is a dict whose keys are all in ``keys``."""
    if not isinstance(value, Mapping):
        raise invalid(where, value, "a dict")
    for key in value:
        if key not in keys:
            raise InvalidSetting(
                f"{where} has the unknown key {shown(key)}; allowed are "
                f"{', '.join(keys)}."
            )
    return value


def _choice(where: str, value: Any, choices: list[str]) -> str:
    if value not in choices:
        raise invalid(where, value, f"one of {', '.join(map(repr, choices))}")
    return str(value)


# GENERATOR and WORKER_ID_ASSIGNER.


def _generator_class(where: str, value: Any) -> type[UidGenerator]:
    found = _imported(where, value)
    if not isinstance(found, type) or not issubclass(found, UidGenerator):
        allowed = f"the dotted path of a subclass of {UidGenerator.__name__}"
        raise invalid(where, value, allowed)
    return found


def _assigner_class(where: str, value: Any) -> type[WorkerIdAssigner]:
    found = _imported(where, value)
    if not isinstance(found, type) or not issubclass(found, WorkerIdAssigner):
        raise invalid(where, value, "the dotted path of a subclass of WorkerIdAssigner")
    for method in sorted(found.__abstractmethods__):
        raise InvalidSetting(
            f"{where} is {value!r}, which has no method {method}(); see "
            f"django_uidgen.core.assigner.WorkerIdAssigner."
        )
    return found


def _imported(where: str, value: Any) -> Any:
    # import_string raises various errors for other paths.
    if not isinstance(value, str) or not all(map(str.isidentifier, value.split("."))):
        raise invalid(where, value, "the dotted path of a class")
    try:
        return import_string(value)
    except ImportError as error:
        raise InvalidSetting(f"{where} is {value!r}: {error}") from error


# LAYOUT and EPOCH.

#: The keys of a layout given as a dict, and their highest values: a tick is at most one
#: day long.
_LAYOUT_LIMITS = {
    "time_bits": MAX_BITS,
    "worker_bits": MAX_BITS,
    "sequence_bits": MAX_BITS,
    "tick_ms": 86_400_000,
}


def _epoch(where: str, value: Any) -> datetime:
    epoch = _moment(where, value)
    try:
        # A naive epoch is in UTC.
        aware = epoch.utcoffset() is not None
        epoch = epoch.astimezone(UTC) if aware else epoch.replace(tzinfo=UTC)
    except OverflowError as error:
        raise invalid(where, value, "in the years 1 to 9999 of UTC") from error
    if epoch.microsecond % 1000:
        raise invalid(where, value, "in whole milliseconds")
    if epoch > datetime.now(UTC):
        raise invalid(where, value, "in the past: UIDs have no negative ticks")
    return epoch


def _moment(where: str, value: Any) -> datetime:
    moment = value
    if isinstance(value, str):
        try:
            moment = parse_datetime(value) or parse_date(value)
        except ValueError as error:
            raise invalid(where, value, f"a date that exists ({error})") from error
    if isinstance(moment, datetime):
        return moment
    if isinstance(moment, date):
        return datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    raise invalid(where, value, "a date or datetime such as '2026-01-01', in UTC")


def _layout(where: str, value: Any, epoch: datetime) -> BitLayout:
    try:
        if isinstance(value, str):
            return BitLayout.preset(value, epoch=epoch)
        if isinstance(value, Mapping):
            return BitLayout(**_widths(where, value), epoch=epoch)
    except LayoutError as error:
        raise InvalidSetting(f"{where} is {value!r}: {error}") from error
    raise invalid(where, value, "the name of a preset, or a dict of widths")


def _widths(where: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
    widths = _dict_of(where, value, tuple(_LAYOUT_LIMITS))
    missing = {"tick_ms", *widths} ^ set(_LAYOUT_LIMITS)
    if missing:
        raise InvalidSetting(
            f"{where} is {shown(value)}; it lacks {', '.join(sorted(missing))}."
        )
    for key, width in widths.items():
        if type(width) is not int or not 1 <= width <= _LAYOUT_LIMITS[key]:
            allowed = f"an int from 1 to {_LAYOUT_LIMITS[key]}"
            raise invalid(f"{where}[{key!r}]", width, allowed)
    return widths


# WORKER_IDS, BACKDATED_WORKER_IDS and TEST.


def _divided_worker_ids(
    where: str, values: Mapping[str, Any], layout: BitLayout
) -> tuple[WorkerIds, WorkerIds | None]:
    """Return the worker ids of processes, and those reserved for backdated UIDs.

    If neither are given, reserve the last worker ids.
    """
    highest = layout.worker_count - 1
    key, reserved_key = f"{where}['WORKER_IDS']", f"{where}['BACKDATED_WORKER_IDS']"
    given = _worker_ids(key, values["WORKER_IDS"], 0, highest)
    # Worker id 0 cannot be reserved: its lowest value is 0, and a UID is positive.
    reserved = _worker_ids(reserved_key, values["BACKDATED_WORKER_IDS"], 1, highest)
    if reserved is None:
        return (given, None) if given else _without_the_last(highest)
    if given is None:
        return _before(reserved_key, reserved, highest), reserved
    if reserved.first <= given.last and given.first <= reserved.last:
        allowed = f"apart from WORKER_IDS, {tuple(given)}"
        raise invalid(reserved_key, tuple(reserved), allowed)
    return given, reserved


def _without_the_last(highest: int) -> tuple[WorkerIds, WorkerIds | None]:
    """Reserve the last 64th of all worker ids, 64 at most, for backdated UIDs."""
    count = min((highest + 1) // 64, 64)
    if not count:
        return WorkerIds(0, highest), None
    return WorkerIds(0, highest - count), WorkerIds(highest - count + 1, highest)


def _before(where: str, reserved: WorkerIds, highest: int) -> WorkerIds:
    """Return the worker ids before the reserved ones, which must be the last."""
    if reserved.last < highest:
        allowed = f"the last of the worker ids, up to {highest}, or beside WORKER_IDS"
        raise invalid(where, tuple(reserved), allowed)
    return WorkerIds(0, reserved.first - 1)


def _worker_ids(where: str, value: Any, lowest: int, highest: int) -> WorkerIds | None:
    if value is None:
        return None
    if (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(type(end) is int for end in value)
        and lowest <= value[0] <= value[1] <= highest
    ):
        return WorkerIds(*value)
    raise invalid(where, value, f"(first, last) within {lowest} to {highest}")


def _test_worker_id(where: str, value: Any, worker_ids: WorkerIds) -> int | None:
    """Return the worker id of test runs, or None if they use the assigner."""
    if value is False:
        return None
    if not isinstance(value, Mapping):
        raise invalid(where, value, "False or {'WORKER_ID': number}")
    worker_id = _dict_of(where, value, ("WORKER_ID",)).get("WORKER_ID")
    fixed = _fixed_worker_id(f"{where}['WORKER_ID']", worker_id, worker_ids)
    return worker_ids.first if fixed is None else fixed


def _fixed_worker_id(where: str, value: Any, worker_ids: WorkerIds) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not worker_ids.first <= value <= worker_ids.last:
        allowed = f"an int from {worker_ids.first} to {worker_ids.last}"
        raise invalid(where, value, allowed)
    return value


# OPTIONS.


class _Option(NamedTuple):
    default: Any
    allowed: str
    holds: Callable[[Any], bool]


#: The highest value of an option in seconds. Some systems cannot wait longer.
_MOST_SECONDS = 1_000_000


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= _MOST_SECONDS


_SECONDS = f"a number of seconds above 0, at most {_MOST_SECONDS}"

_OPTIONS: dict[str, _Option] = {
    "LEASE": _Option(600, _SECONDS, lambda v: _is_seconds(v) and v > 0),
    "MAX_LEAD": _Option(
        1.0,
        f"a number of seconds from 0 to {_MOST_SECONDS}, or None for no bound",
        lambda v: v is None or _is_seconds(v),
    ),
    "MAX_AGE": _Option(
        1.0,
        f"{_SECONDS}, or None for no bound",
        lambda v: v is None or (_is_seconds(v) and v > 0),
    ),
    "MAX_WAIT": _Option(5.0, _SECONDS, lambda v: _is_seconds(v) and v > 0),
    "MAX_CLOCK_SKEW": _Option(
        60.0,
        f"{_SECONDS}, or None for no bound",
        lambda v: v is None or (_is_seconds(v) and v > 0),
    ),
    "BOOST_POWER": _Option(
        3, "an int from 0 to 16", lambda v: type(v) is int and 0 <= v <= 16
    ),
    "PADDING_FACTOR": _Option(
        50,
        "a percentage: an int from 1 to 100",
        lambda v: type(v) is int and 1 <= v <= 100,
    ),
    "WORKER_ID": _Option(None, "an int or None", lambda v: v is None or type(v) is int),
    "WORKER_ID_ENV": _Option(
        None,
        "the name of an environment variable, or None",
        lambda v: v is None or (isinstance(v, str) and v != ""),
    ),
    "WORKER_TABLE": _Option(
        default=True, allowed="True or False", holds=lambda v: isinstance(v, bool)
    ),
}


def _options(where: str, value: Any) -> dict[str, Any]:
    given = _dict_of(where, value, tuple(_OPTIONS))
    options = {
        name: given.get(name, option.default) for name, option in _OPTIONS.items()
    }
    for name, option in _OPTIONS.items():
        if not option.holds(options[name]):
            raise invalid(f"{where}[{name!r}]", options[name], option.allowed)
    return options


def _check_times(where: str, options: dict[str, Any], layout: BitLayout) -> None:
    """Compare the options with each other and with the length of a tick."""
    tick = layout.tick_ms / 1000
    max_wait, lease = options["MAX_WAIT"], options["LEASE"]
    if max_wait < tick:
        raise invalid(f"{where}['MAX_WAIT']", max_wait, f"at least one tick, {tick} s")
    shortest = 2 * max(tick, options["MAX_LEAD"] or 0.0)
    if lease < shortest:
        allowed = f"at least two ticks and twice MAX_LEAD, {shortest} s"
        raise invalid(f"{where}['LEASE']", lease, allowed)


def _generator_options(options: dict[str, Any]) -> GeneratorOptions:
    return GeneratorOptions(
        max_lead=options["MAX_LEAD"],
        max_age=options["MAX_AGE"],
        max_wait=options["MAX_WAIT"],
        boost_power=options["BOOST_POWER"],
        padding_factor=options["PADDING_FACTOR"],
    )


def _assigner_options(
    where: str, options: dict[str, Any], worker_ids: WorkerIds
) -> AssignerOptions:
    return AssignerOptions(
        lease=options["LEASE"],
        max_clock_skew=options["MAX_CLOCK_SKEW"],
        worker_id=_fixed_worker_id(
            f"{where}['WORKER_ID']", options["WORKER_ID"], worker_ids
        ),
        worker_id_env=options["WORKER_ID_ENV"],
        worker_table=options["WORKER_TABLE"],
    )
