"""The form field of UIDs: what it reads, what it shows, and where it is used."""

from __future__ import annotations

import copy

import pytest
from django import forms
from django.core.exceptions import ValidationError
from django.test import override_settings
from django.utils import translation

from django_uidgen.core.text import UidText
from django_uidgen.fields import UidField
from django_uidgen.forms import UidFormField, UidInput
from tests.fields.test_field_forms import site
from tests.testapp.models import Parcel

LARGEST = 2**63 - 1
UID = 118_268_539_986_373_293

#: Where Django writes 1,234 for 1234, and reads it so.
separators = override_settings(
    USE_THOUSAND_SEPARATOR=True, LANGUAGE_CODE="de", NUMBER_GROUPING=3
)

KINDS = [(base, prefix) for base in (10, 32, 62) for prefix in ("", "ord_")]
every_kind = pytest.mark.parametrize(("base", "prefix"), KINDS)


def form_with(field, *args, **kwargs):
    """Return a form of one field, called "uid"."""
    return type("UidForm", (forms.Form,), {"uid": field})(*args, **kwargs)


def code_of(field, value):
    """Return the code of the error that a value gives."""
    with pytest.raises(ValidationError) as caught:
        field.clean(value)
    [error] = caught.value.error_list
    return error.code


# What it reads.


@every_kind
@pytest.mark.parametrize("uid", [1, UID, LARGEST])
def test_text_gives_an_int(base, prefix, uid):
    """In the form that the field is made for, with blanks around."""
    field = UidFormField(base=base, prefix=prefix)
    text = UidText(base, prefix).format(uid)
    assert field.clean(text) == uid
    assert field.clean(f" {text}\n") == uid
    assert field.clean(uid) == uid


def test_base32_by_hand():
    """Lower case and look-alikes are read."""
    assert UidFormField(base=32).clean("o39Lckh4zvtnd") == UID


@every_kind
@pytest.mark.parametrize("value", [None, "", " ", "\t\n"])
def test_nothing(base, prefix, value):
    """None, or what was asked for; an error where a UID is required."""
    options = {"base": base, "prefix": prefix}
    assert UidFormField(**options, required=False).clean(value) is None
    other = UidFormField(**options, required=False, empty_value=-1)
    assert other.clean(value) == -1
    assert code_of(UidFormField(**options), value) == "required"


@pytest.mark.parametrize(
    ("base", "value"),
    [
        *((10, value) for value in ["0", "-1", "+1", "01", "1.0", "1,000", "1e5", "x"]),
        *((10, value) for value in [str(2**63), "9" * 10_000, "1\x00", "\u0661"]),
        *((10, value) for value in [True, 1.0, 0, 2**63, object()]),
        (32, "0391CKH4ZVTN"),
        (32, "0391CKH4ZVTNU"),
        (32, "8000000000000"),
        (32, str(UID)),
        (62, "08jfby637v-"),
        (62, "08jfby637v"),
        (62, "AzL8n0Y58m8"),
    ],
)
def test_what_is_no_uid(base, value):
    """One message, that promises nothing of what would be right."""
    field = UidFormField(base=base)
    assert code_of(field, value) == "invalid"
    with pytest.raises(ValidationError, match=r"^\['Enter a valid UID\.'\]$"):
        field.clean(value)


@pytest.mark.parametrize("base", [10, 32, 62])
@pytest.mark.parametrize("found", ["", "inv_", "ORD_"])
def test_another_prefix(base, found):
    """The message names the one that is expected."""
    field = UidFormField(base=base, prefix="ord_")
    text = UidText(base, found).format(UID)
    assert code_of(field, text) == "prefix"
    with pytest.raises(ValidationError, match="begins with “ord_”"):
        field.clean(text)
    assert code_of(field, "ord_x") == "invalid"


def test_bounds():
    """Django's own validators."""
    field = UidFormField(base=62, min_value=5, max_value=7)
    assert field.clean("00000000005") == 5
    assert code_of(field, "00000000004") == "min_value"
    assert code_of(field, "00000000008") == "max_value"


def test_unknown_base():
    """It is refused when the form is made."""
    with pytest.raises(ValueError, match="base is 16"):
        UidFormField(base=16)


def test_copies_are_apart():
    """As every form copies its fields."""
    field = UidFormField(base=32, prefix="ord_")
    twin = copy.deepcopy(field)
    assert twin.text == field.text
    assert twin.widget is not field.widget


# What it shows.


@every_kind
@pytest.mark.parametrize("localize", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"widget": forms.TextInput}, {"show_hidden_initial": True}]
)
def test_no_separators(base, prefix, localize, options):
    """Neither in the input nor in a hidden one, nor in a page that shows the value."""
    field = UidFormField(base=base, prefix=prefix, localize=localize, **options)
    text = UidText(base, prefix).format(UID)
    with separators, translation.override("de"):
        form = form_with(field, initial={"uid": UID})
        page = str(form["uid"])
        hidden = form["uid"].as_hidden()
    assert page.count(f'value="{text}"') == 1 + field.show_hidden_initial
    assert f'value="{text}"' in hidden
    assert form["uid"].value() == text


@pytest.mark.parametrize("value", [UID, str(UID)])
def test_widget_by_itself(value):
    """It writes no separators, whatever it was told."""
    widget = UidInput()
    widget.is_localized = True
    with separators, translation.override("de"):
        page = widget.render("uid", value)
    assert f'value="{UID}"' in page
    assert 'type="text"' in page


@pytest.mark.parametrize("value", [None, ""])
def test_empty_widget(value):
    """No value at all."""
    assert "value=" not in UidInput().render("uid", value)


