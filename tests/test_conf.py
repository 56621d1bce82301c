"""The UIDGEN setting: its defaults, its aliases, and when it is read."""

from __future__ import annotations

import copy
from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_uidgen import assigners, conf, conf_validation
from django_uidgen.conf import InvalidSetting
from django_uidgen.core.exceptions import UidError
from django_uidgen.core.generators import (
    CachedUidGenerator,
    GeneratorOptions,
)
from django_uidgen.core.layout import BitLayout
from django_uidgen.generator_config import DEFAULTS
from django_uidgen.models import WorkerNode

HUGE = 10**5000  # more digits than Python turns to text, also for the name of a test

huge = pytest.param(HUGE, id="huge")
minus_huge = pytest.param(-HUGE, id="minus huge")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

README = Path(__file__).resolve().parents[1] / "README.md"

ABSENT = object()


# What holds without the setting.


@pytest.mark.parametrize("setting", [ABSENT, {}, {"default": {}}])
def test_defaults(settings, setting):
    """Every key is optional, and so is the setting."""
    if setting is ABSENT:
        del settings.UIDGEN
    else:
        settings.UIDGEN = setting
    config = conf.get_config("default")
    assert config.alias == "default"
    assert config.generator is CachedUidGenerator
    assert config.layout == BitLayout(41, 10, 12, tick_ms=1, epoch=EPOCH)
    assert config.assigner is assigners.LeasedWorkerIdAssigner
    assert config.worker_ids == (0, 1007)
    assert config.backdated_worker_ids == (1008, 1023)
    assert config.database == "default"
    assert config.assign == "auto"
    assert config.test_worker_id == 0
    assert config.generator_options == GeneratorOptions(
        max_lead=1.0, max_age=1.0, max_wait=5.0, boost_power=3, padding_factor=50
    )
    assert config.assigner_options == conf.AssignerOptions(
        lease=600,
        max_clock_skew=60.0,
        worker_id=None,
        worker_id_env=None,
        worker_table=True,
    )
    assert conf.aliases() == ["default"]


def test_defaults_are_those_of_the_generator():
    """One set of defaults, whether a generator is made by the setting or by hand."""
    options = conf.get_config("default").generator_options
    assert options == GeneratorOptions()
    assert DEFAULTS["EPOCH"] == BitLayout.preset("snowflake").epoch


def test_every_key_of_the_documentation_of_the_module_is_known():
    """And the other way round: the docstring lists them all."""
    documented = conf.__doc__ or ""
    assert all(f'"{key}"' in documented for key in DEFAULTS)


@pytest.mark.parametrize("name", [*DEFAULTS, *conf_validation._OPTIONS])
def test_every_key_is_documented(name):
    """In the README, with its value."""
    text = README.read_text()
    assert f"`{name}`" in text or f'"{name}": ' in text


def test_nothing_is_written_into_the_settings(settings):
    """Neither defaults nor checked values, and an absent setting stays absent."""
    given = {"default": {"OPTIONS": {"LEASE": 5}, "LAYOUT": {}}, "orders": {}}
    given["default"]["LAYOUT"] = {
        "time_bits": 41,
        "worker_bits": 10,
        "sequence_bits": 12,
    }
    settings.UIDGEN = given
    before = copy.deepcopy(given)
    for alias in conf.aliases():
        conf.get_config(alias)
    assert settings.UIDGEN is given
    assert given == before
    del settings.UIDGEN
    conf.get_config("default")
    assert not hasattr(django_settings, "UIDGEN")


# The dict of aliases.


def test_default_is_always_an_alias(settings):
    """Configured or not, and first."""
    settings.UIDGEN = {"orders": {}, "users": {}}
    assert conf.aliases() == ["default", "orders", "users"]
    settings.UIDGEN = {"orders": {}, "default": {}}
    assert conf.aliases() == ["default", "orders"]


@pytest.mark.parametrize("kind", [dict, OrderedDict, MappingProxyType])
def test_any_mapping_will_do(settings, kind):
    """A dict, or what behaves as one."""
    settings.UIDGEN = kind(
        {
            "default": kind(
                {
                    "LAYOUT": kind(
                        {"time_bits": 40, "worker_bits": 10, "sequence_bits": 12}
                    ),
                    "TEST": kind({"WORKER_ID": 3}),
                    "OPTIONS": kind({"LEASE": 7}),
                }
            )
        }
    )
    config = conf.get_config("default")
    assert config.layout.time_bits == 40
    assert config.test_worker_id == 3
    assert config.assigner_options.lease == 7


@pytest.mark.parametrize("value", [None, [], "default", 0, [("default", {})], huge])
def test_setting_that_is_no_dict(settings, value):
    """Said once for all aliases."""
    settings.UIDGEN = value
    shown = "<int too large to show>" if value is HUGE else repr(value)
    for use in (conf.aliases, lambda: conf.get_config("default")):
        with pytest.raises(InvalidSetting) as caught:
            use()
        assert str(caught.value) == f"UIDGEN is {shown}; it must be a dict."


@pytest.mark.parametrize("alias", [1, None, "", ("a",), "x" * 65, b"default"])
def test_alias_that_cannot_be(settings, alias):
    """An alias is a short string: it is a column of the worker table."""
    settings.UIDGEN = {alias: {}}
    with pytest.raises(InvalidSetting) as caught:
        conf.aliases()
    assert str(caught.value) == (
        f"UIDGEN has the key {alias!r}; an alias is a string of 1 to 64 characters."
    )


