"""Addresses of the example project."""

from __future__ import annotations

from django.apps import apps
from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path
from django.views.generic import RedirectView

handler404 = "live.views.not_found"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("live/", include("live.urls")),
    path("api/", include("django_uidgen.rest_framework.urls")),
]

if apps.is_installed("drf_spectacular"):
    urlpatterns.insert(0, path("api/", include("live.rest_urls")))

# In debug mode only: the admin's style sheets under gunicorn too.
urlpatterns += staticfiles_urlpatterns()
