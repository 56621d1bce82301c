"""``path("api/", include("django_uidgen.rest_framework.urls"))``."""

from __future__ import annotations

from django.urls import path, re_path

from django_uidgen.rest_framework.views import UidListView, UidView, WorkerListView

app_name = "uidgen"

urlpatterns = [
    path("uids/", UidListView.as_view(), name="uid-list"),
    # Any text: what is no UID is answered with a reason, not with 404.
    re_path(r"^uids/(?P<uid>[\s\S]+)/\Z", UidView.as_view(), name="uid"),
    path("workers/", WorkerListView.as_view(), name="worker-list"),
]
