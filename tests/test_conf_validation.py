"""One alias of the UIDGEN setting: every key, every invalid value, its message."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

import pytest
from django.conf import settings as django_settings

from django_uidgen import assigners, conf
from django_uidgen.conf import InvalidSetting, WorkerIds
from django_uidgen.core.assigner import WorkerIdAssigner
from django_uidgen.core.generators import (
    DefaultUidGenerator,
)
from django_uidgen.core.layout import BitLayout

HUGE = 10**5000  # more digits than Python turns to text, also for the name of a test

huge = pytest.param(HUGE, id="huge")
minus_huge = pytest.param(-HUGE, id="minus huge")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class NotAnAssigner:
    """Does not keep the contract of an assigner."""


class IncompleteAssigner(WorkerIdAssigner):
    """Lacks a method that has no default."""


not_a_class = object()


@pytest.fixture
def read(settings):
    """Return the configuration of "default" under the given values."""

    def config(**values):
        settings.UIDGEN = {"default": values}
        return conf.get_config("default")

    return config


@pytest.fixture
def error(read):
    """Return the message for the given values, which are invalid."""

    def message(**values):
        with pytest.raises(InvalidSetting) as caught:
            read(**values)
        return str(caught.value)

    return message


NARROW = {"time_bits": 41, "worker_bits": 5, "sequence_bits": 12, "tick_ms": 1}


def at(*path):
    """Return how a message names a key."""
    return "UIDGEN['default']" + "".join(f"[{key!r}]" for key in path)


# Unknown keys.


@pytest.mark.parametrize("key", ["layout", "NAME", "", 1, None, ("LAYOUT",)])
def test_unknown_key_of_an_alias(settings, key):
    """Keys are told apart by case, as all of Django's."""
    settings.UIDGEN = {"default": {key: "snowflake"}}
    with pytest.raises(InvalidSetting) as caught:
        conf.get_config("default")
    assert str(caught.value) == (
        f"UIDGEN['default'] has the unknown key {key!r}; allowed are GENERATOR, "
        "LAYOUT, EPOCH, WORKER_ID_ASSIGNER, WORKER_IDS, BACKDATED_WORKER_IDS, "
        "DATABASE, ASSIGN, TEST, "
        "OPTIONS."
    )


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        (
            "OPTIONS",
            {"lease": 5},
            "LEASE, MAX_LEAD, MAX_AGE, MAX_WAIT, MAX_CLOCK_SKEW, BOOST_POWER, PADD",
        ),
        ("OPTIONS", {HUGE: 5}, "LEASE"),
        ("TEST", {"NAME": "x"}, "WORKER_ID"),
        (
            "LAYOUT",
            {"epoch": "2026-01-01"},
            "time_bits, worker_bits, sequence_bits, tick_ms",
        ),
    ],
)
def test_unknown_key_of_a_part(error, name, value, allowed):
    """At every level the message lists the keys that there are."""
    [key] = value
    shown = "<int too large to show>" if key is HUGE else repr(key)
    message = error(**{name: value})
    start = f"{at(name)} has the unknown key {shown}; allowed are {allowed}"
    assert message.startswith(start)


@pytest.mark.parametrize("value", [None, [], "LEASE", 0, True])
def test_options_that_are_no_dict(error, value):
    """Said with the key and the value."""
    assert error(OPTIONS=value) == f"{at('OPTIONS')} is {value!r}; it must be a dict."


# GENERATOR and WORKER_ID_ASSIGNER.


def test_generator_by_its_dotted_path(read):
    """The class itself, from any module."""
    path = "django_uidgen.generators.DefaultUidGenerator"
    assert read(GENERATOR=path).generator is DefaultUidGenerator


