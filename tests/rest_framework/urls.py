"""View sets over models of the test app."""

from __future__ import annotations

from rest_framework.permissions import AllowAny
from rest_framework.routers import DefaultRouter
from rest_framework.viewsets import ModelViewSet

from django_uidgen.rest_framework.lookup import UidLookupMixin
from django_uidgen.rest_framework.pagination import UidCursorPagination
from django_uidgen.rest_framework.serializers import UidModelSerializer
from tests.testapp.models import Event, EventNote


class EventSerializer(UidModelSerializer):
    """All of an event."""

    class Meta:
        """A key and a name."""

        model = Event
        fields = "__all__"


class EventNoteSerializer(UidModelSerializer):
    """All of a note."""

    class Meta:
        """A key, a foreign key and a text."""

        model = EventNote
        fields = "__all__"


class Pages(UidCursorPagination):
    """Short ones."""

    page_size = 3


class EventViewSet(UidLookupMixin, ModelViewSet):
    """Events, in pages."""

    permission_classes = [AllowAny]
    queryset = Event.objects.all()
    serializer_class = EventSerializer
    pagination_class = Pages


class EventNoteViewSet(UidLookupMixin, ModelViewSet):
    """Notes."""

    permission_classes = [AllowAny]
    queryset = EventNote.objects.all()
    serializer_class = EventNoteSerializer
    pagination_class = Pages


router = DefaultRouter()
router.register("events", EventViewSet)
router.register("notes", EventNoteViewSet)

urlpatterns = router.urls
