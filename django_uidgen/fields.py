"""Model fields: a plain ``bigint`` in the database, whose values are UIDs.

``UidField`` has its value as soon as the object is made, as a ``UUIDField`` with a
default. ``UidAutoField`` is None until the object is saved, as a ``BigAutoField``, and
can be ``DEFAULT_AUTO_FIELD``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core import checks
from django.db import models
from django.utils.module_loading import import_string

from django_uidgen import conf, registry
from django_uidgen.conf import DEFAULT_ALIAS
from django_uidgen.lookups import MintedAt

if TYPE_CHECKING:
    _FieldBase = models.BigIntegerField[Any, Any]
    _AutoFieldBase = models.BigAutoField[Any, Any]
else:
    _FieldBase = models.BigIntegerField
    _AutoFieldBase = models.BigAutoField


class _UidFieldMixin(models.Field if TYPE_CHECKING else object):  # type: ignore[misc]
    """What both fields have in common: the generator, and no trace of a default."""

    #: Alias of the generator that mints the values.
    generator: str

    def _refuse_default(self, options: dict[str, Any]) -> None:
        if "default" in options or "db_default" in options:
            raise TypeError(
                f"A {type(self).__name__} takes no default: it mints one. For UIDs "
                f"that come from elsewhere use a BigIntegerField."
            )

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """Check also that the generator is configured."""
        return [*super().check(**kwargs), *self._check_generator()]

    def _check_generator(self) -> list[checks.CheckMessage]:
        try:
            known = conf.aliases()
        except conf.InvalidSetting:
            return []  # django_uidgen.E001 says it
        if self.generator in known:
            return []
        return [
            checks.Error(
                f"There is no generator {self.generator!r}.",
                hint=f"Add it to UIDGEN, or use one of {', '.join(map(repr, known))}.",
                obj=self,
                id="django_uidgen.E002",
            )
        ]

    def deconstruct(self) -> Any:
        """Return what a migration writes: no default, the generator if not the usual.

        The path is canonical and public for ever.
        """
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("default", None)
        if self.generator != DEFAULT_ALIAS:
            kwargs["generator"] = self.generator
        return name, path, args, kwargs

    def mint(self) -> int:
        """Return one UID of this field's generator."""
        if self.generator == DEFAULT_ALIAS:
            return registry.uid()
        return registry.generators[self.generator].uid()

    def get_internal_type(self) -> str:
        """Return the type of the column: no identity, no AUTO_INCREMENT."""
        return "BigIntegerField"


class UidField(_UidFieldMixin, _FieldBase):
    """A column of UIDs. An object has its UID as soon as it is made.

    For a primary key or any other column. ``generator`` is an alias of the ``UIDGEN``
    setting. Not editable, unless it is told to be.
    """

    description = "UID (64-bit, minted when the object is made)"

    def __init__(
        self, *args: Any, generator: str = DEFAULT_ALIAS, **kwargs: Any
    ) -> None:
        self._refuse_default(kwargs)
        self.generator = generator
        kwargs.setdefault("editable", False)
        kwargs["default"] = self.mint
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        """Return what a migration writes; ``editable`` only where it was set."""
        name, path, args, kwargs = super().deconstruct()
        if self.editable:
            kwargs["editable"] = True
        else:
            kwargs.pop("editable", None)
        return name, path, args, kwargs

    def formfield(self, **kwargs: Any) -> Any:
        """Return a form field that takes and shows UIDs as text."""
        # Only where there is a form: every process imports this module at its start.
        from django_uidgen.forms import UidFormField

        return super().formfield(
            **{"form_class": UidFormField, "min_value": 1, **kwargs}
        )


class UidAutoField(_UidFieldMixin, _AutoFieldBase):
    """A primary key of UIDs that is None until the object is saved.

    Minted by ``save()`` and ``bulk_create()``. Copying by ``pk = None`` works, and an
    object that is never saved burns no UID. For ``DEFAULT_AUTO_FIELD`` or by hand.

    As with every primary key that has a default, ``save()`` of a new object with a
    key set by hand is an INSERT; ``AutoField`` would try an UPDATE first.
    """

    description = "UID (64-bit, minted when the object is saved)"

    #: The value is known before the INSERT: no RETURNING.
    db_returning = False

    def __init__(
        self, *args: Any, generator: str = DEFAULT_ALIAS, **kwargs: Any
    ) -> None:
        self._refuse_default(kwargs)
        self.generator = generator
        super().__init__(*args, **kwargs)

    def contribute_to_class(  # type: ignore[override]  # as AutoFieldMixin's
        self, cls: type[models.Model], name: str, **kwargs: Any
    ) -> None:
        """Add the field to a model, or the key that this model must have instead."""
        key_class = _imposed_key_class(cls)
        if key_class is None:
            super().contribute_to_class(cls, name, **kwargs)
            return
        key = key_class(
            verbose_name=self.verbose_name,
            primary_key=True,
            auto_created=self.auto_created,
        )
        key.contribute_to_class(cls, name)

    def has_default(self) -> bool:
        """Return True: ``save()`` goes straight to INSERT for a new object."""
        return True

    def get_default(self) -> None:
        """Return None: the UID is minted when the object is saved."""
        return

    def get_pk_value_on_save(self, instance: models.Model) -> int:
        """Return a new UID."""
        return self.mint()


def _imposed_key_class(
    model: type[models.Model],
) -> type[models.Field[Any, Any]] | None:
    """Return the class of the key that ``model`` must have instead of ours, or None.

    DEFAULT_AUTO_FIELD reaches two kinds of models that it must not change.
    """
    # The table django_migrations has no app that could pin its key. It exists before
    # the worker table, and in older projects its column is too small for UIDs.
    if model.__module__ == "django.db.migrations.recorder":
        return models.BigAutoField
    # Migrations know no default_auto_field of an app: they make the tables between the
    # ends of its ManyToManyFields with DEFAULT_AUTO_FIELD. With ours such a table of an
    # app that pins another key would have no identity, which its model relies on.
    if model._meta.auto_created and model.__module__ == "__fake__":
        return _pinned_key_class(model._meta.app_label)
    return None


def _pinned_key_class(app_label: str) -> type[models.Field[Any, Any]] | None:
    """Return the class of keys that an app pins, or None where UIDs are right."""
    app_config = apps.app_configs.get(app_label)
    if app_config is None:
        return None
    key_class: type[models.Field[Any, Any]] = import_string(
        app_config.default_auto_field
    )
    return None if issubclass(key_class, UidAutoField) else key_class


UidField.register_lookup(MintedAt)
UidAutoField.register_lookup(MintedAt)
