"""The URLs of the test project."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("django_uidgen.rest_framework.urls")),
    path("live/", include("live.urls")),
]
