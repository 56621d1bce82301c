"""Settings of gunicorn for the example project; the demo gives the rest."""

from __future__ import annotations

# Newer gunicorn opens a control socket in the home folder. Nothing here needs it.
control_socket_disable = True
