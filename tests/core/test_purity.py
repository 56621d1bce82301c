"""What may import what, in processes of their own: an import cannot be undone here."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import django_uidgen.core

CORE = ["django_uidgen.core"] + [
    module.name
    for module in pkgutil.iter_modules(
        django_uidgen.core.__path__, "django_uidgen.core."
    )
]


def run(code):
    """Run ``code`` in an interpreter of its own, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("module", CORE)
def test_core_never_imports_django(module):
    """Not even by way of the package above it."""
    assert (
        run(
            f"import sys, {module}; "
            "print([name for name in sys.modules if name.split('.')[0] == 'django'])"
        )
        == "[]"
    )


def test_core_works_without_django():
    """A generator can be used where Django is not installed."""
    assert int(
        run(
            "import sys; sys.modules['django'] = None\n"
            "from django_uidgen.core.generators import CachedUidGenerator\n"
            "from django_uidgen.core.layout import BitLayout\n"
            "from tests.support.memory import MemoryAssigner\n"
            "layout = BitLayout.preset('snowflake')\n"
            "print(CachedUidGenerator(layout, MemoryAssigner(layout)).uid())"
        )
    )


def test_public_names_are_lazy():
    """Importing the package imports neither Django nor the settings."""
    assert (
        run(
            "import sys, django_uidgen; "
            "print('django' in sys.modules, sorted(django_uidgen.__all__))"
        )
        == "False ['auid', 'auids', 'generators', 'parse', 'uid', 'uid_bounds', "
        "'uid_ceil', 'uid_floor', 'uids']"
    )


def test_setup_does_not_check_the_setting():
    """A process that mints nothing does not import what checks it."""
    assert (
        run(
            "import sys, django; django.setup()\n"
            "from django_uidgen import conf\n"
            "loaded = ['django_uidgen.conf_validation' in sys.modules]\n"
            "conf.get_config('default')\n"
            "print(*loaded, 'django_uidgen.conf_validation' in sys.modules)"
        )
        == "False True"
    )


def test_fields_import_no_models():
    """A model module can import the fields before the app registry is ready."""
    assert (
        run(
            "import sys\n"
            "from django.conf import settings; settings.configure()\n"
            "import django_uidgen.fields; print('django_uidgen.models' in sys.modules)"
        )
        == "False"
    )
