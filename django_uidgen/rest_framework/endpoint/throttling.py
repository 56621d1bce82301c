"""The rate limit of the endpoints."""

from __future__ import annotations

from typing import Any

from rest_framework.settings import api_settings
from rest_framework.throttling import UserRateThrottle


class UidgenRateThrottle(UserRateThrottle):
    """The scope ``uidgen``: limits the requests of each user.

    The rate is ``REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]["uidgen"]``. Without it there
    is no limit.
    """

    scope = "uidgen"

    def get_rate(self) -> str | None:
        """Return the rate, or None without a limit."""
        # REST framework's own method raises ImproperlyConfigured without a rate, and
        # reads the setting only once.
        rates: Any = api_settings.DEFAULT_THROTTLE_RATES or {}
        rate: str | None = rates.get(self.scope)
        return rate
