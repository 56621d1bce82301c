"""Addresses of the API in ``live.rest``, and of the schema of all that there is."""

from __future__ import annotations

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.routers import SimpleRouter

from live import rest

router = SimpleRouter()
router.register("streams", rest.StreamViewSet, basename="rest-stream")
router.register("connections", rest.ConnectionViewSet, basename="rest-connection")
router.register("publish-sessions", rest.PublishSessionViewSet, basename="rest-publish")
router.register("recordings", rest.RecordingViewSet, basename="rest-recording")

urlpatterns = [
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("", include(router.urls)),
]
