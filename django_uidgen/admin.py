"""The worker table in the admin, read-only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.contrib.admin.utils import display_for_value
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext_lazy as _

from django_uidgen import conf
from django_uidgen.core.exceptions import InvalidUid
from django_uidgen.models import (
    LISTED_COLUMNS,
    SHOWN_COLUMNS,
    LeaseState,
    WorkerNode,
    WorkerNodeQuerySet,
)
from django_uidgen.parsing import to_uid

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[WorkerNode]
else:
    _ModelAdmin = admin.ModelAdmin


class StateFilter(admin.SimpleListFilter):
    """Filter leases by state: live, free or sealed."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the states."""
        return LeaseState.choices

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[WorkerNode]
    ) -> QuerySet[WorkerNode]:
        """Return the leases in the selected state."""
        state = self.value()
        if state not in LeaseState.values:
            return queryset
        return cast(WorkerNodeQuerySet, queryset).in_state(state)


class DatabaseFilter(admin.SimpleListFilter):
    """Select one database. Shown only if generators use several."""

    title = _("database")
    parameter_name = "database"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the databases, if there are several."""
        databases = _databases()
        return [(name, name) for name in databases] if len(databases) > 1 else []

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Return the databases, without "All": one query reads one database."""
        shown = changelist.root_queryset.db
        for name, title in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: str(name)})
            yield {"selected": name == shown, "query_string": query, "display": title}

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[WorkerNode]
    ) -> QuerySet[WorkerNode]:
        """Return ``queryset``, whose database ``get_queryset()`` has selected."""
        return queryset


def _databases() -> list[str]:
    """Return the databases of all generators, first that of "default"."""
    return list(dict.fromkeys(c.database for c in conf.valid_configs()))


def _wanted_database(request: HttpRequest) -> str | None:
    """Return the database in the address, of a list or of the page of a lease."""
    filters = QueryDict(request.GET.get("_changelist_filters", ""))
    return request.GET.get("database") or filters.get("database")


@admin.register(WorkerNode)
class WorkerNodeAdmin(_ModelAdmin):
    """A list of leases, newest first, and a page for each. Both are read-only."""

    list_display = LISTED_COLUMNS
    list_filter = [
        DatabaseFilter,
        StateFilter,
        "generator",
        "kind",
        "node_type",
        ("released_at", admin.EmptyFieldListFilter),
    ]
    search_fields = ["host_name"]
    search_help_text = _(
        "A host name, or a UID to find the lease with which it was minted."
    )
    ordering = ["-pk"]
    fields = readonly_fields = (
        *SHOWN_COLUMNS,
        "kind",
        "reserved_from",
        "reserved_until",
        "created",
        "modified",
    )

    @admin.display(description=_("leased from"), ordering="reserved_from")
    def reserved_from_at(self, node: WorkerNode) -> str:
        """Return the beginning of the lease as a time."""
        return display_for_value(node.reserved_from_at, "-")

    @admin.display(description=_("leased until"), ordering="reserved_until")
    def reserved_until_at(self, node: WorkerNode) -> str:
        """Return the end of the lease as a time, or "-" if it has none."""
        return display_for_value(node.reserved_until_at, "-")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkerNode]:
        """Return the leases in the selected database."""
        nodes = super().get_queryset(request)
        databases = _databases()
        wanted = _wanted_database(request)
        if wanted in databases:
            return nodes.using(wanted)
        return nodes.using(databases[0]) if databases else nodes

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WorkerNode], search_term: str
    ) -> tuple[QuerySet[WorkerNode], bool]:
        """Find leases by host name, or by a UID that was minted with them.

        A UID does not contain its generator, so a lease of each generator may match.
        """
        found, duplicates = super().get_search_results(request, queryset, search_term)
        try:
            uid = to_uid(search_term.strip())
        except InvalidUid:
            return found, duplicates
        nodes = cast(WorkerNodeQuerySet, queryset)
        for config in conf.valid_configs():
            if uid < 1 << config.layout.total_bits:
                found |= nodes.for_uid(uid, config.alias)
        return found, duplicates

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: only a process that claims adds a lease."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: a lease changed by hand could lead to repeated UIDs."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: without its row, a worker id could be leased twice."""
        return False
