"""A form field for UIDs, and its widget, a text input."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from django_uidgen.core.exceptions import InvalidUid
from django_uidgen.core.text import UidText, to_uid


class UidInput(forms.TextInput):
    """A text input without thousand separators.

    Not a number input: a browser computes in doubles, which lose digits of integers
    above 2**53, and may format numbers in the locale of its user.
    """

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(
            {
                "autocapitalize": "off",
                "autocomplete": "off",
                "spellcheck": "false",
                **(attrs or {}),
            }
        )

    def format_value(self, value: Any) -> str | None:
        """Return ``value`` as text without localization, or None if it is empty."""
        return None if value is None or value == "" else str(value)


class UidFormField(forms.IntegerField):
    """A UID, entered as text; its cleaned value is an int.

    ``base`` is 10, 32 or 62, and ``prefix`` precedes the digits, as for ``UidText``.
    Surrounding blanks are ignored; other forms of a UID are invalid. ``empty_value`` is
    the cleaned value of an empty input. A number input, as the admin requests, is
    replaced by a ``UidInput`` with the same attributes.
    """

    widget = UidInput
    default_error_messages = {
        "invalid": _("Enter a valid UID."),
        "prefix": _("Enter a UID that begins with “%(prefix)s”."),
    }

    def __init__(
        self,
        *,
        base: int = 10,
        prefix: str = "",
        empty_value: Any = None,
        **kwargs: Any,
    ) -> None:
        self.text = UidText(base, prefix)
        self.empty_value = empty_value
        kwargs["widget"] = _without_numbers(kwargs.get("widget"))
        super().__init__(**kwargs)

    def to_python(self, value: Any) -> Any:
        """Return the UID that ``value`` represents, or ``empty_value``.

        Raise ``ValidationError`` with the code "prefix" for another prefix, and
        "invalid" for any other invalid value.
        """
        if isinstance(value, str):
            value = value.strip()
        if value in self.empty_values:
            return self.empty_value
        try:
            return self.text.parse(value) if isinstance(value, str) else to_uid(value)
        except InvalidUid as error:
            raise self._refusal(value) from error

    def _refusal(self, value: Any) -> ValidationError:
        prefix = self.text.prefix
        mismatch = isinstance(value, str) and not value.startswith(prefix)
        code = "prefix" if mismatch else "invalid"
        return ValidationError(
            self.error_messages[code], code=code, params={"prefix": prefix}
        )

    def prepare_value(self, value: Any) -> Any:
        """Return the text of a UID. Return any other value, as entered, unchanged."""
        if not isinstance(value, int):
            return value
        try:
            return self.text.format(value)
        except InvalidUid:
            return value

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Return the attributes: for plain decimal UIDs, ask for a numeric keyboard."""
        attrs = super().widget_attrs(widget)
        if self.text == UidText(10) and isinstance(widget, UidInput):
            attrs["inputmode"] = "numeric"
        return attrs

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Return whether ``data`` differs from the UID ``initial`` or is invalid."""
        if self.disabled:
            return False
        try:
            return bool(self.to_python(initial) != self.to_python(data))
        except ValidationError:
            return True


def _without_numbers(
    widget: forms.Widget | type[forms.Widget] | None,
) -> forms.Widget | type[forms.Widget] | None:
    """Return ``widget``, or a ``UidInput`` in place of a number input."""
    made = widget() if isinstance(widget, type) else widget
    return UidInput(made.attrs) if isinstance(made, forms.NumberInput) else widget
