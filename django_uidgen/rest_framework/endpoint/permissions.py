"""Who may see leases."""

from __future__ import annotations

from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.views import APIView


class MayViewLeases(IsAdminUser):
    """Staff who may view the worker table in the admin.

    A lease names a host and a process.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether the user is of the staff and has the model permission."""
        return super().has_permission(request, view) and request.user.has_perm(
            "django_uidgen.view_workernode"
        )
