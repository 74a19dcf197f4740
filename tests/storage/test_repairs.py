"""Each repair satisfies its check again; who holds the log of a file is seen."""

from __future__ import annotations

import os
import unittest
from contextlib import closing

from litequeue.storage.checks import broken
from litequeue.storage.onlookers import readers
from litequeue.storage.repairs import REPAIRS, repair
from tests.storage.files import JOB, PRELUDE, FileCase
from tests.storage.test_checks import HARM
from tests.storage.test_plans import memory
from tests.support import Program

READER = """
connection = sqlite3.connect(sys.argv[1])
cursor = connection.execute("SELECT 1 FROM litequeue_job")
say("reads")
sys.stdin.read()
"""


class TestRepairs(unittest.TestCase):
    def test_each_satisfies_its_check_again(self) -> None:
        for one in REPAIRS:
            with self.subTest(one.name), closing(memory()) as connection:
                connection.executescript(HARM[one.name])
                self.assertIn(one.name, [each.name for each in broken(connection)])
                done = repair(connection)
                self.assertEqual([each.rows for each in done if each.name == one.name], [1])
                self.assertNotIn(one.name, [each.name for each in broken(connection)])

    def test_a_sound_file_is_left_as_it_is(self) -> None:
        with closing(memory()) as connection:
            connection.executescript("INSERT INTO litequeue_job (task) VALUES ('app:f')")
            self.assertEqual(repair(connection), [])

    def test_a_job_whose_parents_have_all_ended_may_run(self) -> None:
        with closing(memory()) as connection:
            connection.executescript(HARM["pending"])
            repair(connection)
            rows = connection.execute("SELECT state, pending FROM litequeue_job WHERE id = 1").fetchall()
            self.assertEqual(rows, [("scheduled", 0)])


class TestOnlookers(FileCase):
    def test_a_process_in_mid_read_is_named(self) -> None:
        self.store().enqueue([JOB])
        self.assertEqual(readers(str(self.path)), [])
        reader = Program(self, PRELUDE + READER, self.path)
        reader.hear()
        (found,) = readers(str(self.path))
        self.assertEqual(found.pid, reader.pid)
        self.assertIn("-c", found.command)
        reader.kill()
        self.assertEqual(readers(str(self.path)), [])

    def test_what_the_system_does_not_tell(self) -> None:
        self.store()
        inode = os.stat(f"{self.path}-shm").st_ino
        lines = [
            f"1: POSIX  ADVISORY  READ 999999 08:01:{inode} 124 124",
            f"2: POSIX  ADVISORY  READ 7 08:01:{inode} 128 128",
            f"3: POSIX  ADVISORY  WRITE 8 08:01:{inode} 120 120",
            f"4: OFDLCK ADVISORY  READ -1 08:01:{inode} 124 124",
            "5: POSIX  ADVISORY  READ 9 08:01:1 124 124",
            "nonsense",
        ]
        self.assertEqual(readers(str(self.path), "\n".join(lines)), [(999999, "unknown")])
        self.assertEqual(readers(str(self.folder / "none.db")), [])
