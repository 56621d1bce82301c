"""A project of its own, for tests that run ``migrate`` on an empty database."""

from __future__ import annotations

import json
import os
from typing import Any

SECRET_KEY = "not a secret: for tests only"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django_uidgen.fields.UidAutoField"
DATABASES: dict[str, Any] = json.loads(os.environ["UIDGEN_TEST_PLAN_DATABASES"])
INSTALLED_APPS: list[str] = json.loads(os.environ["UIDGEN_TEST_PLAN_APPS"])
