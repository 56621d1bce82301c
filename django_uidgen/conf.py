"""The ``UIDGEN`` setting, read live and checked whole. Alone in reading settings.

Every key is optional; so is the setting::

    UIDGEN = {
        "default": {
            "GENERATOR": "django_uidgen.generators.CachedUidGenerator",
            "LAYOUT": "snowflake",
            "EPOCH": "2026-01-01",
            "WORKER_ID_ASSIGNER": "django_uidgen.assigners.LeasedWorkerIdAssigner",
            "WORKER_IDS": (0, 1007),
            "BACKDATED_WORKER_IDS": (1008, 1023),
            "DATABASE": "default",
            "ASSIGN": "auto",
            "TEST": {"WORKER_ID": 0},
            "OPTIONS": {"LEASE": 600, "MAX_LEAD": 1.0, ...},
        },
    }
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import PurePath
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.module_loading import import_string

from django_uidgen.core.exceptions import LayoutError, UidError
from django_uidgen.core.generators import GeneratorOptions, UidGenerator
from django_uidgen.core.layout import DEFAULT_EPOCH, MAX_BITS, BitLayout

DEFAULT_ALIAS = "default"

_DEFAULTS: dict[str, Any] = {
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

#: One object, so that "no setting" is the same setting each time.
_NOTHING: dict[str, Any] = {}

#: The keys of a layout given as a dict, and the highest value of each. A tick of more
#: than a day would serve nobody.
_LAYOUT_LIMITS = {
    "time_bits": MAX_BITS,
    "worker_bits": MAX_BITS,
    "sequence_bits": MAX_BITS,
    "tick_ms": 86_400_000,
}

#: Characters of an alias: as many as its column in the worker table holds.
MAX_ALIAS_LENGTH = 64

#: The most seconds that an option may say. Python waits no longer on every system.
_MOST_SECONDS = 1_000_000


class InvalidSetting(UidError, ImproperlyConfigured):
    """A key or value of the ``UIDGEN`` setting that cannot be."""


class WorkerIds(NamedTuple):
    """The worker ids that a generator may use, both ends included."""

    first: int
    last: int


class AssignerOptions(NamedTuple):
    """What assigners may be told.

    ``lease``: seconds for which a worker id is reserved. ``max_clock_skew``: seconds
    by which the clock may differ from the database server's, None for any.
    ``worker_id``, ``worker_id_env`` and ``worker_table`` are those of
    ``FixedWorkerIdAssigner``.
    """

    lease: float
    max_clock_skew: float | None
    worker_id: int | None
    worker_id_env: str | None
    worker_table: bool


class GeneratorConfig(NamedTuple):
    """One alias of the ``UIDGEN`` setting, checked."""

    alias: str
    generator: type[UidGenerator]
    layout: BitLayout
    assigner: type[Any]
    worker_ids: WorkerIds
    #: Kept for UIDs of past moments; None for none.
    backdated_worker_ids: WorkerIds | None
    database: str
    assign: str
    test_worker_id: int | None
    generator_options: GeneratorOptions
    assigner_options: AssignerOptions


def raw_setting() -> Any:
    """Return the ``UIDGEN`` setting as it is, or an empty dict."""
    return getattr(settings, "UIDGEN", _NOTHING)


def aliases() -> list[str]:
    """Return the configured aliases; "default" is always one."""
    return _aliases(raw_setting())


def assign(alias: str) -> Any:
    """Return ``ASSIGN`` of ``alias`` as it is, without a look at anything else.

    To read a setting whole imports what it names.
    """
    values = raw_setting().get(alias, {})
    default = _DEFAULTS["ASSIGN"]
    return values.get("ASSIGN", default) if isinstance(values, Mapping) else default


def in_test_run() -> bool:
    """Tell whether Django's, or pytest-django's, test environment is set up."""
    # If nobody has imported it, nobody has set it up.
    utils = sys.modules.get("django.test.utils")
    if utils is None or not hasattr(utils._TestState, "saved_data"):
        return False
    # Django's tutorial sets it up in a shell, where the database is the real one.
    return not (hasattr(sys, "ps1") or _is_djangos_shell(sys.argv))


def _is_djangos_shell(argv: list[str]) -> bool:
    program = PurePath(*argv[:1])
    return argv[1:2] in (["shell"], ["shell_plus"]) and (
        program.stem in ("manage", "django-admin")
        or program.parts[-2:] == ("django", "__main__.py")
    )


class _Checked(NamedTuple):
    """Checked configurations, and the settings that they were read from."""

    uidgen: Any
    databases: Any
    configs: dict[str, GeneratorConfig]


_NOTHING_CHECKED = _Checked(None, None, {})

_checked = _NOTHING_CHECKED


def get_config(alias: str) -> GeneratorConfig:
    """Return the checked configuration of ``alias``.

    It is checked once, until ``UIDGEN`` or ``DATABASES`` is another object. Raise
    ``InvalidSetting`` that names the key, the value and what is allowed.
    """
    # Replaced whole, without a lock: threads may check twice, with equal results.
    global _checked  # noqa: PLW0603
    uidgen, databases = raw_setting(), settings.DATABASES
    checked = _checked
    if checked.uidgen is not uidgen or checked.databases is not databases:
        checked = _checked = _Checked(uidgen, databases, {})
    config = checked.configs.get(alias)
    if config is None:
        config = checked.configs[alias] = _read(alias, uidgen)
    return config


def forget() -> None:
    """Check anew at the next use, even where the setting is the same object."""
    global _checked  # noqa: PLW0603
    _checked = _NOTHING_CHECKED


def _read(alias: str, setting: Any) -> GeneratorConfig:
    known = _aliases(setting)
    if alias not in known:
        raise InvalidSetting(
            f"There is no generator {alias!r} in UIDGEN. Configured: "
            f"{', '.join(map(repr, known))}."
        )
    where = f"UIDGEN[{alias!r}]"
    values = _known(where, setting.get(alias, {}), tuple(_DEFAULTS))
    values = {**_DEFAULTS, **values}
    layout = _layout(
        where, values["LAYOUT"], _epoch(f"{where}['EPOCH']", values["EPOCH"])
    )
    worker_ids, backdated = _divided_worker_ids(where, values, layout)
    options = _options(f"{where}['OPTIONS']", values["OPTIONS"])
    _check_times(f"{where}['OPTIONS']", options, layout)
    return GeneratorConfig(
        alias=alias,
        generator=_class(
            f"{where}['GENERATOR']", values["GENERATOR"], base=UidGenerator
        ),
        layout=layout,
        assigner=_class(
            f"{where}['WORKER_ID_ASSIGNER']",
            values["WORKER_ID_ASSIGNER"],
            methods=("claim", "renew", "release", "must_be_provisional"),
        ),
        worker_ids=worker_ids,
        backdated_worker_ids=backdated,
        database=_database(f"{where}['DATABASE']", values["DATABASE"]),
        assign=_choice(
            f"{where}['ASSIGN']", values["ASSIGN"], ("auto", "ready", "first_use")
        ),
        test_worker_id=_test_worker_id(f"{where}['TEST']", values["TEST"], worker_ids),
        generator_options=GeneratorOptions(
            max_lead=options["MAX_LEAD"],
            max_age=options["MAX_AGE"],
            max_wait=options["MAX_WAIT"],
            boost_power=options["BOOST_POWER"],
            padding_factor=options["PADDING_FACTOR"],
        ),
        assigner_options=AssignerOptions(
            lease=options["LEASE"],
            max_clock_skew=options["MAX_CLOCK_SKEW"],
            worker_id=_fixed_worker_id(
                f"{where}['OPTIONS']['WORKER_ID']", options["WORKER_ID"], worker_ids
            ),
            worker_id_env=options["WORKER_ID_ENV"],
            worker_table=options["WORKER_TABLE"],
        ),
    )


# Each of these returns its value checked, or raises InvalidSetting.


def _wrong(where: str, value: object, allowed: str) -> InvalidSetting:
    return InvalidSetting(f"{where} is {_shown(value)}; it must be {allowed}.")


def _shown(value: object) -> str:
    """Return ``value`` for a message."""
    try:
        return repr(value)
    except ValueError:  # an int of more digits than Python turns to text
        return f"<{type(value).__name__} too large to show>"


def _aliases(setting: Any) -> list[str]:
    if not isinstance(setting, Mapping):
        raise _wrong("UIDGEN", setting, "a dict")
    for alias in setting:
        if not isinstance(alias, str) or not 1 <= len(alias) <= MAX_ALIAS_LENGTH:
            raise InvalidSetting(
                f"UIDGEN has the key {_shown(alias)}; an alias is a string of 1 to "
                f"{MAX_ALIAS_LENGTH} characters."
            )
    return list(dict.fromkeys([DEFAULT_ALIAS, *setting]))


def _known(where: str, value: Any, allowed: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(where, value, "a dict")
    for key in value:
        if key not in allowed:
            raise InvalidSetting(
                f"{where} has the unknown key {_shown(key)}; allowed are "
                f"{', '.join(allowed)}."
            )
    return value


def _epoch(where: str, value: Any) -> datetime:
    epoch = _moment(where, value)
    try:
        # Without a time zone it is meant to be in UTC.
        aware = epoch.utcoffset() is not None
        epoch = epoch.astimezone(UTC) if aware else epoch.replace(tzinfo=UTC)
    except OverflowError as error:
        raise _wrong(where, value, "in the years 1 to 9999 of UTC") from error
    if epoch.microsecond % 1000:
        raise _wrong(where, value, "in whole milliseconds")
    if epoch > datetime.now(UTC):
        raise _wrong(where, value, "in the past: UIDs have no negative times")
    return epoch


def _moment(where: str, value: Any) -> datetime:
    moment = value
    if isinstance(value, str):
        try:
            moment = parse_datetime(value) or parse_date(value)
        except ValueError as error:
            raise _wrong(where, value, f"a date that exists ({error})") from error
    if isinstance(moment, datetime):
        return moment
    if isinstance(moment, date):
        return datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    raise _wrong(where, value, "a date or datetime such as '2026-01-01', in UTC")


def _layout(where: str, value: Any, epoch: datetime) -> BitLayout:
    where = f"{where}['LAYOUT']"
    try:
        if isinstance(value, str):
            return BitLayout.preset(value, epoch=epoch)
        if isinstance(value, Mapping):
            return BitLayout(**_widths(where, value), epoch=epoch)
    except LayoutError as error:
        raise InvalidSetting(f"{where} is {value!r}: {error}") from error
    raise _wrong(where, value, "the name of a preset, or a dict of widths")


def _widths(where: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
    widths = _known(where, value, tuple(_LAYOUT_LIMITS))
    missing = {"tick_ms", *widths} ^ set(_LAYOUT_LIMITS)
    if missing:
        raise InvalidSetting(
            f"{where} is {_shown(value)}; it lacks {', '.join(sorted(missing))}."
        )
    for key, width in widths.items():
        if type(width) is not int or not 1 <= width <= _LAYOUT_LIMITS[key]:
            allowed = f"an int from 1 to {_LAYOUT_LIMITS[key]}"
            raise _wrong(f"{where}[{key!r}]", width, allowed)
    return widths


def _divided_worker_ids(
    where: str, values: Mapping[str, Any], layout: BitLayout
) -> tuple[WorkerIds, WorkerIds | None]:
    """Return the worker ids of processes, and those kept for UIDs of past moments.

    Where neither are given, the last of all worker ids are kept.
    """
    highest = layout.worker_count - 1
    key, kept_key = f"{where}['WORKER_IDS']", f"{where}['BACKDATED_WORKER_IDS']"
    given = _worker_ids(key, values["WORKER_IDS"], 0, highest)
    # The lowest UID of worker id 0 is 0, which is none.
    kept = _worker_ids(kept_key, values["BACKDATED_WORKER_IDS"], 1, highest)
    if kept is None:
        return (given, None) if given else _without_the_last(highest)
    if given is None:
        return _before(kept_key, kept, highest), kept
    if kept.first <= given.last and given.first <= kept.last:
        raise _wrong(kept_key, tuple(kept), f"apart from WORKER_IDS, {tuple(given)}")
    return given, kept


def _without_the_last(highest: int) -> tuple[WorkerIds, WorkerIds | None]:
    """Keep one worker id of 64, up to 64 of them, for UIDs of past moments."""
    kept = min((highest + 1) // 64, 64)
    if not kept:
        return WorkerIds(0, highest), None
    return WorkerIds(0, highest - kept), WorkerIds(highest - kept + 1, highest)


def _before(where: str, kept: WorkerIds, highest: int) -> WorkerIds:
    """Return all the worker ids that are not kept: those before them."""
    if kept.last < highest:
        allowed = f"the last of the worker ids, up to {highest}, or beside WORKER_IDS"
        raise _wrong(where, tuple(kept), allowed)
    return WorkerIds(0, kept.first - 1)


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
    raise _wrong(where, value, f"(first, last) within {lowest} to {highest}")


def _class(
    where: str,
    value: Any,
    *,
    base: type[Any] = object,
    methods: tuple[str, ...] = (),
) -> type[Any]:
    # Other paths make import_string raise all sorts of errors.
    if not isinstance(value, str) or not all(map(str.isidentifier, value.split("."))):
        raise _wrong(where, value, "the dotted path of a class")
    try:
        found = import_string(value)
    except ImportError as error:
        raise InvalidSetting(f"{where} is {value!r}: {error}") from error
    if not isinstance(found, type) or not issubclass(found, base):
        kind = "class" if base is object else f"subclass of {base.__name__}"
        raise _wrong(where, value, f"the dotted path of a {kind}")
    for method in methods:
        if not callable(getattr(found, method, None)):
            raise InvalidSetting(
                f"{where} is {value!r}, which has no method {method}(); see "
                f"django_uidgen.core.lease.WorkerIdAssigner."
            )
    return found


def _database(where: str, value: Any) -> str:
    # Django has the alias "default" even where DATABASES is empty.
    known = list(dict.fromkeys([DEFAULT_DB_ALIAS, *settings.DATABASES]))
    if value not in known:
        raise _wrong(where, value, f"one of {', '.join(map(repr, known))}")
    return str(value)


def _choice(where: str, value: Any, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise _wrong(where, value, f"one of {', '.join(map(repr, allowed))}")
    return str(value)


def _test_worker_id(where: str, value: Any, worker_ids: WorkerIds) -> int | None:
    """Return the worker id of test runs, or None where they lease one."""
    if value is False:
        return None
    if not isinstance(value, Mapping):
        raise _wrong(where, value, "False or {'WORKER_ID': number}")
    worker_id = _known(where, value, ("WORKER_ID",)).get("WORKER_ID", worker_ids.first)
    fixed = _fixed_worker_id(f"{where}['WORKER_ID']", worker_id, worker_ids)
    return worker_ids.first if fixed is None else fixed


def _fixed_worker_id(where: str, value: Any, worker_ids: WorkerIds) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not worker_ids.first <= value <= worker_ids.last:
        raise _wrong(
            where, value, f"an int from {worker_ids.first} to {worker_ids.last}"
        )
    return value


class _Option(NamedTuple):
    default: Any
    allowed: str
    holds: Callable[[Any], bool]


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
    given = _known(where, value, tuple(_OPTIONS))
    options = {
        name: given.get(name, option.default) for name, option in _OPTIONS.items()
    }
    for name, option in _OPTIONS.items():
        if not option.holds(options[name]):
            raise _wrong(f"{where}[{name!r}]", options[name], option.allowed)
    return options


def _check_times(where: str, options: dict[str, Any], layout: BitLayout) -> None:
    """Hold the options against each other and against the length of a tick."""
    tick = layout.tick_ms / 1000
    max_lead = options["MAX_LEAD"] or 0.0
    if options["MAX_WAIT"] < tick:
        raise _wrong(
            f"{where}['MAX_WAIT']", options["MAX_WAIT"], f"at least one tick, {tick} s"
        )
    if options["LEASE"] < 2 * max(tick, max_lead):
        raise _wrong(
            f"{where}['LEASE']",
            options["LEASE"],
            f"at least two ticks and twice MAX_LEAD, {2 * max(tick, max_lead)} s",
        )