def test_attributes_of_the_widget():
    """Nothing is corrected while it is typed in. Others can be given."""
    page = UidInput({"class": "wide", "autocomplete": "on"}).render("uid", 5)
    for attribute in (
        'class="wide"',
        'autocomplete="on"',
        'autocapitalize="off"',
        'spellcheck="false"',
    ):
        assert attribute in page


@every_kind
def test_keys_of_digits(base, prefix):
    """They are offered where nothing else is typed in."""
    page = str(form_with(UidFormField(base=base, prefix=prefix))["uid"])
    assert ('inputmode="numeric"' in page) is ((base, prefix) == (10, ""))
    own = UidFormField(base=base, prefix=prefix, widget=forms.Textarea)
    assert "inputmode" not in str(form_with(own)["uid"])


@every_kind
@pytest.mark.parametrize("typed", ["x", "01", "0391ckh4zvtnd"])
def test_what_was_typed_in_is_shown_again(base, prefix, typed):
    """Wrong or not."""
    form = form_with(UidFormField(base=base, prefix=prefix), {"uid": typed})
    assert form["uid"].value() == typed


@pytest.mark.parametrize("value", [0, -5, 2**63, True, None])
def test_value_that_is_no_uid_is_shown(value):
    """It may be in a column, and an error in a page would hide it."""
    field = UidFormField(base=32)
    assert field.prepare_value(value) is value


@pytest.mark.parametrize("as_class", [False, True])
def test_number_input_is_replaced(as_class):
    """With its attributes: a browser's number input loses digits."""

    class Wide(forms.NumberInput):
        def __init__(self, attrs=None):
            super().__init__({"class": "wide", **(attrs or {})})

    field = UidFormField(widget=Wide if as_class else Wide())
    assert type(field.widget) is UidInput
    assert field.widget.attrs["class"] == "wide"


# What has changed.


@every_kind
def test_has_changed(base, prefix):
    """UIDs are compared, not their texts."""
    form = UidText(base, prefix)
    field = UidFormField(base=base, prefix=prefix, required=False)
    text = form.format(UID)
    assert not field.has_changed(UID, text)
    assert not field.has_changed(text, f" {text} ")
    assert not field.has_changed(None, "")
    assert not field.has_changed("", None)
    assert field.has_changed(UID, form.format(UID + 1))
    assert field.has_changed(UID, "")
    assert field.has_changed(None, text)
    assert field.has_changed(UID, "?")
    assert field.has_changed(0, "0")


def test_has_changed_by_case():
    """Base 32 has one UID for both."""
    field = UidFormField(base=32)
    assert not field.has_changed(UID, "0391ckh4zvtnd")
    assert UidFormField(base=62).has_changed(UID, "08JFBY637VX")


def test_disabled_field_never_changes():
    """As with every field."""
    assert not UidFormField(disabled=True).has_changed(UID, "5")


def test_empty_value_is_no_change():
    """Whatever stands for it."""
    field = UidFormField(required=False, empty_value="")
    assert not field.has_changed(None, "")
    assert field.has_changed(UID, "")


@every_kind
def test_hidden_initial(base, prefix):
    """It is read as it was written."""
    field = UidFormField(base=base, prefix=prefix, show_hidden_initial=True)
    text = UidText(base, prefix).format(UID)
    form = form_with(field, {"uid": text, "initial-uid": text})
    assert form.is_valid()
    assert not form.has_changed()
    assert form_with(field, {"uid": text, "initial-uid": ""}).has_changed()


# Models.


def test_model_field_has_it():
    """Between 1 and what a column holds; another form where it is asked for."""
    field = UidField(editable=True).formfield()
    assert type(field) is UidFormField
    assert (field.min_value, field.max_value) == (1, LARGEST)
    assert type(field.widget) is UidInput
    other = UidField(editable=True).formfield(base=32, prefix="ord_")
    assert other.clean("ord_0391CKH4ZVTND") == UID
    plain = UidField(editable=True).formfield(form_class=forms.IntegerField)
    assert type(plain) is forms.IntegerField


@pytest.mark.django_db
def test_model_form():
    """A row is shown, changed and left unchanged."""
    form_class = forms.modelform_factory(Parcel, fields=["barcode", "returned_as"])
    parcel = Parcel.objects.create(name="a", barcode=UID, returned_as=None)
    with separators, translation.override("de"):
        page = form_class(instance=parcel).as_p()
    assert f'name="barcode" value="{UID}"' in page
    data = {"barcode": str(UID), "initial-barcode": str(UID), "returned_as": ""}
    form = form_class(data, instance=parcel)
    assert form.changed_data == []
    form = form_class(data | {"barcode": "77", "returned_as": "78"}, instance=parcel)
    form.save()
    parcel.refresh_from_db()
    assert (parcel.barcode, parcel.returned_as) == (77, 78)


@pytest.mark.django_db
def test_model_form_with_a_form_of_its_own():
    """What the page shows is what it takes."""

    class ParcelForm(forms.ModelForm):
        barcode = UidFormField(base=32, prefix="par_")

        class Meta:
            model = Parcel
            fields = ["barcode"]

    parcel = Parcel.objects.create(name="a", barcode=UID)
    form = ParcelForm(instance=parcel)
    assert 'value="par_0391CKH4ZVTND"' in str(form["barcode"])
    form = ParcelForm({"barcode": "par_000000000000z"}, instance=parcel)
    assert form.save().barcode == 31


def test_admin_has_a_text_input(rf):
    """Though it asks for a number input for every big integer."""
    request = rf.get("/")
    admin = site.get_model_admin(Parcel)
    field = admin.formfield_for_dbfield(
        Parcel._meta.get_field("barcode"), request=request
    )
    assert type(field.widget) is UidInput
    assert field.widget.attrs["class"] == "vBigIntegerField"
