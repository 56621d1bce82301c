"""Forms, formsets and the admin of models with UID keys."""

from __future__ import annotations

import json
import re

import pytest
from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.urls import path, reverse

from django_uidgen import parse
from tests.testapp.models import (
    Event,
    EventNote,
    GiftOrder,
    Invoice,
    LoudEvent,
    Order,
    OrderLine,
    Parcel,
    Receipt,
    Tag,
    Ticket,
)

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

both_keys = pytest.mark.parametrize("model", [Event, Order])

#: Models with their children: the prefix on the page, the names of text and parent.
CHILDREN = {
    Order: (OrderLine, "lines", "product", "order"),
    GiftOrder: (OrderLine, "lines", "product", "order"),
    Event: (EventNote, "notes", "text", "event"),
    LoudEvent: (EventNote, "notes", "text", "event"),
    Ticket: (Invoice, "invoice_set", "text", "ticket"),
}

#: What the forms of the models ask for.
VALUES = {
    Order: {"name": "a"},
    GiftOrder: {"name": "a", "message": "m"},
    Event: {"name": "a"},
    LoudEvent: {"name": "a", "volume": 3},
    Ticket: {"seat": "1"},
}
every_parent = pytest.mark.parametrize("model", CHILDREN)

# An admin of the suite's own models, apart from the one that projects see.

site = admin.AdminSite(name="suite")


class OrderLineInline(admin.TabularInline):
    model = OrderLine
    extra = 2


class EventNoteInline(admin.StackedInline):
    model = EventNote
    extra = 2


class ParcelInline(admin.TabularInline):
    """A child keyed by a UidField, with another that can be edited."""

    model = Parcel
    fields = ["name", "barcode", "returned_as"]
    extra = 1


class ReceiptInline(admin.TabularInline):
    """A child whose key is the key of its parent."""

    model = Receipt


class InvoiceInline(admin.TabularInline):
    """A child that refers to a UID which is not the key of its parent."""

    model = Invoice
    extra = 2


@admin.register(Order, site=site)
class OrderAdmin(admin.ModelAdmin):
    inlines = [OrderLineInline, ParcelInline, ReceiptInline]
    list_display = ["pk", "name"]
    list_editable = ["name"]
    save_as = True
    search_fields = ["pk", "name"]


@admin.register(Event, site=site)
class EventAdmin(admin.ModelAdmin):
    inlines = [EventNoteInline, ParcelInline]
    list_display = ["pk", "name"]
    list_editable = ["name"]
    save_as = True
    search_fields = ["pk", "name"]


@admin.register(GiftOrder, site=site)
class GiftOrderAdmin(admin.ModelAdmin):
    inlines = [OrderLineInline]


@admin.register(LoudEvent, site=site)
class LoudEventAdmin(admin.ModelAdmin):
    inlines = [EventNoteInline]


@admin.register(Ticket, site=site)
class TicketAdmin(admin.ModelAdmin):
    inlines = [InvoiceInline]
    readonly_fields = ["number"]


site.register([Tag, Parcel])

urlpatterns = [path("", site.urls)]


def address(model, page, *arguments):
    """Return the address of a page of the admin."""
    return reverse(f"suite:testapp_{model._meta.model_name}_{page}", args=arguments)


def contents(form):
    """Return what a browser sends of a form that nobody has touched."""
    data = {}
    for field in form:
        value = field.value()
        if isinstance(field.field, forms.ModelMultipleChoiceField):
            data[field.html_name] = [getattr(one, "pk", one) for one in value or []]
        elif not isinstance(field.field, forms.BooleanField):
            data[field.html_name] = "" if value is None else value
        if field.field.show_hidden_initial:
            data[field.html_initial_name] = "" if value is None else value
    return data


def page_contents(page):
    """Return what a browser sends of a page of the admin that nobody has touched."""
    assert page.status_code == 200, page.content
    data = contents(page.context["adminform"].form)
    for inline in page.context["inline_admin_formsets"]:
        data |= contents(inline.formset.management_form)
        for form in inline.formset.forms:
            data |= contents(form)
    return data


def send(client, url, changes=()):
    """Open a page of the admin, change it, save it; expect no complaint."""
    data = page_contents(client.get(url)) | dict(changes)
    response = client.post(url, data)
    assert response.status_code == 302, [
        response.context["errors"],
        response.context["adminform"].form.errors,
    ]
    return data


# The admin.


@both_keys
def test_page_to_add_shows_no_key(admin_client, model):
    """Of the parent, of the children, and of the link between them."""
    data = page_contents(admin_client.get(address(model, "add")))
    _, prefix, _, parent = CHILDREN[model]
    assert "id" not in data
    keys = [data[f"{prefix}-0-{name}"] for name in ("id", parent)]
    keys += [data[f"parcel_set-0-{name}"] for name in ("id", parent)]
    assert keys == [""] * 4