def test_longest_alias_fits_its_column(settings):
    """The limit is that of the worker table."""
    alias = "x" * conf.MAX_ALIAS_LENGTH
    settings.UIDGEN = {alias: {}}
    assert conf.get_config(alias).alias == alias
    column = WorkerNode._meta.get_field("generator")
    assert column.max_length == conf.MAX_ALIAS_LENGTH


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("default", "Default"),
        ("orders", "Orders"),
        ("orders", "orders  "),
        ("café", "CAFE"),
        ("straße", "STRASSE"),
        ("a\u200bb", "AB"),
    ],
)
def test_aliases_that_a_database_may_not_tell_apart(settings, one, other):
    """They would share their worker ids, by the collations of MySQL and MariaDB.

    So on every database: a project may move.
    """
    settings.UIDGEN = {one: {}, "users": {}, other: {}}
    for use in (conf.aliases, lambda: conf.get_config("users")):
        with pytest.raises(InvalidSetting) as caught:
            use()
        assert f"the aliases {one!r} and {other!r}." in str(caught.value)
        assert "MariaDB compare text without case" in str(caught.value)
        assert "Rename one of them." in str(caught.value)


def test_aliases_that_every_database_tells_apart(settings):
    """What differs by more than that may stand side by side."""
    given = ["orders", " orders", "orders_2", "order", "caf", "café", "订单", "用户"]
    settings.UIDGEN = {alias: {} for alias in given}
    assert conf.aliases() == ["default", *given]


def test_unknown_alias(settings):
    """The message lists those that are configured."""
    settings.UIDGEN = {"orders": {}}
    with pytest.raises(InvalidSetting) as caught:
        conf.get_config("users")
    assert str(caught.value) == (
        "There is no generator 'users' in UIDGEN. Configured: 'default', 'orders'."
    )


def test_invalid_setting_is_a_configuration_error():
    """For Django's callers as well as for ours."""
    assert issubclass(InvalidSetting, ImproperlyConfigured)
    assert issubclass(InvalidSetting, UidError)


def test_one_wrong_alias_does_not_spoil_the_others(settings):
    """Each is checked by itself."""
    settings.UIDGEN = {"default": {}, "orders": {"LAYOUT": "nope"}}
    assert conf.get_config("default").alias == "default"
    with pytest.raises(InvalidSetting, match="orders"):
        conf.get_config("orders")


@pytest.mark.parametrize("value", [None, [], "x", 1, True])
def test_alias_whose_value_is_no_dict(settings, value):
    """Also None, which might be taken for no value."""
    settings.UIDGEN = {"default": value}
    with pytest.raises(InvalidSetting) as caught:
        conf.get_config("default")
    message = f"UIDGEN['default'] is {value!r}; it must be a dict."
    assert str(caught.value) == message


# How it is read.


def test_read_live():
    """Nothing is frozen at import, and what was before is back afterwards."""
    before = conf.get_config("default")
    with override_settings(UIDGEN={"default": {"LAYOUT": "baidu"}, "x": {}}):
        assert conf.get_config("default").layout.time_bits == 28
        assert "x" in conf.aliases()
        with override_settings(UIDGEN={}):
            assert conf.get_config("default").layout.time_bits == 41
    assert conf.get_config("default") == before


def test_checked_once_for_one_setting(settings, monkeypatch):
    """The admin asks for every row; the answer is kept as long as the setting is."""
    settings.UIDGEN = {"default": {}}
    config = conf.get_config("default")
    monkeypatch.setattr(conf, "_read", None)
    assert conf.get_config("default") is config
    monkeypatch.undo()
    settings.UIDGEN = {"default": {}}
    assert conf.get_config("default") is not config
    assert conf.get_config("default") == config


def test_other_setting_is_noticed_without_a_signal(monkeypatch):
    """It is another object."""
    monkeypatch.setattr(django_settings, "UIDGEN", {})
    assert conf.get_config("default").layout.time_bits == 41
    monkeypatch.setattr(django_settings, "UIDGEN", {"default": {"LAYOUT": "baidu"}})
    assert conf.get_config("default").layout.time_bits == 28


def test_checked_anew_when_the_databases_change(monkeypatch):
    """An alias may be gone."""
    assert conf.get_config("default").database == "default"
    monkeypatch.setattr(django_settings, "DATABASES", {"main": {}})
    monkeypatch.setattr(django_settings, "UIDGEN", {"default": {"DATABASE": "main"}})
    assert conf.get_config("default").database == "main"
    monkeypatch.setattr(django_settings, "DATABASES", {"other": {}})
    with pytest.raises(InvalidSetting, match="'default', 'other'"):
        conf.get_config("default")


def test_same_object_changed_in_place(settings):
    """It is checked anew when Django says that the setting has changed."""
    setting = {"default": {"LAYOUT": "baidu"}}
    settings.UIDGEN = setting
    assert conf.get_config("default").layout.time_bits == 28
    setting["default"]["LAYOUT"] = "javascript"
    settings.UIDGEN = setting
    assert conf.get_config("default").layout.time_bits == 31
