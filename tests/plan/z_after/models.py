"""One model, keyed by UIDs."""

from __future__ import annotations

from django.db import models


class Row(models.Model):
    """Made by the data migration."""

    name = models.CharField(max_length=20)

    def __str__(self) -> str:
        return self.name
