"""System checks: what would fail at the first mint is said at the start."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.apps import AppConfig
from django.core import checks

from django_uidgen import conf

#: How long before the end of a layout's time a warning is given.
_YEARS_AHEAD = 5


def check_settings(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Check the ``UIDGEN`` setting, and that no layout ends soon."""
    try:
        aliases = conf.aliases()
    except conf.InvalidSetting as error:
        return [_invalid(error)]
    messages: list[checks.CheckMessage] = []
    for alias in aliases:
        try:
            config = conf.get_config(alias)
        except conf.InvalidSetting as error:
            messages.append(_invalid(error))
        else:
            messages += _check_end_of_life(config)
    return messages


def _invalid(error: conf.InvalidSetting) -> checks.Error:
    return checks.Error(
        str(error),
        hint="See the list of settings in the README of django_uidgen.",
        id="django_uidgen.E001",
    )


def _check_end_of_life(config: conf.GeneratorConfig) -> list[checks.CheckMessage]:
    ends_at = config.layout.ends_at
    if ends_at - datetime.now(UTC) > timedelta(days=365 * _YEARS_AHEAD):
        return []
    return [
        checks.Warning(
            f"The time bits of generator {config.alias!r} last until "
            f"{ends_at.date().isoformat()}.",
            hint="Plan a new alias with more time_bits or a later EPOCH.",
            id="django_uidgen.W001",
        )
    ]
