"""The settings of the test project; its files lie in the folder that the environment names."""

import os
from pathlib import Path
from typing import Any

import django

FOLDER = Path(os.environ["LITEQUEUE_TEST_FOLDER"])
BACKEND = "litequeue.contrib.django.LiteQueueBackend"

SECRET_KEY = "not a secret"
USE_TZ = True
TIME_ZONE = "UTC"
INSTALLED_APPS = ["tests.contrib.django", "litequeue.contrib.django"]
INSTALLED_APPS += os.environ.get("LITEQUEUE_TEST_APPS", "").split()
if "LITEQUEUE_TEST_LOGS" in os.environ:  # what Django says of its signals, and of a reload
    LOGGING = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"said": {"class": "logging.StreamHandler"}},
        "loggers": {name: {"handlers": ["said"], "level": "INFO"} for name in ("django", "django_tasks")},
    }
# What a database should be told that the jobs share; Django knows these options from 5.1 on.
SHARED = {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA wal_autocheckpoint = 0"}
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": FOLDER / "site.db",
        "TEST": {"NAME": FOLDER / "tests.db"},
        "OPTIONS": SHARED if django.VERSION >= (5, 1) else {},
    },
    "memory": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    "other": {"ENGINE": "django.db.backends.dummy"},
}
TASKS: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": BACKEND,
        "QUEUES": ["default", "mails"],
        "OPTIONS": {"path": FOLDER / "jobs.db", "durability": "normal"},
    },
    "stubborn": {
        "BACKEND": BACKEND,
        "OPTIONS": {"path": FOLDER / "jobs.db", "durability": "normal", "retry": 3, "timeout": 20},
    },
    "shared": {"BACKEND": BACKEND, "OPTIONS": {"database": "default", "durability": "normal"}},
}
