"""Path converters: ``<uid:pk>``, ``<uid32:pk>``, ``<uid62:pk>``.

The app registers them. An invalid UID matches no route: the response is 404.
"""

from __future__ import annotations

from typing import ClassVar

from django.urls import register_converter
from django.urls.converters import get_converters

from django_uidgen.core.text import UidText


class UidConverter:
    """UIDs as decimal digits, without leading zeros.

    A subclass may set a ``prefix``, of letters, digits and ``._~-``::

        class OrderConverter(Uid32Converter):
            prefix = "ord_"

        register_converter(OrderConverter, "order")
    """

    base: ClassVar[int] = 10
    prefix: ClassVar[str] = ""

    def __init__(self) -> None:
        self._text = UidText(self.base, self.prefix)
        #: The attribute that Django reads from a converter.
        self.regex = self._text.pattern

    def to_python(self, value: str) -> int:
        """Return the UID. Raise ``InvalidUid``, a ``ValueError``: no match."""
        return self._text.parse(value)

    def to_url(self, value: int | str) -> str:
        """Return the text of ``value``, an int or its decimal digits.

        Raise ``InvalidUid``, a ``ValueError``: Django makes it a ``NoReverseMatch``.
        """
        return self._text.format(value)


class Uid32Converter(UidConverter):
    """UIDs in base 32. Reads lower case and look-alikes too, writes upper case."""

    base = 32


class Uid62Converter(UidConverter):
    """UIDs in base 62."""

    base = 62


_CONVERTERS = {"uid": UidConverter, "uid32": Uid32Converter, "uid62": Uid62Converter}


def register() -> None:
    """Register the three converters, except under names in use. Idempotent.

    The app calls this when it is ready. A URLconf that is imported earlier, for example
    by the ``ready()`` of an app listed before, must call it first.
    """
    for name, converter in _CONVERTERS.items():
        # Django raises or warns for a name in use, even for the same class.
        if name not in get_converters():
            register_converter(converter, name)
