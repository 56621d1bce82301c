"""``path("api/", include("django_uidgen.rest_framework.urls"))``."""

from __future__ import annotations

from django_uidgen.rest_framework.endpoint.urls import app_name, urlpatterns

__all__ = ["app_name", "urlpatterns"]
