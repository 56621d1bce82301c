"""The back office of the example project."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.urls import reverse
from live.models import (
    Connection,
    HlsSegment,
    PlaySession,
    PublishSession,
    Recording,
    Stream,
)

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("config.urls"),
    pytest.mark.usefixtures("recorded"),
]

MODELS = [Stream, Connection, PublishSession, PlaySession, HlsSegment, Recording]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)


def address(model, page: str, *args) -> str:
    return reverse(f"admin:live_{model._meta.model_name}_{page}", args=args)


def found(admin_client, model, words: str) -> list:
    response = admin_client.get(address(model, "changelist"), {"q": words})
    assert response.status_code == 200
    return list(response.context["cl"].queryset)


@every_model
def test_the_list_is_newest_first(admin_client, model):
    """Each model has one, in the order of the keys."""
    response = admin_client.get(address(model, "changelist"))
    keys = [row.pk for row in response.context["cl"].result_list]
    assert keys == sorted(keys, reverse=True)
    assert len(keys) == model.objects.count()


@every_model
def test_a_row_is_found_by_its_uid(admin_client, model):
    """And by nothing but the whole of it."""
    row = model.objects.first()
    assert found(admin_client, model, str(row.pk)) == [row]
    assert found(admin_client, model, str(row.pk)[:-1]) == []


@pytest.mark.parametrize(
    ("model", "words", "count"),
    [
        (Stream, "camera1", 1),
        (Stream, "live", 2),
        (Connection, "w2w2bm27", 1),
        (Connection, "127.0.0.1", 6),
        (PublishSession, "camera1", 1),
        (PublishSession, "ur4073z4", 1),
        (PlaySession, "camera1", 4),
        (PlaySession, "camera1 k782ua51", 1),
        (HlsSegment, "camera2-3.ts", 1),
        (Recording, "camera1", 1),
        (Recording, "no such file", 0),
    ],
)
def test_search(admin_client, model, words, count):
    """Names, clients, addresses and files are searched."""
    assert len(found(admin_client, model, words)) == count


@every_model
@pytest.mark.parametrize("words", ["\0", "9" * 40, "'\"%_\\", "٣", "-1"])
def test_odd_words_find_nothing(admin_client, model, words):
    """The search takes whatever is typed."""
    response = admin_client.get(address(model, "changelist"), {"q": words})
    assert response.status_code in (200, 302)


@every_model
def test_a_row_can_be_opened_and_saved(admin_client, model):
    """The form of each model holds what is stored, and its key stays."""
    row = model.objects.first()
    url = address(model, "change", row.pk)
    page = admin_client.get(url)
    assert page.status_code == 200
    form = page.context["adminform"].form
    data = {name: value for name, value in form.initial.items() if value is not None}
    for moment in ("connected_at", "closed_at", "started_at", "ended_at"):
        if moment in data:
            value = data.pop(moment)
            data |= {f"{moment}_0": value.date(), f"{moment}_1": value.time()}
    for formset in page.context["inline_admin_formsets"]:
        prefix = formset.formset.prefix
        data |= {f"{prefix}-TOTAL_FORMS": 0, f"{prefix}-INITIAL_FORMS": 0}
    assert admin_client.post(url, data).status_code == 302
    assert model.objects.filter(pk=row.pk).exists()


def test_a_row_can_be_added(admin_client):
    """It gets a UID."""
    data = {"vhost": "v", "app": "live", "name": "camera9"}
    assert admin_client.post(address(Stream, "add"), data).status_code == 302
    newest = Stream.objects.latest("pk")
    assert newest.name == "camera9"


def test_a_row_can_be_deleted(admin_client):
    """With what hangs on it."""
    row = Stream.objects.get(name="camera1")
    response = admin_client.post(address(Stream, "delete", row.pk), {"post": "yes"})
    assert response.status_code == 302
    assert PublishSession.objects.count() == 1
    assert PlaySession.objects.count() == 0


def test_a_publish_session_shows_what_came_of_it(admin_client):
    """Its segments and its recording stand on its page."""
    row = PublishSession.objects.get(stream__name="camera1")
    page = admin_client.get(address(PublishSession, "change", row.pk)).content.decode()
    assert "camera1-6.ts" in page
    assert "camera1.1795416346100.flv" in page


@every_model
def test_a_list_costs_the_same_with_more_rows(
    admin_client, model, django_assert_max_num_queries
):
    """No query for each row."""
    with django_assert_max_num_queries(8):
        admin_client.get(address(model, "changelist"))


def test_every_model_is_in_the_admin():
    """None was forgotten."""
    assert all(admin.site.is_registered(model) for model in MODELS)