@pytest.mark.parametrize("key", ["GENERATOR", "WORKER_ID_ASSIGNER"])
@pytest.mark.parametrize(
    "value", [None, 1, DefaultUidGenerator, "", ".", ".x", "x.", "a b.c", "a..b", []]
)
def test_what_is_no_dotted_path(error, key, value):
    """Not the class itself: settings are plain values."""
    message = f"{at(key)} is {value!r}; it must be the dotted path of a class."
    assert error(**{key: value}) == message


@pytest.mark.parametrize("key", ["GENERATOR", "WORKER_ID_ASSIGNER"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("CachedUidGenerator", "doesn't look like a module path"),
        ("no_such_module.Class", "No module named 'no_such_module'"),
        ("django_uidgen.generators.Nope", 'does not define a "Nope"'),
    ],
)
def test_dotted_path_that_leads_nowhere(error, key, value, reason):
    """The reason is that of the import."""
    message = error(**{key: value})
    assert message.startswith(f"{at(key)} is {value!r}: ")
    assert reason in message


@pytest.mark.parametrize(
    "value",
    [
        "tests.test_conf_validation.not_a_class",
        "tests.test_conf_validation.NotAnAssigner",
        "django_uidgen.registry.uid",
        "django_uidgen.registry",
        "builtins.int",
    ],
)
def test_generator_of_the_wrong_kind(error, value):
    """It has to be a subclass of the base class."""
    assert error(GENERATOR=value) == (
        f"{at('GENERATOR')} is {value!r}; it must be the dotted path of a subclass of "
        "UidGenerator."
    )


@pytest.mark.parametrize("name", ["not_a_class", "NotAnAssigner"])
def test_assigner_that_does_not_keep_the_contract(error, name):
    """It has to be a subclass of the base class."""
    value = f"tests.test_conf_validation.{name}"
    assert error(WORKER_ID_ASSIGNER=value) == (
        f"{at('WORKER_ID_ASSIGNER')} is {value!r}; it must be the dotted path of a "
        "subclass of WorkerIdAssigner."
    )


def test_base_of_the_assigners_with_the_table(error):
    """It does not choose a worker id."""
    value = "django_uidgen.assigners.TableAssigner"
    assert "has no method attempt()" in error(WORKER_ID_ASSIGNER=value)


def test_assigner_without_the_methods_of_one(error):
    """The message names what is missing, and where the protocol is written down."""
    value = "tests.test_conf_validation.IncompleteAssigner"
    assert error(WORKER_ID_ASSIGNER=value) == (
        f"{at('WORKER_ID_ASSIGNER')} is {value!r}, which has no method claim(); see "
        "django_uidgen.core.assigner.WorkerIdAssigner."
    )


@pytest.mark.parametrize(
    "name",
    ["LeasedWorkerIdAssigner", "DisposableWorkerIdAssigner", "FixedWorkerIdAssigner"],
)
def test_assigners_of_the_package(read, name):
    """Each by its path."""
    config = read(WORKER_ID_ASSIGNER=f"django_uidgen.assigners.{name}")
    assert config.assigner is getattr(assigners, name)


# LAYOUT and EPOCH.


@pytest.mark.parametrize(
    ("value", "layout"),
    [
        ("snowflake", BitLayout(41, 10, 12)),
        ("baidu", BitLayout(28, 22, 13, tick_ms=1000)),
        ("javascript", BitLayout(31, 10, 12, tick_ms=1000)),
        (
            {"time_bits": 40, "worker_bits": 11, "sequence_bits": 12},
            BitLayout(40, 11, 12),
        ),
        (
            {"time_bits": 39, "worker_bits": 16, "sequence_bits": 8, "tick_ms": 10},
            BitLayout(39, 16, 8, tick_ms=10),
        ),
        (
            {"time_bits": 61, "worker_bits": 1, "sequence_bits": 1, "tick_ms": 5000},
            BitLayout(61, 1, 1, tick_ms=5000),
        ),
    ],
)
def test_layout(read, value, layout):
    """The name of a preset, or widths and, if not 1 ms, the length of a tick."""
    assert read(LAYOUT=value).layout == layout


