"""Addresses of the app."""

from __future__ import annotations

from django.urls import include, path
from rest_framework.routers import DefaultRouter

from live import api
from live.views import hooks

router = DefaultRouter()
router.register("streams", api.StreamViewSet)
router.register("publish-sessions", api.PublishSessionViewSet)
router.register("play-sessions", api.PlaySessionViewSet)
router.register("segments", api.HlsSegmentViewSet)
router.register("recordings", api.RecordingViewSet)

urlpatterns = [
    path("hooks/", hooks, name="live-hooks"),
    path("", include(router.urls)),
]
