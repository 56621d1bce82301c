"""The app ``live``."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks


class LiveConfig(AppConfig):
    """Keep what a media server reports. The keys come from the project's setting."""

    name = "live"

    def ready(self) -> None:
        """Register the check of the publish tokens."""
        from live.tokens import check_publish_tokens

        checks.register(check_publish_tokens, checks.Tags.security)
