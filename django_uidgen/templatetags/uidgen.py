"""Filters that write UIDs: ``{{ order.pk|uid }}``, ``{{ order.pk|uid32:"ord_" }}``.

By itself a template writes an int as the settings say, with separators between
thousands under ``USE_THOUSAND_SEPARATOR``. These write text, which nothing localizes.

None and "", which a missing variable is, give "". All else that is no UID raises
``InvalidUid``: a page with a wrong or an empty key in a link would hide the mistake.
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
