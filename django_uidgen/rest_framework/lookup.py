"""UIDs in the addresses of view sets."""

from __future__ import annotations

from django_uidgen.rest_framework.fields import UID_REGEX


class UidLookupMixin:
    """Mixin for a view set whose rows are found by a UID: ``/orders/<uid>/``.

    Anything but a UID in its one form is no address: 404. The schema says so, too.
    """

    lookup_value_regex = UID_REGEX
