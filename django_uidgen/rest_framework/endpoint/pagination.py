"""Pages of the list of worker nodes."""

from __future__ import annotations

from rest_framework.pagination import BasePagination, PageNumberPagination


class WorkerPagination(PageNumberPagination):
    """Pages of 100 rows, or of ``?page_size=`` rows, up to 1,000."""

    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 1000


def bounded(project: type[BasePagination] | None) -> type[BasePagination]:
    """Return the project's pagination class if it limits a page, or else ours."""
    for name in ("page_size", "default_limit"):
        if project is not None and getattr(project, name, None):
            return project
    return WorkerPagination
