"""The Django app, which brings the worker's command, and makes the tables as Django migrates."""

from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate


class LiteQueueConfig(AppConfig):
    """Named so that it does not take the label `django`."""

    name = "litequeue.contrib.django"
    label = "litequeue"
    verbose_name = "litequeue"

    def ready(self) -> None:
        """Let `manage.py migrate` make the tables, and `manage.py check --database` look for them."""
        from .tables import make, missing  # which need the settings

        post_migrate.connect(make, sender=self)
        checks.register(missing, checks.Tags.database)
