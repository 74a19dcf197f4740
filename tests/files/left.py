"""What a killed process leaves: a file whose jobs are all still in its log."""

from __future__ import annotations

from pathlib import Path

from tests.storage.files import PRELUDE, FileCase
from tests.support import Program, folder_for

KILLED = """
store = store_at(sys.argv[1])
for _ in range(20):
    store.enqueue([JOB])
for statement in sys.argv[2:]:
    store.database.write(lambda c: c.execute(statement).rowcount)
say("done")
sys.stdin.readline()
"""


class LeftCase(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = folder_for(self, in_memory=True)
        self.path = self.folder / "jobs.db"
        self.log = Path(f"{self.path}-wal")
        self.index = Path(f"{self.path}-shm")

    def leave_a_log(self, *statements: str) -> None:
        """Twenty jobs, all of them only in the log of a process that was killed."""
        program = Program(self, PRELUDE + KILLED, self.path, *statements)
        self.assertEqual(program.hear(), "done")
        program.kill()
        self.assertGreater(self.log.stat().st_size, 100_000)

    def stored(self) -> dict[str, str]:
        """What is stored: all but the index of the log, which is made anew whenever it is wanted."""
        return {name: hash for name, hash in self.contents().items() if not name.endswith(("-shm", "-lock"))}
