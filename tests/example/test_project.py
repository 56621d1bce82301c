"""The example project as a whole."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from config.databases import database
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

import django_uidgen
from django_uidgen.fields import UidAutoField

PROJECT = Path(__file__).parents[2] / "example_project"


def manage(*arguments: str, folder: Path, **variables: str):
    """Run a command of the project with its own settings, from another folder."""
    environment = os.environ | {
        "EXAMPLE_DB": str(folder / "example.sqlite3"),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        # The package under test, wherever it is installed.
        "PYTHONPATH": str(Path(django_uidgen.__file__).parents[1]),
    }
    return subprocess.run(
        [sys.executable, str(PROJECT / "manage.py"), *arguments],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    "model",
    list(apps.get_app_config("live").get_models()),
    ids=lambda model: model.__name__,
)
def test_every_key_is_a_uid(model):
    """The setting of the project gives it, not the models."""
    assert type(model._meta.pk) is UidAutoField


def test_the_apps_of_django_keep_their_keys():
    """They pin them."""
    user = apps.get_model("auth", "User")
    assert not isinstance(user._meta.pk, UidAutoField)


def test_no_migration_is_missing(tmp_path):
    """Nor does the project's own setting ask for another."""
    result = manage("makemigrations", "--check", "--dry-run", folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_checks_are_quiet(tmp_path):
    """With the settings as they are."""
    result = manage("check", "--fail-level", "WARNING", folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_wrong_token_setting_stops_the_start(tmp_path):
    """The check names it."""
    tokens = json.dumps({"camera1": "abc"})
    result = manage("check", folder=tmp_path, LIVE_PUBLISH_TOKENS=tokens)
    assert result.returncode == 1
    assert "live.E001" in result.stderr
    assert "'camera1'" in result.stderr


def test_deploying_with_the_key_for_development_is_reported(tmp_path):
    """Django's own check knows it by its name."""
    result = manage("check", "--deploy", folder=tmp_path, EXAMPLE_SECRET_KEY="")
    assert "security.W009" in result.stderr


def test_nothing_is_left_in_the_folder_of_the_caller(tmp_path):
    """Only the database, where it was asked for."""
    result = manage("migrate", "--verbosity=0", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert {path.name.split("-")[0] for path in tmp_path.iterdir()} == {
        "example.sqlite3"
    }


def test_a_path_is_a_database_of_sqlite():
    """Several processes may write to it, and what is committed stays."""
    setting = database("/somewhere/example.sqlite3")
    assert setting["NAME"] == "/somewhere/example.sqlite3"
    assert setting["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "synchronous" not in str(setting["OPTIONS"])


@pytest.mark.parametrize(
    ("scheme", "engine"),
    [("postgresql", "postgresql"), ("mysql", "mysql"), ("mariadb", "mysql")],
)
def test_a_url_is_a_database_of_its_scheme(scheme, engine):
    """User, password, host, port and name are read from it."""
    assert database(f"{scheme}://us%40er:p%2Fw@db.example:99/na%20me") == {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": "na me",
        "USER": "us@er",
        "PASSWORD": "p/w",
        "HOST": "db.example",
        "PORT": 99,
    }


def test_a_short_url():
    """What is not said is left to the driver."""
    setting = database("postgresql:///example")
    assert (setting["NAME"], setting["HOST"], setting["PORT"]) == ("example", "", "")


def test_an_unknown_scheme_is_refused():
    """The message says which are known."""
    with pytest.raises(ImproperlyConfigured, match=r"'oracle'.*postgresql, mysql"):
        database("oracle://x/y")


def test_the_readme_names_every_setting():
    """What can be set from the environment is written down."""
    source = (PROJECT / "config" / "settings.py").read_text()
    names = set(re.findall(r'environ\.get\("(\w+)"', source))
    assert len(names) == 5
    readme = (PROJECT / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in names)
