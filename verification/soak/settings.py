"""The Django project of the soak: one database, and two generators of either kind."""

from __future__ import annotations

import os

#: For one generator all that the layout has, so that a host finds one at whatever time
#: its clock is. For the other so few that those of processes that were only suspended
#: are taken over too; what a host that is ahead has had is of no use to those behind.
WORKER_IDS = {"default": (0, 1023), "exact": (0, 15)}

SECRET_KEY = "not a secret: for the soak only"
USE_TZ = True
INSTALLED_APPS = ["django_uidgen"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
        "HOST": os.environ["UIDGEN_SOAK_HOST"],
        "PORT": os.environ["UIDGEN_SOAK_PORT"],
        "OPTIONS": {"connect_timeout": 3},
    },
}

_OPTIONS = {
    "LEASE": float(os.environ.get("UIDGEN_SOAK_LEASE", "3")),
    # The clocks are off by up to an hour.
    "MAX_CLOCK_SKEW": None,
}

UIDGEN = {
    "default": {"WORKER_IDS": WORKER_IDS["default"], "OPTIONS": _OPTIONS},
    "exact": {
        "GENERATOR": "django_uidgen.generators.DefaultUidGenerator",
        "WORKER_IDS": WORKER_IDS["exact"],
        "OPTIONS": _OPTIONS,
    },
}
