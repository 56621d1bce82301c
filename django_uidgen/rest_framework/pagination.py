"""How lists are divided into pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Model, QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import (
    BasePagination,
    Cursor,
    CursorPagination,
    PageNumberPagination,
)

from django_uidgen.rest_framework.fields import uid_from_text

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


class WorkerPagination(PageNumberPagination):
    """Pages of 100, or of ``?page_size=`` up to 1,000."""

    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 1000


class UidCursorPagination(CursorPagination):
    """Pages by key, newest first, 100 rows each or ``?page_size=`` up to 1,000.

    A page begins after the key at which the one before it ended. So it costs as much
    as the first, however deep it is, and no row comes twice or is left out because
    others were inserted or deleted meanwhile.

    ``ordering`` may be any unique column of UIDs, "-pk" by default, "pk" for oldest
    first. Nothing else orders the rows: an ``OrderingFilter`` of the view is not asked.
    """

    ordering = "-pk"
    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 1000

    def get_ordering(
        self, request: Request, queryset: QuerySet[Model], view: APIView
    ) -> tuple[str, ...]:
        """Return the one column to order by."""
        return (self.ordering,)

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return the cursor, or answer 404 when its position is no UID.

        The position goes into a query. Text would be an error of the server there.
        """
        cursor = super().decode_cursor(request)
        position: Any = None if cursor is None else cursor.position
        if position is not None and uid_from_text(position) is None:
            raise NotFound(self.invalid_cursor_message)
        return cursor

    def get_next_link(self) -> str | None:
        """Return the address of the next page.

        From a page before the first row, that is the first page.
        """
        if self.has_next and not self.page:
            return self._link(reverse=False)
        return super().get_next_link()

    def get_previous_link(self) -> str | None:
        """Return the address of the previous page.

        From a page after the last row, that is the last page.
        """
        if self.has_previous and not self.page:
            return self._link(reverse=True)
        return super().get_previous_link()

    def _link(self, *, reverse: bool) -> str:
        # REST framework's own link would leave out the row of the cursor.
        return self.encode_cursor(Cursor(offset=0, reverse=reverse, position=None))


def bounded(project: type[BasePagination] | None) -> type[BasePagination]:
    """Return the project's pagination, or ours where it would give all rows at once."""
    for name in ("page_size", "default_limit"):
        if project is not None and getattr(project, name, None):
            return project
    return WorkerPagination