def test_unknown_preset(error):
    """The message lists the presets."""
    assert error(LAYOUT="twitter") == (
        f"{at('LAYOUT')} is 'twitter': 'twitter' is not a layout preset; choose one of "
        "snowflake, baidu, javascript."
    )


@pytest.mark.parametrize(
    "value", [None, 41, (41, 10, 12), [41, 10, 12], BitLayout.preset("baidu"), True]
)
def test_layout_of_the_wrong_type(error, value):
    """Widths have names."""
    assert error(LAYOUT=value) == (
        f"{at('LAYOUT')} is {value!r}; it must be the name of a preset, or a dict of "
        "widths."
    )


@pytest.mark.parametrize(
    ("value", "missing"),
    [
        ({}, "sequence_bits, time_bits, worker_bits"),
        ({"tick_ms": 1}, "sequence_bits, time_bits, worker_bits"),
        ({"time_bits": 41, "worker_bits": 10}, "sequence_bits"),
        ({"time_bits": HUGE}, "sequence_bits, worker_bits"),
    ],
)
def test_layout_that_lacks_a_width(error, value, missing):
    """The message lists what is missing."""
    shown = "<dict too large to show>" if HUGE in value.values() else repr(value)
    assert error(LAYOUT=value) == f"{at('LAYOUT')} is {shown}; it lacks {missing}."


@pytest.mark.parametrize("key", ["time_bits", "worker_bits", "sequence_bits"])
@pytest.mark.parametrize("width", [0, -1, 64, huge, minus_huge, 10.0, "10", True, None])
def test_width_that_cannot_be(error, key, width):
    """From 1 to 63, since a UID has 63 bits."""
    widths = {"time_bits": 41, "worker_bits": 10, "sequence_bits": 12, key: width}
    shown = "<int too large to show>" if width in (HUGE, -HUGE) else repr(width)
    assert error(LAYOUT=widths) == (
        f"{at('LAYOUT', key)} is {shown}; it must be an int from 1 to 63."
    )


@pytest.mark.parametrize("tick", [0, -1, 86_400_001, huge, 0.5, "1", True, None])
def test_tick_that_cannot_be(error, tick):
    """From a millisecond to a day."""
    widths = {"time_bits": 41, "worker_bits": 10, "sequence_bits": 12, "tick_ms": tick}
    shown = "<int too large to show>" if tick is HUGE else repr(tick)
    assert error(LAYOUT=widths) == (
        f"{at('LAYOUT', 'tick_ms')} is {shown}; it must be an int from 1 to 86400000."
    )


def test_widths_of_more_than_63_bits_in_sum(error):
    """The message gives the sum and the rule."""
    widths = {"time_bits": 41, "worker_bits": 11, "sequence_bits": 12}
    assert error(LAYOUT=widths) == (
        f"{at('LAYOUT')} is {widths!r}: The widths 41 + 11 + 12 are 64 bits in sum; at "
        "most 63 fit into a UID."
    )


class UndecidedZone(tzinfo):
    """A time zone that does not say how far it is from UTC."""

    def utcoffset(self, moment):
        return None


