"""`manage.py litequeue_worker`: run the Django Tasks of one backend."""

from __future__ import annotations

import argparse
import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.autoreload import run_with_reloader

from litequeue.cli.arguments import FAILED_BY_FILE
from litequeue.cli.work import add_size, configure, tell_begin, worker_options
from litequeue.contrib.django.backend import LiteQueueBackend
from litequeue.contrib.django.framework import task_backends
from litequeue.errors import DatabaseError, LiteQueueError
from litequeue.worker import Worker
from litequeue.worker.notify import taken_from

_RESOLVER = "litequeue.contrib.django.finding:worker_resolver"


class Command(BaseCommand):  # type: ignore[misc,unused-ignore]
    """The command that Django finds by the name of this module."""

    help = "Run the Tasks of a litequeue backend until stopped; of the file's other jobs, none."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Those of `python -m litequeue worker` that mean something here."""
        parser.add_argument("--backend", default="default", help="its name in TASKS (default: default)")
        parser.add_argument(
            "--queues", metavar="A,B", help="the queues to serve (default: the backend's QUEUES)"
        )
        parser.add_argument(
            "--reload", action="store_true", help="begin anew when code changes, in development"
        )
        add_size(parser)

    def handle(self, *_: Any, **given: Any) -> None:
        """Run until stopped. A `CommandError` with code 3 says that the file can not be used any more."""
        args = argparse.Namespace(**given)
        if args.reload:
            run_with_reloader(self._work, args, in_background=True)
        else:
            self._work(args, in_background=False)

    def _work(self, args: argparse.Namespace, *, in_background: bool) -> None:
        backend = _backend(args.backend)
        try:
            options = worker_options(args, args.queues or ",".join(sorted(backend.queues)) or "default")
            kind = configure(args) if args.verbosity else None
            with backend.given.own_queue() as queue:
                tell_begin(queue.desk.database.path, options)
                notifier = taken_from(os.environ, queue.clock)
                worker = Worker(queue, options, log=kind, resolver_by=_RESOLVER, notifier=notifier)
                _run(worker, in_background)
        except DatabaseError as error:
            raise CommandError(str(error), returncode=FAILED_BY_FILE) from error
        except LiteQueueError as error:
            raise CommandError(str(error)) from error


def _run(worker: Worker, in_background: bool) -> None:
    """Work here; or, below Django's reloader, where the end of the process gives back what runs."""
    if in_background:
        worker.start().join()
    else:
        worker.run()


def _backend(alias: str) -> LiteQueueBackend:
    backend = task_backends[alias]
    if not isinstance(backend, LiteQueueBackend):
        raise CommandError(f"TASKS[{alias!r}] is a {type(backend).__name__}, not a LiteQueueBackend")
    return backend
