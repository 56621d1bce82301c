"""``from django_uidgen import …``: lazy, and the same objects by every way."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import ModuleType

import pytest
from django.utils.module_loading import import_string

import django_uidgen
from django_uidgen import generators, moments, parsing, registry
from django_uidgen.conf import InvalidSetting
from django_uidgen.core.generators import CachedUidGenerator, DefaultUidGenerator

NAMES = [
    "auid",
    "auids",
    "generators",
    "parse",
    "uid",
    "uid_bounds",
    "uid_ceil",
    "uid_floor",
    "uids",
]


def run(code):
    """Run ``code`` in an interpreter of its own, with the least of settings."""
    setup = (
        "import sys, django\n"
        "from django.conf import settings\n"
        "from django.utils.module_loading import import_string\n"
        "settings.configure(UIDGEN={'orders': {}}, INSTALLED_APPS=['django_uidgen'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", setup + code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_public_names():
    """These, and no others, are promised."""
    assert sorted(django_uidgen.__all__) == NAMES
    assert set(NAMES) <= set(dir(django_uidgen))
    assert "__version__" in dir(django_uidgen)
    namespace = {}
    exec("from django_uidgen import *", namespace)
    assert set(NAMES) <= set(namespace)


@pytest.mark.parametrize("name", NAMES)
def test_name_is_looked_up_once(name, monkeypatch):
    """The first use finds it and keeps it; every way gives the same object."""
    monkeypatch.delitem(vars(django_uidgen), name, raising=False)
    value = getattr(django_uidgen, name)
    assert vars(django_uidgen)[name] is value
    homes = {
        "parse": parsing,
        "generators": django_uidgen,
        "uid_bounds": moments,
        "uid_ceil": moments,
        "uid_floor": moments,
    }
    assert value is getattr(homes.get(name, registry), name)


def test_unknown_name():
    """As from any module."""
    with pytest.raises(AttributeError) as caught:
        django_uidgen.nope  # noqa: B018 - the attribute error is what is asked for
    assert str(caught.value) == "module 'django_uidgen' has no attribute 'nope'"
    with pytest.raises(ImportError):
        exec("from django_uidgen import nope")


def test_version():
    """Read by setup.cfg."""
    assert django_uidgen.__version__[0].isdigit()


# ``generators`` is a module and a mapping.


def test_generators_is_a_mapping(settings):
    """Of aliases to generators."""
    settings.UIDGEN = {"orders": {}, "users": {}}
    assert list(generators) == ["default", "orders", "users"]
    assert len(generators) == 3
    assert "default" in generators
    assert "orders" in generators
    assert "nope" not in generators
    assert 1 not in generators
    assert generators["orders"] is registry.generators["orders"]
    assert generators["orders"].alias == "orders"
    assert [generators[alias].alias for alias in generators] == list(generators)


def test_unknown_alias():
    """A configuration error that lists the aliases."""
    with pytest.raises(
        InvalidSetting, match=r"'nope' in UIDGEN. Configured: 'default'"
    ):
        generators["nope"]


def test_generators_is_a_module():
    """The one that dotted paths in the settings look into."""
    assert isinstance(generators, ModuleType)
    assert generators is sys.modules["django_uidgen.generators"]
    assert importlib.import_module("django_uidgen.generators") is generators
    path = "django_uidgen.generators.{}"
    assert import_string(path.format("CachedUidGenerator")) is CachedUidGenerator
    assert import_string(path.format("DefaultUidGenerator")) is DefaultUidGenerator


def test_module_is_true_whatever_the_setting(settings):
    """As every module: tools ask ``if module:``."""
    settings.UIDGEN = "wrong"
    assert generators
    with pytest.raises(InvalidSetting):
        len(generators)


CHECK = (
    "import django_uidgen, django_uidgen.generators as module\n"
    "assert django_uidgen.generators is generators is module, generators\n"
    "assert sys.modules['django_uidgen.generators'] is generators\n"
    "assert list(generators) == ['default', 'orders']\n"
    "assert found.__module__ == 'django_uidgen.core.generators'\n"
    "django.setup()\n"
    "assert type(generators['orders']) is found\n"
)
MAPPING = "from django_uidgen import generators\n"
PATH = "found = import_string('django_uidgen.generators.CachedUidGenerator')\n"


@pytest.mark.parametrize(
    "imports",
    [
        MAPPING + PATH,
        PATH + MAPPING,
        "import django_uidgen.generators\n" + PATH + MAPPING,
    ],
)
def test_generators_by_either_order_of_import(imports):
    """Mapping first or module first: both are one object."""
    run(imports + CHECK)


def test_names_can_be_imported_before_the_apps():
    """A settings or models module may import them; minting has to wait."""
    run(
        "from django_uidgen import auid, auids, generators, parse, uid, uids\n"
        "from django.core.exceptions import AppRegistryNotReady\n"
        "try:\n"
        "    uid()\n"
        "except AppRegistryNotReady:\n"
        "    django.setup()\n"
        "assert parse(5).sequence == 5\n"
    )