@pytest.mark.parametrize(
    ("value", "epoch"),
    [
        ("2026-01-01", EPOCH),
        ("2026-1-1", EPOCH),
        ("2020-02-29", datetime(2020, 2, 29, tzinfo=UTC)),
        ("2026-01-01T00:00:00", EPOCH),
        ("2026-01-01 00:00", EPOCH),
        ("2026-01-01T00:00:00Z", EPOCH),
        ("2026-01-01T08:00:00+08:00", EPOCH),
        ("2016-05-20T10:30:00.125", datetime(2016, 5, 20, 10, 30, 0, 125_000, UTC)),
        (date(2026, 1, 1), EPOCH),
        (datetime(2026, 1, 1), EPOCH),  # noqa: DTZ001 - without a time zone
        (EPOCH, EPOCH),
        (datetime(2026, 1, 1, 8, tzinfo=timezone(timedelta(hours=8))), EPOCH),
        (datetime(2026, 1, 1, tzinfo=UndecidedZone()), EPOCH),
        ("0001-01-01", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_epoch(read, value, epoch):
    """A date or a datetime, as text or not; in UTC where it names no time zone."""
    layout = read(EPOCH=value).layout
    assert layout.epoch == epoch
    assert layout.epoch.tzinfo is UTC


@pytest.mark.parametrize("layout", ["baidu", "javascript"])
def test_epoch_goes_with_every_layout(read, layout):
    """Presets are widths; the epoch is a key of its own."""
    config = read(LAYOUT=layout, EPOCH="2016-05-20")
    assert config.layout.epoch == datetime(2016, 5, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        None,
        0,
        1767225600,
        1767225600.0,
        True,
        "",
        "2026",
        "10:30",
        "1 January 2026",
        b"2026-01-01",
        [2026, 1, 1],
        "2026-01-01T",
        "0-0-0",
        datetime.now(UTC).time(),
    ],
)
def test_epoch_without_a_date(error, value):
    """Neither seconds since 1970 nor a time of day."""
    assert error(EPOCH=value) == (
        f"{at('EPOCH')} is {value!r}; it must be a date or datetime such as "
        "'2026-01-01', in UTC."
    )


@pytest.mark.parametrize(
    "value", ["2026-02-30", "2025-02-29", "2026-13-01", "2026-01-01 25:00"]
)
def test_epoch_that_never_was(error, value):
    """A date that is in no calendar is not taken for another."""
    message = error(EPOCH=value)
    start = f"{at('EPOCH')} is {value!r}; it must be a date that exists ("
    assert message.startswith(start)


def test_epoch_in_the_future(error):
    """Its ticks would be negative."""
    value = date.today() + timedelta(days=2)  # noqa: DTZ011 - a plain date
    for epoch in (value, value.isoformat(), f"{value.isoformat()}T00:00:00+14:00"):
        assert error(EPOCH=epoch) == (
            f"{at('EPOCH')} is {epoch!r}; it must be in the past: UIDs have no "
            "negative ticks."
        )


def test_epoch_of_less_than_a_millisecond(error):
    """Not cut to a millisecond behind anyone's back."""
    assert error(EPOCH="2026-01-01T00:00:00.0001") == (
        f"{at('EPOCH')} is '2026-01-01T00:00:00.0001'; it must be in whole "
        "milliseconds."
    )


def test_epoch_that_utc_cannot_express(error):
    """The first hours of the year 1 lie before it in UTC."""
    value = "0001-01-01T00:00:00+14:00"
    assert error(EPOCH=value) == (
        f"{at('EPOCH')} is {value!r}; it must be in the years 1 to 9999 of UTC."
    )


# WORKER_IDS and TEST.


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, (0, 1007)),
        ((0, 1023), (0, 1023)),
        ([512, 767], (512, 767)),
        ((7, 7), (7, 7)),
    ],
)
def test_worker_ids(read, value, expected):
    """First and last, both included; without the key, all that are not reserved."""
    worker_ids = read(WORKER_IDS=value).worker_ids
    assert worker_ids == expected
    assert isinstance(worker_ids, WorkerIds)


@pytest.mark.parametrize(
    "value",
    [
        (),
        (1,),
        (0, 1, 2),
        (5, 4),
        (-1, 5),
        (0, 1024),
        (1024, 1024),
        (0, HUGE),
        (0.0, 5),
        ("0", "5"),
        (False, True),
        (0, None),
        5,
        "05",
        {0, 5},
        {0: 5},
        range(6),
        True,
        False,
    ],
)
def test_worker_ids_that_cannot_be(error, value):
    """The message gives the range of the layout."""
    shown = "<tuple too large to show>" if value == (0, HUGE) else repr(value)
    assert error(WORKER_IDS=value) == (
        f"{at('WORKER_IDS')} is {shown}; it must be (first, last) within 0 to 1023."
    )


