"""The addresses of the project."""

from __future__ import annotations

from django.urls import path

from tests.servers.project import views

urlpatterns = [
    path("uids", views.uids_at_once),
    path("uid", views.uids_one_by_one),
    path("mixed", views.mixed_uids),
    path("auid", views.uids_awaited),
]
