"""What these tests share: a queue whose time is moved by hand, and files that must stay unchanged."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from litequeue import Queue
from litequeue.testing import HandClock
from tests.repository import ROOT
from tests.support import folder_for
from tests.worker.case import QuietCase


class QueueCase(QuietCase):
    """A queue in a file of its own, whose time stands still."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = folder_for(self, in_memory=True)
        self.path = self.folder / "jobs.db"
        self.clock = HandClock()
        self.queue = self.make_queue()

    def make_queue(self, name: str = "default", path: str | Path | None = None, **options: Any) -> Queue:
        """Another queue on the same file, or on another one."""
        queue = Queue(path or self.path, name, **{"clock": self.clock, **options})
        self.addCleanup(queue.close)
        return queue

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Within the block no file of the folder comes, goes or changes."""
        before = self.contents()
        yield
        self.assertEqual(self.contents(), before)

    def contents(self) -> dict[str, str]:
        """The files of the folder, by a digest of what is in them."""
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }

    def write(self, name: str, text: str) -> Path:
        """A file in the folder of the test."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


def run_python(*arguments: object, cwd: Path, stdin: str | None = None, code: int = 0) -> str:
    """What Python says when it is started in this folder with the checkout on its path."""
    ended = subprocess.run(
        [sys.executable, *(str(argument) for argument in arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if ended.returncode != code:
        raise AssertionError(f"exit code {ended.returncode}\n{ended.stdout}\n{ended.stderr}")
    return ended.stdout