def test_range_of_worker_ids_is_that_of_the_layout(read, error):
    """22 bits hold four million."""
    assert read(LAYOUT="baidu").worker_ids == (0, 4_194_239)
    assert read(LAYOUT="baidu", WORKER_IDS=(5000, 6000)).worker_ids == (5000, 6000)
    message = error(LAYOUT="baidu", WORKER_IDS=(0, 4_194_304))
    assert message.endswith("within 0 to 4194303.")


@pytest.mark.parametrize(
    ("values", "minting", "reserved"),
    [
        ({}, (0, 1007), (1008, 1023)),
        ({"LAYOUT": "baidu"}, (0, 4_194_239), (4_194_240, 4_194_303)),
        ({"LAYOUT": NARROW}, (0, 31), None),
        ({"WORKER_IDS": (0, 1023)}, (0, 1023), None),
        ({"BACKDATED_WORKER_IDS": (1000, 1023)}, (0, 999), (1000, 1023)),
        ({"BACKDATED_WORKER_IDS": [1, 1023]}, (0, 0), (1, 1023)),
        (
            {"WORKER_IDS": (0, 255), "BACKDATED_WORKER_IDS": (256, 259)},
            (0, 255),
            (256, 259),
        ),
        ({"WORKER_IDS": (9, 9), "BACKDATED_WORKER_IDS": (1, 8)}, (9, 9), (1, 8)),
    ],
)
def test_reserved_worker_ids(read, values, minting, reserved):
    """The last ones by default, if there are enough."""
    config = read(**values)
    assert (config.worker_ids, config.backdated_worker_ids) == (minting, reserved)


@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        ({"BACKDATED_WORKER_IDS": (0, 5)}, "(first, last) within 1 to 1023"),
        ({"BACKDATED_WORKER_IDS": 5}, "(first, last) within 1 to 1023"),
        (
            {"BACKDATED_WORKER_IDS": (4, 5)},
            "the last of the worker ids, up to 1023, or beside WORKER_IDS",
        ),
        (
            {"BACKDATED_WORKER_IDS": (4, 5), "WORKER_IDS": (5, 6)},
            "apart from WORKER_IDS, (5, 6)",
        ),
        (
            {"BACKDATED_WORKER_IDS": (4, 5), "WORKER_IDS": (0, 4)},
            "apart from WORKER_IDS, (0, 4)",
        ),
    ],
)
def test_invalid_reserved_worker_ids(error, values, allowed):
    """Never the same for both, and not 0, whose lowest UID would be 0."""
    given = values["BACKDATED_WORKER_IDS"]
    assert error(**values) == (
        f"{at('BACKDATED_WORKER_IDS')} is {given!r}; it must be {allowed}."
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (False, None),
        ({}, 100),
        ({"WORKER_ID": 105}, 105),
        ({"WORKER_ID": 110}, 110),
        ({"WORKER_ID": None}, 100),
    ],
)
def test_worker_id_of_test_runs(read, value, expected):
    """False for real leases, else a worker id, the first of its own without one."""
    config = read(TEST=value, WORKER_IDS=(100, 110))
    assert config.test_worker_id == expected


@pytest.mark.parametrize("value", [None, True, 0, "", [], 5, "False"])
def test_test_of_the_wrong_type(error, value):
    """False itself, not what is falsy."""
    assert error(TEST=value) == (
        f"{at('TEST')} is {value!r}; it must be False or {{'WORKER_ID': number}}."
    )


