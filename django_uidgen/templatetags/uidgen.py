"""Filters that write UIDs: ``{{ order.pk|uid }}``, ``{{ order.pk|uid32:"ord_" }}``.

Templates localize an int, with thousand separators if ``USE_THOUSAND_SEPARATOR`` is on.
These filters return text, which is never localized.

None, and "" from a missing variable, become "". Any other invalid UID raises
``InvalidUid``: a link with a wrong or empty key would hide the mistake.
"""

from __future__ import annotations

from django import template

from django_uidgen.core.text import UidText

register = template.Library()


@register.filter
def uid(value: int | str | None, prefix: str = "") -> str:
    """Return ``value``, an int or its decimal digits, as decimal digits."""
    return _write(value, UidText(10, prefix))


@register.filter
def uid32(value: int | str | None, prefix: str = "") -> str:
    """Return ``value``, an int or its decimal digits, in base 32."""
    return _write(value, UidText(32, prefix))


@register.filter
def uid62(value: int | str | None, prefix: str = "") -> str:
    """Return ``value``, an int or its decimal digits, in base 62."""
    return _write(value, UidText(62, prefix))


def _write(value: int | str | None, form: UidText) -> str:
    return "" if value is None or value == "" else form.format(value)
