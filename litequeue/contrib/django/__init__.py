"""Django's Tasks kept in a litequeue file: a backend for Django 6.0, or for `django-tasks` before it.

    INSTALLED_APPS = [..., "litequeue.contrib.django"]
    TASKS = {
        "default": {
            "BACKEND": "litequeue.contrib.django.LiteQueueBackend",
            "OPTIONS": {"path": BASE_DIR / "jobs.db"},
        }
    }

`python manage.py litequeue_worker` runs them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .backend import LiteQueueBackend as LiteQueueBackend


def __getattr__(name: str) -> object:
    if name == "LiteQueueBackend":  # what looks through packages, as unittest does, need not have Django
        from .backend import LiteQueueBackend

        return LiteQueueBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
