"""Model fields for UIDs, stored as a plain ``bigint``.

``UidField`` has its value as soon as the object is created, like a ``UUIDField`` with a
default. ``UidAutoField`` is None until the object is saved, like a ``BigAutoField``,
and can be ``DEFAULT_AUTO_FIELD``.
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
    """The common part of both fields: the generator, and no default in migrations."""

    #: The alias of the generator that mints the values.
    generator: str

    def _refuse_default(self, options: dict[str, Any]) -> None:
        if "default" in options or "db_default" in options:
            raise TypeError(
                f"A {type(self).__name__} takes no default: it mints its values. For "
                f"UIDs from elsewhere use a BigIntegerField."
            )

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """Return the messages of all checks, also that the generator is configured."""
        return [*super().check(**kwargs), *self._check_generator()]

    def _check_generator(self) -> list[checks.CheckMessage]:
        try:
            known = conf.aliases()
        except conf.InvalidSetting:
            return []  # django_uidgen.E001 reports it
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
        """Return the arguments for a migration.

        They omit the default, and the generator "default". The path is canonical and
        public for ever.
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
        """Return the type of the column, without identity or AUTO_INCREMENT."""
        return "BigIntegerField"


class UidField(_UidFieldMixin, _FieldBase):
    """A column of UIDs. An object has its UID as soon as it is created.

    For a primary key or any other column. ``generator`` is an alias of the ``UIDGEN``
    setting. ``editable`` is False by default. Raise ``TypeError`` for a default.
    """

    description = "UID (64-bit, minted when the object is created)"

    def __init__(
        self, *args: Any, generator: str = DEFAULT_ALIAS, **kwargs: Any
    ) -> None:
        self._refuse_default(kwargs)
        self.generator = generator
        kwargs.setdefault("editable", False)
        kwargs["default"] = self.mint
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        """Return the arguments for a migration; ``editable`` only if it is True."""
        name, path, args, kwargs = super().deconstruct()
        if self.editable:
            kwargs["editable"] = True
        else:
            kwargs.pop("editable", None)
        return name, path, args, kwargs

    def formfield(self, **kwargs: Any) -> Any:
        """Return a form field that reads and writes UIDs as text."""
        # Imported here: every process imports this module, few use forms.
        from django_uidgen.forms import UidFormField

        return super().formfield(
            **{"form_class": UidFormField, "min_value": 1, **kwargs}
        )


class UidAutoField(_UidFieldMixin, _AutoFieldBase):
    """A primary key of UIDs that is None until the object is saved.

    ``save()`` and ``bulk_create()`` mint it. Copying by ``pk = None`` works, and an
    object that is never saved wastes no UID. For ``DEFAULT_AUTO_FIELD``, or by name.

    As for every primary key with a default, ``save()`` of a new object with an explicit
    key sends an INSERT; an ``AutoField`` would send an UPDATE first.
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
        """Add this field to a model, or the key that the model must have instead."""
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
        """Return True, so that ``save()`` of a new object sends an INSERT at once."""
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
    """Return the class of the key that ``model`` must have instead, or None.

    DEFAULT_AUTO_FIELD applies to two kinds of models that it must not change.
    """
    # The table django_migrations belongs to no app that could pin its key. It exists
    # before the worker table, and in older projects its column is too small for UIDs.
    if model.__module__ == "django.db.migrations.recorder":
        return models.BigAutoField
    # Migrations ignore the default_auto_field of an app: they create the join tables of
    # its ManyToManyFields with DEFAULT_AUTO_FIELD. With a UidAutoField, the join table
    # of an app that pins another key would lack the identity that its model relies on.
    if model._meta.auto_created and model.__module__ == "__fake__":
        return _pinned_key_class(model._meta.app_label)
    return None


def _pinned_key_class(app_label: str) -> type[models.Field[Any, Any]] | None:
    """Return the class of keys that an app pins, or None if that has UIDs."""
    app_config = apps.app_configs.get(app_label)
    if app_config is None:
        return None
    key_class: type[models.Field[Any, Any]] = import_string(
        app_config.default_auto_field
    )
    return None if issubclass(key_class, UidAutoField) else key_class


UidField.register_lookup(MintedAt)
UidAutoField.register_lookup(MintedAt)
