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

from .backend import LiteQueueBackend

__all__ = ["LiteQueueBackend"]
