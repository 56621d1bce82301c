"""The app of the suite's own models."""

from __future__ import annotations

from django.apps import AppConfig


class TestappConfig(AppConfig):
    """Keyed as DEFAULT_AUTO_FIELD says."""

    name = "tests.testapp"
    default = True


class UidKeyedConfig(AppConfig):
    """Keyed by UIDs, whatever DEFAULT_AUTO_FIELD says."""

    name = "tests.testapp"
    default_auto_field = "django_uidgen.fields.UidAutoField"


class NumberKeyedConfig(AppConfig):
    """Keyed by numbers of the database, whatever DEFAULT_AUTO_FIELD says."""

    name = "tests.testapp"
    default_auto_field = "django.db.models.AutoField"
