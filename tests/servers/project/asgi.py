"""The project under ASGI, which may mint before the server forks."""

from __future__ import annotations

from django.core.asgi import get_asgi_application

from tests.servers.project import parent

application = get_asgi_application()
parent.mint_as_told()