@pytest.mark.parametrize("value", [99, 111, -1, True, 105.0, "105", [105]])
@pytest.mark.parametrize("part", ["TEST", "OPTIONS"])
def test_fixed_worker_id_that_cannot_be(error, part, value):
    """It lies within WORKER_IDS."""
    message = error(WORKER_IDS=(100, 110), **{part: {"WORKER_ID": value}})
    allowed = "an int from 100 to 110"
    if part == "OPTIONS" and type(value) is not int:
        allowed = "an int or None"
    assert message == f"{at(part, 'WORKER_ID')} is {value!r}; it must be {allowed}."


# DATABASE and ASSIGN.


def test_database(read):
    """An alias of DATABASES."""
    assert read(DATABASE="other").database == "other"


@pytest.mark.parametrize("value", ["nope", None, 1, [], {}, ""])
def test_unknown_database(error, value):
    """The message lists those that there are."""
    assert error(DATABASE=value) == (
        f"{at('DATABASE')} is {value!r}; it must be one of 'default', 'other'."
    )


def test_no_databases_at_all(monkeypatch):
    """Django has the alias "default" even then, and minting may need no table."""
    monkeypatch.setattr(django_settings, "DATABASES", {})
    assert conf.get_config("default").database == "default"


@pytest.mark.parametrize("value", ["auto", "ready", "first_use"])
def test_assign(read, value):
    """When the worker id is claimed."""
    assert read(ASSIGN=value).assign == value


@pytest.mark.parametrize("value", ["Auto", "", None, True, 1, [], "lazy"])
def test_unknown_assign(error, value):
    """The message lists what there is."""
    assert error(ASSIGN=value) == (
        f"{at('ASSIGN')} is {value!r}; it must be one of 'auto', 'ready', 'first_use'."
    )


# OPTIONS.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEASE", 2),
        ("LEASE", 2.5),
        ("LEASE", 1_000_000),
        ("MAX_LEAD", 0),
        ("MAX_LEAD", 0.25),
        ("MAX_LEAD", 300),
        ("MAX_LEAD", None),
        ("MAX_AGE", 0.001),
        ("MAX_AGE", 1_000_000),
        ("MAX_AGE", None),
        ("MAX_WAIT", 0.001),
        ("MAX_WAIT", 1_000_000),
        ("BOOST_POWER", 0),
        ("BOOST_POWER", 16),
        ("PADDING_FACTOR", 1),
        ("PADDING_FACTOR", 100),
        ("WORKER_ID", 0),
        ("WORKER_ID", 1007),
        ("WORKER_ID", None),
        ("WORKER_ID_ENV", "POD_NUMBER"),
        ("WORKER_ID_ENV", None),
        ("WORKER_TABLE", False),
        ("WORKER_TABLE", True),
    ],
)
def test_option(read, name, value):
    """Each reaches the generator or the assigner as it is."""
    config = read(OPTIONS={name: value})
    options = config.generator_options._asdict() | config.assigner_options._asdict()
    assert options[name.lower()] == value
    assert type(options[name.lower()]) is type(value)


SECONDS = "a number of seconds above 0, at most 1000000"

NOT_A_NUMBER = ["1", "", b"1", True, False, [], {}, 1j, float("nan"), float("inf")]
NOT_AN_INT = [1.0, "1", "", True, None, [], float("nan"), HUGE, -HUGE]


