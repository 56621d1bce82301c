"""The worker table in the admin, to look at: only leases themselves may change it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.contrib.admin.utils import display_for_value
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext_lazy as _

from django_uidgen import worker_states
from django_uidgen.core.exceptions import InvalidUid
from django_uidgen.models import WorkerNode, WorkerNodeQuerySet
from django_uidgen.parsing import to_uid

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[WorkerNode]
else:
    _ModelAdmin = admin.ModelAdmin


class StateFilter(admin.SimpleListFilter):
    """Live, free or sealed, worked out by the database."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the states."""
        return [("live", _("live")), ("free", _("free")), ("sealed", _("sealed"))]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[WorkerNode]
    ) -> QuerySet[WorkerNode]:
        """Keep the leases in the state that was chosen."""
        state = self.value()
        if state not in worker_states.STATES:
            return queryset
        return queryset.filter(worker_states.in_state(state))


class DatabaseFilter(admin.SimpleListFilter):
    """One database at a time. Shown only where generators use several."""

    title = _("database")
    parameter_name = "database"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the databases, if there are several."""
        databases = _databases()
        return [(name, name) for name in databases] if len(databases) > 1 else []

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Return the databases without the choice "All", which no query could give."""
        shown = changelist.root_queryset.db
        for name, title in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: str(name)})
            yield {"selected": name == shown, "query_string": query, "display": title}

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[WorkerNode]
    ) -> QuerySet[WorkerNode]:
        """Return ``queryset``: the admin has chosen its database already."""
        return queryset


def _databases() -> list[str]:
    """Return the databases of all generators, that of "default" first."""
    return list(dict.fromkeys(c.database for c in worker_states.configured()))


def _wanted_database(request: HttpRequest) -> str | None:
    """Return what the list was filtered by, on the page of one lease too."""
    filters = QueryDict(request.GET.get("_changelist_filters", ""))
    return request.GET.get("database") or filters.get("database")


#: All there is to see of a lease.
_FIELDS = (
    "generator",
    "worker_id",
    "term",
    "state",
    "host_name",
    "process_id",
    "node_type",
    "launched_at",
    "leased_from",
    "leased_until",
    "released_at",
    "layout",
    "reserved_from",
    "reserved_until",
    "created",
    "modified",
)


@admin.register(WorkerNode)
class WorkerNodeAdmin(_ModelAdmin):
    """A list of leases, newest first, and a page for each. Nothing can be changed."""

    list_display = [
        "generator",
        "worker_id",
        "term",
        "state",
        "host_name",
        "process_id",
        "node_type",
        "launched_at",
        "leased_until",
    ]
    list_filter = [
        DatabaseFilter,
        StateFilter,
        "generator",
        "node_type",
        ("released_at", admin.EmptyFieldListFilter),
    ]
    search_fields = ["host_name"]
    search_help_text = _(
        "A UID finds the lease that it was minted under; other words, host names."
    )
    ordering = ["-pk"]
    fields = readonly_fields = _FIELDS

    @admin.display(description=_("leased from"), ordering="reserved_from")
    def leased_from(self, node: WorkerNode) -> str:
        """Return the beginning of the lease as a time."""
        return display_for_value(node.reserved_from_at, "-")

    @admin.display(description=_("leased until"), ordering="reserved_until")
    def leased_until(self, node: WorkerNode) -> str:
        """Return the end of the lease as a time, if it has one."""
        return display_for_value(node.reserved_until_at, "-")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkerNode]:
        """Return the leases in one of the generators' databases."""
        nodes = super().get_queryset(request)
        databases = _databases()
        wanted = _wanted_database(request)
        if wanted in databases:
            return nodes.using(wanted)
        return nodes.using(databases[0]) if databases else nodes

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WorkerNode], search_term: str
    ) -> tuple[QuerySet[WorkerNode], bool]:
        """Find host names, and the leases that a UID may have been minted under.

        A UID does not tell its generator, so each generator may have one.
        """
        found, duplicates = super().get_search_results(request, queryset, search_term)
        try:
            uid = to_uid(search_term.strip())
        except InvalidUid:
            return found, duplicates
        nodes = cast(WorkerNodeQuerySet, queryset)
        for config in worker_states.configured():
            if uid < 1 << config.layout.total_bits:
                found |= nodes.for_uid(uid, config.alias)
        return found, duplicates

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: a process adds its own lease."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: a lease that was changed by hand could give duplicates."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: without its row, a worker id could be leased twice."""
        return False
