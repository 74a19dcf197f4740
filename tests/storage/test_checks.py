"""Each invariant is broken by hand once, and found; in a file that was only used none is."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from litequeue.job import Complete, Note
from litequeue.storage.checks import INVARIANTS, SHOWN, broken
from tests.storage.engines import ContractCase
from tests.storage.test_plans import memory

JOB = "INSERT INTO litequeue_job (id, task, state, reason, attempt, worker, started_at, finished_at)"
EDGE = "INSERT INTO litequeue_edge VALUES (1, 0, 2, 'success', 1);"
HARM = {
    "version": "UPDATE litequeue_meta SET value = '77' WHERE key = 'version'",
    "state": f"{JOB} VALUES (1, 't', 'odd', NULL, 0, NULL, NULL, NULL)",
    "owner": f"{JOB} VALUES (1, 't', 'running', NULL, 1, NULL, 0, NULL)",
    "owner exists": f"{JOB} VALUES (1, 't', 'running', NULL, 1, 77, 0, NULL)",
    "end": f"{JOB} VALUES (1, 't', 'ready', NULL, 0, NULL, NULL, 5)",
    "reason": f"{JOB} VALUES (1, 't', 'failed', NULL, 1, NULL, 0, 5)",
    "claimed": f"{JOB} VALUES (1, 't', 'completed', NULL, 0, NULL, 0, 5)",
    "started": f"{JOB} VALUES (1, 't', 'completed', NULL, 1, NULL, NULL, 5)",
    "counted": "INSERT INTO litequeue_job (id, task, failures) VALUES (1, 't', 1)",
    "poison": "INSERT INTO litequeue_job (id, task, attempt, crashes) VALUES (1, 't', 3, 3)",
    "stopping": "INSERT INTO litequeue_job (id, task, cancelling) VALUES (1, 't', 1)",
    "payload": "INSERT INTO litequeue_job (id, task, payload) VALUES (1, 't', NULL)",
    "result": "INSERT INTO litequeue_job (id, task, result) VALUES (1, 't', '1')",
    "text": "INSERT INTO litequeue_job (id, task, meta) VALUES (1, 't', '{')",
    "failures": "INSERT INTO litequeue_failure VALUES (1, 1, 0, 'error', 'E', '', '', '')",
    "log": "INSERT INTO litequeue_log VALUES (1, 1, 1, 0, '')",
    "steps": "INSERT INTO litequeue_step VALUES (1, 'a', 1, 1, 0, NULL, NULL)",
    "blobs": "INSERT INTO litequeue_blob VALUES (1, 'result', 'x')",
    "edges": "INSERT INTO litequeue_edge VALUES (1, 0, 2, 'success', 0)",
    "linked": f"{EDGE} INSERT INTO litequeue_job (id, task) VALUES (2, 't')",
    "pending": f"{EDGE} INSERT INTO litequeue_job (id, task, state, pending) VALUES (1, 't', 'blocked', 1)",
    "blocked": "INSERT INTO litequeue_job (id, task, state) VALUES (1, 't', 'blocked')",
    "passed": f"{EDGE} INSERT INTO litequeue_job (id, task) VALUES (1, 't')",
    "held": "INSERT INTO litequeue_job (id, task, state, limit_key) VALUES (1, 't', 'blocked', 'l')",
    "starts": "INSERT INTO litequeue_start VALUES ('l', 0, 1, 1)",
    "unique": """DROP INDEX litequeue_unique;
                 INSERT INTO litequeue_job (task, unique_key) VALUES ('t', 'k'), ('t', 'k')""",
    "ids": "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'litequeue_worker'",
}


class TestChecks(ContractCase):
    def test_each_invariant_finds_what_breaks_it(self) -> None:
        self.assertEqual({each.name for each in INVARIANTS}, {"sound", *HARM})
        for name, harm in HARM.items():
            with self.subTest(name), closing(memory()) as connection:
                connection.execute("PRAGMA ignore_check_constraints = ON")
                connection.execute(
                    "INSERT INTO litequeue_worker VALUES (3, 'w', 1, '[]', 1, 0, 0, '', 0, 0, 0)"
                )
                connection.executescript(harm)
                self.assertIn(name, [each.name for each in broken(connection) if each.name != "sound"])

    def test_damage_that_sqlite_finds_is_told(self) -> None:
        with closing(memory()) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            connection.execute("INSERT INTO litequeue_job (task, ack) VALUES ('t', 'odd')")
            connection.execute("PRAGMA ignore_check_constraints = OFF")
            self.assertEqual([each.name for each in broken(connection)], ["sound"])

    def test_only_the_first_rows_are_told(self) -> None:
        with closing(memory()) as connection:
            rows = [(number,) for number in range(1, 31)]
            connection.executemany("INSERT INTO litequeue_job (id, task, failures) VALUES (?, 't', 1)", rows)
            self.assertEqual(len(broken(connection)[0].rows), SHOWN)

    def test_a_file_that_was_used_is_sound(self) -> None:
        done, large, failed, noted = (
            self.enqueue(payload=payload) for payload in ("[]", "x" * 9000, "[]", "[]")
        )
        leases = [job.lease for job in self.claim(4)]
        self.complete(leases[0])
        self.store.settle(Complete(leases[1], "y" * 9000, "json"))
        self.run_to_failure(leases[2])
        self.store.note(Note(leases[3], 0.5, "half", None, ((self.clock.now(), "line"),)))
        self.store.delete(done)
        self.assertEqual([leases[1].job, failed, noted], [large, failed, leases[3].job])
        with closing(sqlite3.connect(self.store.database.path)) as connection:
            self.assertEqual(broken(connection), [])
