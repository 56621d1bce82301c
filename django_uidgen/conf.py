"""The ``UIDGEN`` setting, read live. No other module reads Django's settings.

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

``conf_validation`` checks an alias when its configuration is first requested.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from django.conf import settings

from django_uidgen.generator_config import (
    DEFAULTS,
    AssignerOptions,
    GeneratorConfig,
    InvalidSetting,
    WorkerIds,
    invalid,
    shown,
)

__all__ = [
    "DEFAULT_ALIAS",
    "MAX_ALIAS_LENGTH",
    "AssignerOptions",
    "GeneratorConfig",
    "InvalidSetting",
    "WorkerIds",
    "aliases",
    "assign",
    "forget",
    "get_config",
    "raw_setting",
]

DEFAULT_ALIAS = "default"

#: The length of an alias: its column in the worker table holds as many characters.
MAX_ALIAS_LENGTH = 64

#: One object, so that a missing setting is always the same object.
_NOTHING: dict[str, Any] = {}


def raw_setting() -> Any:
    """Return the ``UIDGEN`` setting, unchecked, or an empty dict without one."""
    return getattr(settings, "UIDGEN", _NOTHING)


def aliases() -> list[str]:
    """Return the configured aliases, "default" always among them.

    Raise ``InvalidSetting`` if the setting is not a dict of aliases, or if a database
    may not tell two of them apart.
    """
    return _aliases(raw_setting())


def assign(alias: str) -> Any:
    """Return ``ASSIGN`` of ``alias``, unchecked.

    A check of the alias would import the classes that it names.
    """
    values = raw_setting().get(alias, {})
    default = DEFAULTS["ASSIGN"]
    return values.get("ASSIGN", default) if isinstance(values, Mapping) else default


class _Checked(NamedTuple):
    """Checked configurations, and the settings from which they were derived.

    Any thread that finds an alias missing in ``configs`` adds its key.
    """

    uidgen: Any
    databases: Any
    configs: dict[str, GeneratorConfig]


_NOTHING_CHECKED = _Checked(None, None, {})

_checked = _NOTHING_CHECKED


def get_config(alias: str) -> GeneratorConfig:
    """Return the checked configuration of ``alias``.

    It is checked once, until ``UIDGEN`` or ``DATABASES`` is another object. Raise
    ``InvalidSetting``, which names the key, the value and what is allowed.
    """
    # Replaced as a whole, without a lock: two threads may check, with equal results.
    global _checked  # noqa: PLW0603
    uidgen, databases = raw_setting(), settings.DATABASES
    checked = _checked
    if checked.uidgen is not uidgen or checked.databases is not databases:
        checked = _checked = _Checked(uidgen, databases, {})
    config = checked.configs.get(alias)
    if config is None:
        config = checked.configs[alias] = _read(alias, uidgen, databases)
    return config


def valid_configs() -> list[GeneratorConfig]:
    """Return the configuration of each generator whose settings are valid.

    The system check ``django_uidgen.E001`` reports the others.
    """
    try:
        known = aliases()
    except InvalidSetting:
        return []
    configs = []
    for alias in known:
        with suppress(InvalidSetting):
            configs.append(get_config(alias))
    return configs


def forget() -> None:
    """Check again at the next use, even if the setting is the same object."""
    global _checked  # noqa: PLW0603
    _checked = _NOTHING_CHECKED


def _read(alias: str, setting: Any, databases: Any) -> GeneratorConfig:
    known = _aliases(setting)
    if alias not in known:
        raise InvalidSetting(
            f"There is no generator {alias!r} in UIDGEN. Configured: "
            f"{', '.join(map(repr, known))}."
        )
    # Imported here: only a process that uses a generator pays for it.
    from django_uidgen import conf_validation

    return conf_validation.validated(alias, setting.get(alias, {}), databases)


def _aliases(setting: Any) -> list[str]:
    if not isinstance(setting, Mapping):
        raise invalid("UIDGEN", setting, "a dict")
    for alias in setting:
        if not isinstance(alias, str) or not 1 <= len(alias) <= MAX_ALIAS_LENGTH:
            raise InvalidSetting(
                f"UIDGEN has the key {shown(alias)}; an alias is a string of 1 to "
                f"{MAX_ALIAS_LENGTH} characters."
            )
    known = list(dict.fromkeys([DEFAULT_ALIAS, *setting]))
    _check_that_they_differ(known)
    return known


def _check_that_they_differ(known: Iterable[str]) -> None:
    """Raise ``InvalidSetting`` if a database may not tell two aliases apart."""
    seen: dict[str, str] = {}
    for alias in known:
        other = seen.setdefault(_collated(alias), alias)
        if other != alias:
            raise InvalidSetting(
                f"UIDGEN has the aliases {other!r} and {alias!r}. MySQL and MariaDB "
                f"compare text without case, accents and spaces at its end, so the two "
                f"would share their worker ids there. Rename one of them."
            )


def _collated(alias: str) -> str:
    """Return what collations of MySQL and MariaDB compare of ``alias``."""
    if not alias.isascii():
        alias = "".join(
            character
            for character in unicodedata.normalize("NFKD", alias)
            # Marks, such as accents, and characters without a width.
            if unicodedata.category(character) not in {"Mn", "Cf"}
        )
    return alias.casefold().rstrip(" ")
