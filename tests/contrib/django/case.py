"""What the tests of the Django backend share. Importing this skips a module where Django is missing."""

from __future__ import annotations

import importlib.util
import logging
import os
import tempfile
import unittest
from pathlib import Path
from typing import Any

if importlib.util.find_spec("django") is None:
    raise unittest.SkipTest("Django is not installed here; .ci/run has an environment for it")

_FOLDER = tempfile.TemporaryDirectory(prefix="litequeue-django-")
os.environ["LITEQUEUE_TEST_FOLDER"] = _FOLDER.name
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.contrib.django.settings"

import django  # noqa: E402
from django.core.management import call_command  # noqa: E402

django.setup()
for _name in ("litequeue", "django_tasks"):
    logging.getLogger(_name).addHandler(logging.NullHandler())  # that tasks fail here is no news

from litequeue import Queue  # noqa: E402
from litequeue.contrib.django.framework import task_backends  # noqa: E402

FOLDER = Path(_FOLDER.name)
VERSION: tuple[int, int] = django.VERSION[:2]


class DjangoTest(unittest.TestCase):
    """A test with empty queues."""

    def setUp(self) -> None:
        for alias in ("default", "shared"):
            queue = queue_of(alias)
            for name in ("default", "mails"):
                with Queue(queue.path, name) as each:
                    each.resume()
                    each.cancel()
                    each.delete()

    def run_worker(self, **options: Any) -> None:
        """Run the worker's command until nothing is ready."""
        call_command("litequeue_worker", **{"burst": True, "verbosity": 0, **options})


def queue_of(alias: str = "default") -> Queue:
    """The queue behind a backend."""
    queue: Queue = task_backends[alias].queue
    return queue