@pytest.mark.parametrize(
    ("name", "values", "allowed"),
    [
        ("LEASE", [0, -1, None, 1_000_001, 0.0, *NOT_A_NUMBER], SECONDS),
        (
            "MAX_LEAD",
            [-1, -0.5, 1_000_001, *NOT_A_NUMBER],
            "a number of seconds from 0 to 1000000, or None for no bound",
        ),
        (
            "MAX_AGE",
            [0, -1, 1_000_001, 0.0, *NOT_A_NUMBER],
            f"{SECONDS}, or None for no bound",
        ),
        ("MAX_WAIT", [0, -1, None, 1e300, *NOT_A_NUMBER], SECONDS),
        (
            "MAX_CLOCK_SKEW",
            [0, -1, 1_000_001, 0.0, *NOT_A_NUMBER],
            f"{SECONDS}, or None for no bound",
        ),
        ("BOOST_POWER", [-1, 17, *NOT_AN_INT], "an int from 0 to 16"),
        (
            "PADDING_FACTOR",
            [0, 101, *NOT_AN_INT],
            "a percentage: an int from 1 to 100",
        ),
        ("WORKER_ID", ["1", 1.0, True, []], "an int or None"),
        (
            "WORKER_ID_ENV",
            ["", 1, True, [], b"X"],
            "the name of an environment variable, or None",
        ),
        ("WORKER_TABLE", [0, 1, None, "False", []], "True or False"),
    ],
)
def test_option_that_cannot_be(error, name, values, allowed):
    """The message names the key, the value and what is allowed."""
    for value in values:
        shown = "<int too large to show>" if value in (HUGE, -HUGE) else repr(value)
        message = f"{at('OPTIONS', name)} is {shown}; it must be {allowed}."
        assert error(OPTIONS={name: value}) == message


@pytest.mark.parametrize(
    "name", ["LEASE", "MAX_LEAD", "MAX_AGE", "MAX_WAIT", "MAX_CLOCK_SKEW"]
)
@pytest.mark.parametrize("value", [huge, minus_huge, -float("inf")])
def test_huge_number_of_seconds(error, name, value):
    """Neither shown nor counted with."""
    shown = repr(value) if isinstance(value, float) else "<int too large to show>"
    message = error(OPTIONS={name: value})
    assert message.startswith(f"{at('OPTIONS', name)} is {shown}; it must be a number")


def test_longest_wait_is_one_that_python_can_wait(read):
    """A lock takes no longer timeout."""
    wait = read(OPTIONS={"MAX_WAIT": 1_000_000}).generator_options.max_wait
    assert threading.Lock().acquire(timeout=wait)


def test_lease_has_two_ticks_and_twice_max_lead(read, error):
    """Half of it is left when it is renewed, and UIDs may run ahead by MAX_LEAD."""
    assert read(OPTIONS={"LEASE": 10, "MAX_LEAD": 5}).assigner_options.lease == 10
    assert error(OPTIONS={"LEASE": 9.9, "MAX_LEAD": 5}) == (
        f"{at('OPTIONS', 'LEASE')} is 9.9; it must be at least two ticks and twice "
        "MAX_LEAD, 10 s."
    )
    for no_lead in (None, 0):
        options = {"LEASE": 1.9, "MAX_LEAD": no_lead}
        assert error(LAYOUT="baidu", OPTIONS=options).endswith("MAX_LEAD, 2.0 s.")
        options["LEASE"] = 2
        assert read(LAYOUT="baidu", OPTIONS=options).assigner_options.lease == 2


def test_max_wait_is_at_least_one_tick(read, error):
    """In less time, nothing can come after an exhausted tick."""
    assert read(LAYOUT="baidu", OPTIONS={"MAX_WAIT": 1}).generator_options.max_wait == 1
    assert error(LAYOUT="baidu", OPTIONS={"MAX_WAIT": 0.9}) == (
        f"{at('OPTIONS', 'MAX_WAIT')} is 0.9; it must be at least one tick, 1.0 s."
    )


def test_longest_tick_is_held_against_the_defaults(error):
    """A day is longer than the usual MAX_WAIT."""
    layout = {"time_bits": 20, "worker_bits": 10, "sequence_bits": 12}
    assert error(LAYOUT=layout | {"tick_ms": 86_400_000}) == (
        f"{at('OPTIONS', 'MAX_WAIT')} is 5.0; it must be at least one tick, 86400.0 s."
    )


def test_what_cannot_be_is_said_each_time(error):
    """No wrong setting is ever taken for a checked one."""
    assert error(LAYOUT="nope") == error(LAYOUT="nope")
