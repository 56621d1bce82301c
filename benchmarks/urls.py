"""What the endpoint is measured beside: a view that does nothing."""

from __future__ import annotations

from typing import Any

from django.urls import include, path
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class Bare(APIView):
    """Read a body, check nothing, and answer as the endpoint does."""

    permission_classes = (IsAuthenticated,)

    def post(self, request: Request) -> Response:
        """Return as many numbers as were asked for."""
        body: Any = request.data
        count = int(body["count"])
        return Response({"uids": ["118268539986373293"] * count}, status=201)


urlpatterns = [
    path("bare/", Bare.as_view()),
    path("", include("django_uidgen.rest_framework.urls")),
]
