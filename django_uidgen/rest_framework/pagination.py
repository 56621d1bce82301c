"""Pages by key, for lists of rows whose key is a UID."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Model, QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination

from django_uidgen.core.exceptions import InvalidUid
from django_uidgen.core.text import to_uid

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


class UidCursorPagination(CursorPagination):
    """Pages by key, newest first, 100 rows each or ``?page_size=`` up to 1,000.

    A page begins after the last key of the page before it. So every page costs as much
    as the first, and inserting or deleting rows meanwhile neither repeats nor skips
    another row.

    ``ordering`` may be any unique column of UIDs; the default "-pk" is newest first,
    "pk" is oldest first. An ``OrderingFilter`` of the view has no effect.
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
        """Return the cursor, or None without one. Raise ``NotFound`` if it is invalid.

        The position becomes a value in a query. Without this check an invalid one would
        raise an error there: status 500.
        """
        cursor = super().decode_cursor(request)
        position: Any = None if cursor is None else cursor.position
        if position is not None:
            try:
                to_uid(position, allow_zero=True)
            except InvalidUid as error:
                raise NotFound(self.invalid_cursor_message) from error
        return cursor

    def get_next_link(self) -> str | None:
        """Return the URL of the next page, or None after the last.

        After an empty page before the first row, it is the first page.
        """
        if self.has_next and not self.page:
            return self._link(reverse=False)
        return super().get_next_link()

    def get_previous_link(self) -> str | None:
        """Return the URL of the previous page, or None before the first.

        Before an empty page after the last row, it is the last page.
        """
        if self.has_previous and not self.page:
            return self._link(reverse=True)
        return super().get_previous_link()

    def _link(self, *, reverse: bool) -> str:
        # REST framework's own link would skip the row at the cursor.
        return self.encode_cursor(Cursor(offset=0, reverse=reverse, position=None))
