"""The Django app, which brings the worker's command."""

from django.apps import AppConfig


class LiteQueueConfig(AppConfig):
    """Named so that it does not take the label `django`."""

    name = "litequeue.contrib.django"
    label = "litequeue"
    verbose_name = "litequeue"
