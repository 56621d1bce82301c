"""UIDs in the addresses of view sets."""

from __future__ import annotations

from django_uidgen.core.text import DECIMAL_OR_ZERO_PATTERN


class UidLookupMixin:
    """Mixin for a view set whose rows are found by a UID: ``/orders/<uid>/``.

    A path with anything but a UID in decimal matches no route: 404. The OpenAPI schema
    shows the same pattern.
    """

    lookup_value_regex = f"(?:{DECIMAL_OR_ZERO_PATTERN})"
