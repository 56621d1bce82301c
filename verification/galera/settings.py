"""The Django project on the cluster: two generators, with many and few worker ids."""

from __future__ import annotations

import os

#: The second has so few that bursts of claims meet, and take over what has lapsed.
WORKER_IDS = {"default": (0, 1023), "few": (0, 23)}

#: Seconds.
LEASE = 3.0

SECRET_KEY = "not a secret: for this scenario only"
USE_TZ = True
INSTALLED_APPS = ["django_uidgen"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.mysql",
        "NAME": "uidgen",
        "USER": "root",
        "HOST": "127.0.0.1",
        "PORT": os.environ["UIDGEN_GALERA_PORT"],
        "OPTIONS": {"connect_timeout": 3},
    },
}

UIDGEN = {
    alias: {
        "WORKER_IDS": worker_ids,
        "BACKDATED_WORKER_IDS": None,
        "OPTIONS": {"LEASE": LEASE, "MAX_WAIT": 10.0},
    }
    for alias, worker_ids in WORKER_IDS.items()
}
