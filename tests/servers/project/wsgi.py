"""The project under WSGI, which may mint before the server forks."""

from __future__ import annotations

from django.core.wsgi import get_wsgi_application

from tests.servers.project import parent

application = get_wsgi_application()
parent.mint_as_told()
