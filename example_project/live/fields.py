"""Model fields of the app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    _CharField = models.CharField[str, str]
else:
    _CharField = models.CharField


class ExactCharField(_CharField):
    """A ``CharField`` in which ``Camera1`` and ``camera1`` differ on every database.

    MySQL and MariaDB compare text without regard to case unless told otherwise, so
    a unique constraint there would make one stream of two.
    """

    def db_parameters(self, connection: Any) -> Any:
        """Return the column's parameters, with a binary collation on MySQL."""
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            parameters["collation"] = "utf8mb4_bin"
        return parameters
