"""The example project, a page that loads its JSON, and rows by plain Django."""

from __future__ import annotations

from config.urls import handler404, urlpatterns
from django.http import HttpResponse, JsonResponse
from django.urls import path
from live.models import PublishSession, Stream

from django_uidgen.json import UidJSONEncoder

__all__ = ["handler404", "urlpatterns"]

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>UIDs in a browser</title>
<style>
  body { font: 16px monospace }
  td, th { padding: 4px 12px; text-align: left }
</style>
<h1>UIDs after JSON.parse</h1>
<table><tr><th>where</th><th>what</th><th>value</th></tr></table>
<script>
  const table = document.querySelector("table");
  function show(where, what, value) {
    const row = table.insertRow();
    row.id = where + "-" + what.replace(" ", "-");
    for (const text of [where, what, value]) row.insertCell().textContent = text;
  }
  async function load(url) {
    const response = await fetch(url);
    return JSON.parse(await response.text());
  }
  async function main() {
    const rest = await load("/api/publish-sessions/");
    show("rest", "key", rest.results[0].id);
    show("rest", "foreign key", rest.results[0].stream);
    const stream = await load(`/api/streams/${rest.results[0].stream}/`);
    show("rest", "list", stream.publish_sessions.join(" "));
    const plain = await load("/plain/");
    show("plain", "key", plain.session.id);
    show("plain", "foreign key", plain.session.stream_id);
    show("plain", "list", plain.ids.join(" "));
    const number = await load("/number/");
    show("number", "key", number.id);
    show("page", "state", "loaded");
  }
  main().catch(error => show("page", "state", String(error)));
</script>
</html>
"""


def page(request):
    """Return the page, whose script does the rest."""
    return HttpResponse(PAGE)


def plain(request):
    """Return rows, with the encoder."""
    sessions = PublishSession.objects.order_by("-pk")
    found = {
        "session": sessions.first(),
        "ids": sessions.values_list("id", flat=True),
        "stream": Stream.objects.get(),
    }
    return JsonResponse(found, encoder=UidJSONEncoder)


def number(request):
    """Return a key as Django does by itself: as a number."""
    return JsonResponse({"id": PublishSession.objects.latest("pk").pk})


urlpatterns += [
    path("page/", page),
    path("plain/", plain),
    path("number/", number),
]
