"""What `manage.py check` says of the settings of a backend. No file is opened for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import django
from django.apps import apps
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from ...storage.checkpoint import LEAVE_THE_LOG, carries_reset_fault
from .given import Given

_APP = "litequeue.contrib.django"


def problems(alias: str, read: Callable[[], Given]) -> Iterator[checks.CheckMessage]:
    """Errors and warnings about one entry of TASKS, whose OPTIONS `read` checks."""
    where = f"TASKS[{alias!r}]"
    try:
        chosen = read()
        chosen.place()
    except ImproperlyConfigured as error:
        yield checks.Error(f"{where}: {error}", id="litequeue.E001")
        return
    if not apps.is_installed(_APP):
        hint = f"Add {_APP!r} to INSTALLED_APPS."
        yield checks.Warning(f"{where}: the command litequeue_worker is not there", hint, id="litequeue.W001")
    if chosen.path is None and django.VERSION >= (5, 1):  # which know these options
        yield from _of_database(chosen)


def _of_database(chosen: Given) -> Iterator[checks.CheckMessage]:
    """What the connection of a shared database should be told, which only its settings can."""
    where = f"DATABASES[{chosen.database!r}]"
    options = connections[chosen.database].settings_dict["OPTIONS"]
    if options.get("transaction_mode") not in ("IMMEDIATE", "EXCLUSIVE"):
        yield checks.Warning(
            f"{where}: an enqueue in a transaction that has read fails when another has written since",
            'Say "OPTIONS": {"transaction_mode": "IMMEDIATE"} there.',
            id="litequeue.W002",
        )
    if carries_reset_fault() and LEAVE_THE_LOG not in str(options.get("init_command")):
        yield checks.Warning(
            f"{where}: this SQLite can damage a file whose log two connections copy at once",
            f'Say "OPTIONS": {{"init_command": "{LEAVE_THE_LOG}"}} there; litequeue copies it.',
            id="litequeue.W003",
        )
