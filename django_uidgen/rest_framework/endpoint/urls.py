"""The paths of the endpoints. Projects include ``rest_framework.urls``."""

from __future__ import annotations

from django.urls import path, re_path

from django_uidgen.rest_framework.endpoint.views import (
    UidListView,
    UidView,
    WorkerListView,
)

app_name = "uidgen"

urlpatterns = [
    path("uids/", UidListView.as_view(), name="uid-list"),
    # Any text: the answer to an invalid UID is 400 with the reason, not 404.
    re_path(r"^uids/(?P<uid>[\s\S]+)/\Z", UidView.as_view(), name="uid"),
    path("workers/", WorkerListView.as_view(), name="worker-list"),
]