@every_parent
def test_add_with_children(admin_client, model):
    """The parent gets its UIDs, and the children have them."""
    child, prefix, text, parent = CHILDREN[model]
    changes = VALUES[model] | {f"{prefix}-0-{text}": "b", f"{prefix}-1-{text}": "c"}
    send(admin_client, address(model, "add"), changes)
    row = model.objects.get()
    children = list(child.objects.order_by("pk"))
    assert [getattr(each, text) for each in children] == ["b", "c"]
    [uid] = {getattr(each, f"{parent}_id") for each in children}
    assert parse(uid)
    assert uid == (row.number if model is Ticket else row.pk)
    assert LogEntry.objects.get().object_id == str(row.pk)


@both_keys
def test_untouched_children_are_not_saved(admin_client, model):
    """Though each was offered a UID."""
    data = send(admin_client, address(model, "add"), {"name": "a"})
    assert parse(data["parcel_set-0-barcode"])
    assert Parcel.objects.count() == EventNote.objects.count() == 0
    assert OrderLine.objects.count() == 0


@both_keys
def test_add_a_child_with_a_uid_field(admin_client, model):
    """It has a key of its own, and the UID that the page offered."""
    data = send(
        admin_client, address(model, "add"), {"name": "a", "parcel_set-0-name": "b"}
    )
    parcel = Parcel.objects.get()
    assert getattr(parcel, model._meta.model_name) == model.objects.get()
    assert parse(parcel.pk)
    assert str(parcel.barcode) == data["parcel_set-0-barcode"]
    assert str(parcel.returned_as) == data["parcel_set-0-returned_as"]


def test_uids_can_be_typed_in_and_left_out(admin_client):
    """Where the field is editable, and where it is null."""
    changes = {"name": "a", "barcode": "77", "returned_as": ""}
    send(admin_client, address(Parcel, "add"), changes)
    parcel = Parcel.objects.get()
    assert (parcel.barcode, parcel.returned_as) == (77, None)


def test_child_with_the_key_of_its_parent(admin_client):
    """It is added and changed on the same page."""
    url = address(Order, "add")
    send(admin_client, url, {"name": "a", "receipt-0-text": "b"})
    order = Order.objects.get()
    assert order.receipt.pk == order.pk
    send(admin_client, address(Order, "change", order.pk), {"receipt-0-text": "c"})
    assert Receipt.objects.get().text == "c"


@both_keys
def test_page_with_an_error_is_sent_again(admin_client, model):
    """The row that failed to be added is added with its children."""
    child, prefix, text, parent = CHILDREN[model]
    url = address(model, "add")
    changes = {"name": "", f"{prefix}-0-{text}": "b", "parcel_set-0-name": "c"}
    response = admin_client.post(url, page_contents(admin_client.get(url)) | changes)
    assert response.context["errors"]
    assert model.objects.count() == 0
    again = page_contents(response) | {"name": "a"}
    assert admin_client.post(url, again).status_code == 302
    row = model.objects.get()
    assert [getattr(each, parent) for each in child.objects.all()] == [row]
    assert [getattr(each, parent) for each in Parcel.objects.all()] == [row]


@every_parent
def test_change_with_children(admin_client, model):
    """One child changed, one deleted, one added; the keys stay."""
    child, prefix, text, parent = CHILDREN[model]
    row = model.objects.create(**VALUES[model])
    first, second = (child.objects.create(**{parent: row, text: t}) for t in "bc")
    uid = getattr(first, f"{parent}_id")
    send(
        admin_client,
        address(model, "change", row.pk),
        {
            f"{prefix}-0-{text}": "B",
            f"{prefix}-1-DELETE": "on",
            f"{prefix}-2-{text}": "d",
        },
    )
    changed, added = child.objects.order_by("pk")
    assert (changed.pk, getattr(changed, text)) == (first.pk, "B")
    assert added.pk > second.pk
    assert getattr(added, f"{parent}_id") == uid


@both_keys
def test_change_of_nothing(admin_client, model):
    """Everything is as it was."""
    row = model.objects.create(name="a")
    parcel = Parcel.objects.create(name="b", **{model._meta.model_name: row})
    before = list(Parcel.objects.values())
    send(admin_client, address(model, "change", row.pk))
    assert model.objects.get() == row
    assert list(Parcel.objects.values()) == before
    assert parcel.pk == before[0]["id"]


@both_keys
def test_save_as_new(admin_client, model):
    """The copy and its children have keys of their own."""
    child, _, text, parent = CHILDREN[model]
    row = model.objects.create(name="a")
    old = child.objects.create(**{parent: row, text: "b"})
    url = address(model, "change", row.pk)
    send(admin_client, url, {"_saveasnew": "1", "name": "c"})
    copy = model.objects.get(name="c")
    assert copy.pk not in {row.pk, None}
    assert model.objects.count() == 2
    new = child.objects.get(**{parent: copy})
    assert new.pk != old.pk
    assert child.objects.get(**{parent: row}) == old


