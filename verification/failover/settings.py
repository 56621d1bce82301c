"""The Django project of the processes that mint. The conductor gives what varies."""

from __future__ import annotations

import json
import os
from typing import Any

from verification.failover import SETTINGS

SECRET_KEY = "not a secret: for this program only"
USE_TZ = True
INSTALLED_APPS = ["django_uidgen"]

_given: dict[str, Any] = json.loads(os.environ[SETTINGS])
DATABASES = {"default": _given["DATABASE"]}
UIDGEN = _given["UIDGEN"]
