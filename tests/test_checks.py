"""System checks: they report at the start what would fail later."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core import checks
from django.core.checks.registry import registry as check_registry
from django.core.management import call_command
from django.core.management.base import SystemCheckError

import django_uidgen
from django_uidgen import conf
from django_uidgen.checks import check_settings

PACKAGE = Path(django_uidgen.__file__).parent
ROOT = Path(__file__).resolve().parents[1]

HINT = "See the list of settings in the README of django_uidgen."


def ids(messages):
    """Return the ids of messages."""
    return [message.id for message in messages]


def short(*, years, tick_ms=1000):
    """Return a setting whose layout ends in so many years."""
    time_bits = 28
    length = timedelta(milliseconds=(1 << time_bits) * tick_ms)
    epoch = datetime.now(UTC) + timedelta(days=365 * years) - length
    return {
        "LAYOUT": {
            "time_bits": time_bits,
            "worker_bits": 10,
            "sequence_bits": 12,
            "tick_ms": tick_ms,
        },
        "EPOCH": epoch.replace(microsecond=0),
    }


# Called directly.


@pytest.mark.parametrize(
    "setting",
    [{}, {"default": {}, "orders": {}}, {"default": {"LAYOUT": "javascript"}}],
)
def test_nothing_to_say(settings, setting):
    """Of settings that hold."""
    settings.UIDGEN = setting
    assert check_settings(None) == []


@pytest.mark.parametrize(
    "setting",
    [
        {"default": {"LAYOUT": "nope"}},
        {"default": {"NAME": 1}},
        {"default": {"OPTIONS": {"LEASE": float("nan")}}},
        {"default": {"GENERATOR": "no.such.Class"}},
        {"default": {"EPOCH": "2026-02-30"}},
        {"default": None},
    ],
)
def test_error_of_an_alias(settings, setting):
    """The same words that the first mint would fail with, and the same id for all."""
    settings.UIDGEN = setting
    with pytest.raises(conf.InvalidSetting) as caught:
        conf.get_config("default")
    assert check_settings(None) == [
        checks.Error(str(caught.value), hint=HINT, id="django_uidgen.E001")
    ]


def test_setting_that_is_no_dict(settings):
    """Said once, not for each alias."""
    settings.UIDGEN = []
    assert check_settings(None) == [
        checks.Error(
            "UIDGEN is []; it must be a dict.", hint=HINT, id="django_uidgen.E001"
        )
    ]


def test_aliases_that_differ_only_in_case(settings):
    """Said once: MySQL and MariaDB would give both the same worker ids."""
    settings.UIDGEN = {"orders": {}, "Orders": {}}
    [message] = check_settings(None)
    assert message.id == "django_uidgen.E001"
    assert "the aliases 'orders' and 'Orders'" in message.msg


def test_each_alias_is_checked(settings):
    """Also those that nothing uses yet; one that is wrong hides no other."""
    settings.UIDGEN = {
        "a": {"LAYOUT": "nope"},
        "b": {},
        "c": short(years=1),
        "d": {"ASSIGN": 5},
    }
    messages = check_settings(None)
    expected = ["django_uidgen.E001", "django_uidgen.W001", "django_uidgen.E001"]
    assert ids(messages) == expected
    for message, alias in zip(messages, "acd", strict=True):
        assert f"'{alias}'" in message.msg


@pytest.mark.parametrize("years", [0.1, 1, 4.9])
def test_layout_that_ends_within_years(settings, years):
    """Five years ahead there is time to plan."""
    setting = short(years=years)
    settings.UIDGEN = {"orders": setting}
    ends_at = conf.get_config("orders").layout.ends_at
    assert check_settings(None) == [
        checks.Warning(
            "The time bits of generator 'orders' last until "
            f"{ends_at.date().isoformat()}.",
            hint="Plan a new alias with more time_bits or a later EPOCH.",
            id="django_uidgen.W001",
        )
    ]


def test_layout_that_has_ended(settings):
    """A warning too: what was minted can still be read."""
    settings.UIDGEN = {"default": short(years=-3)}
    assert ids(check_settings(None)) == ["django_uidgen.W001"]


@pytest.mark.parametrize("years", [5.1, 8, 40])
def test_layout_that_ends_later(settings, years):
    """No warning yet."""
    settings.UIDGEN = {"default": short(years=years, tick_ms=5000)}
    assert check_settings(None) == []


def test_layout_that_ends_past_the_year_9999(settings):
    """Later than any date."""
    widths = {"time_bits": 61, "worker_bits": 1, "sequence_bits": 1}
    settings.UIDGEN = {"default": {"LAYOUT": widths}}
    assert check_settings(None) == []


def test_without_time_zones(settings):
    """A layout's end is in UTC, whatever the project's dates are."""
    settings.USE_TZ = False
    settings.UIDGEN = {"default": {}, "orders": short(years=1)}
    assert ids(check_settings(None)) == ["django_uidgen.W001"]


# As ``manage.py check``.


def test_registered_once():
    """By ``ready()``, with no tag: it runs always, and without a database."""
    registered = check_registry.get_checks()
    assert registered.count(check_settings) == 1
    assert check_settings.tags == ()


def test_check_command_fails(settings):
    """An error stops ``migrate`` and ``runserver`` as well."""
    settings.UIDGEN = {"default": {"LAYOUT": "nope"}, "orders": {}}
    with pytest.raises(SystemCheckError, match=r"\(django_uidgen.E001\)") as caught:
        call_command("check")
    assert "UIDGEN['default']['LAYOUT'] is 'nope'" in str(caught.value)
    assert HINT in str(caught.value)


def test_check_command_warns(settings, capsys):
    """A warning stops nothing."""
    settings.UIDGEN = {"default": short(years=1), "orders": {}}
    call_command("check")
    assert "(django_uidgen.W001)" in capsys.readouterr().err
    with pytest.raises(SystemCheckError, match="identified 1 issue "):
        call_command("check", "--fail-level", "WARNING")


def test_project_of_the_suite_passes():
    """With the settings that the suite itself runs on."""
    own = [m for m in checks.run_checks() if str(m.id).startswith("django_uidgen.")]
    assert own == []


# The ids.


def defined_ids():
    """Return the ids in the source of the package, as often as they are there."""
    return Counter(
        found
        for file in sorted(PACKAGE.rglob("*.py"))
        for found in re.findall(r'\bid="(django_uidgen\.\w+)"', file.read_text())
    )


def test_ids_are_unique():
    """One id for one message, with the whole label of the app."""
    defined = defined_ids()
    assert set(defined.values()) == {1}
    assert {"django_uidgen.E001", "django_uidgen.W001"} <= set(defined)
    assert all(re.fullmatch(r"django_uidgen\.[EW]\d{3}", name) for name in defined)


@pytest.mark.parametrize("name", sorted(defined_ids()))
def test_ids_are_documented(name):
    """Someone who searches for an id finds what to do."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    assert any(name in page.read_text() for page in pages if page.exists())