@both_keys
def test_list_is_edited(admin_client, model):
    """Rows are told apart by their keys."""
    rows = [model.objects.create(name=name) for name in "ab"]
    url = address(model, "changelist")
    formset = admin_client.get(url).context["cl"].formset
    data = contents(formset.management_form)
    for form in formset.forms:
        data |= contents(form)
        data[f"{form.prefix}-name"] += "!"
    assert admin_client.post(url, data | {"_save": "1"}).status_code == 302
    assert dict(model.objects.values_list("pk", "name")) == {
        rows[0].pk: "a!",
        rows[1].pk: "b!",
    }


@both_keys
def test_search_for_a_key(admin_client, model):
    """The whole of it finds the row."""
    rows = [model.objects.create(name=name) for name in "ab"]
    page = admin_client.get(address(model, "changelist"), {"q": str(rows[0].pk)})
    assert list(page.context["cl"].result_list) == [rows[0]]


@both_keys
def test_delete(admin_client, model):
    """One on its page, others by the action of the list."""
    rows = [model.objects.create(name=name) for name in "abc"]
    admin_client.post(address(model, "delete", rows[0].pk), {"post": "yes"})
    assert model.objects.count() == 2
    data = {"action": "delete_selected", "_selected_action": rows[1].pk, "post": "yes"}
    admin_client.post(address(model, "changelist"), data)
    assert model.objects.get() == rows[2]


@both_keys
def test_history(admin_client, model):
    """It finds what was logged by the key."""
    send(admin_client, address(model, "add"), {"name": "a"})
    row = model.objects.get()
    page = admin_client.get(address(model, "history", row.pk))
    assert len(page.context["action_list"]) == 1


@both_keys
def test_row_added_in_a_window_of_its_own(admin_client, model):
    """The browser gets the key as a string: its numbers have 53 bits."""
    data = page_contents(admin_client.get(address(model, "add")))
    data |= {"name": "a", "_popup": "1"}
    page = admin_client.post(address(model, "add"), data).content.decode()
    sent = re.search(r'data-popup-response="([^"]*)"', page)[1]
    answer = json.loads(sent.replace("&quot;", '"'))
    assert answer["value"] == str(model.objects.get().pk)


def test_relations_on_a_page(admin_client):
    """Rows are chosen by their keys."""
    order, event = Order.objects.create(name="a"), Event.objects.create(name="b")
    changes = {"name": "c", "order": order.pk, "event": event.pk, "seen_at": [event.pk]}
    send(admin_client, address(Parcel, "add"), changes)
    parcel = Parcel.objects.get()
    assert (parcel.order, parcel.event) == (order, event)
    assert list(parcel.seen_at.all()) == [event]


def test_row_that_is_not_there(admin_client):
    """Whatever the address says, the list is shown."""
    for key in ("5", str(2**70), "abc"):
        page = admin_client.get(address(Order, "change", key))
        assert page.status_code == 302


# Forms and formsets by themselves.


@both_keys
def test_model_form(model, django_assert_num_queries):
    """A new row is one INSERT, with no question whether the key is taken."""
    form_class = forms.modelform_factory(model, fields=["name"])
    with django_assert_num_queries(1):
        row = form_class({"name": "a"}).save()
    with django_assert_num_queries(1):
        form_class({"name": "b"}, instance=row).save()
    assert model.objects.get().name == "b"
    assert model.objects.get().pk == row.pk


@both_keys
def test_model_form_saved_later(model):
    """The key is there when the row is."""
    form = forms.modelform_factory(model, fields=["name"])({"name": "a"})
    row = form.save(commit=False)
    assert (row.pk is None) is (model is Order)
    row.save()
    assert parse(model.objects.get().pk)


@both_keys
def test_model_formset(model):
    """One row changed, one deleted, one added."""
    rows = [model.objects.create(name=name) for name in "ab"]
    formset_class = forms.modelformset_factory(
        model, fields=["name"], extra=1, can_delete=True
    )
    blank = formset_class(queryset=model.objects.order_by("pk"))
    data = contents(blank.management_form)
    for form in blank.forms:
        data |= contents(form)
    data |= {"form-0-name": "A", "form-1-DELETE": "on", "form-2-name": "c"}
    formset = formset_class(data)
    assert formset.is_valid(), formset.errors
    formset.save()
    changed, added = model.objects.order_by("pk")
    assert (changed, changed.name, added.name) == (rows[0], "A", "c")
    assert parse(added.pk)


@every_parent
def test_inline_formset_of_a_new_parent(model):
    """The parent is saved between validation and the children."""
    child, prefix, text, parent = CHILDREN[model]
    formset_class = forms.inlineformset_factory(model, child, fields=[text], extra=1)
    row = model(**VALUES[model])
    data = {
        f"{prefix}-TOTAL_FORMS": 1,
        f"{prefix}-INITIAL_FORMS": 0,
        f"{prefix}-0-{text}": "b",
    }
    formset = formset_class(data, instance=row)
    assert formset.is_valid(), formset.errors
    row.save()
    [saved] = formset.save()
    assert parse(getattr(saved, f"{parent}_id"))
    assert model.objects.get(**{f"{prefix.replace('_set', '')}__pk": saved.pk}) == row
