"""A worker meets rows that were edited into nonsense; `test_files.py` shows them to everybody else."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from litequeue import State
from tests.hostile.edits import as_parameter, columns, nonsense
from tests.worker.case import FileCase


class TestWorkers(FileCase):
    """Each such job ends or waits by itself, and every good one runs."""

    def test_jobs_of_nonsense_keep_no_other_from_running(self) -> None:
        self.queue.task(name="app:task")(lambda *args, **kwargs: None)
        self.queue.counts()
        tried = 0
        with closing(sqlite3.connect(self.path)) as connection:
            names = columns(connection, "litequeue_job")
        for column in names:
            values = nonsense(column)
            bad = [self.queue.enqueue("app:task") for _ in values]
            good = self.queue.enqueue("app:task", 1)
            for job, value in zip(bad, values, strict=True):
                tried += self.edit(job.id, column, value)
            with self.subTest(column):
                self.burst()
                self.assertEqual(good.refresh().state, State.COMPLETED)
            self.change("DELETE FROM litequeue_job")
        self.assertGreater(tried, 300)

    def edit(self, id: int, column: str, value: object) -> bool:
        mark, values = as_parameter(value)
        with closing(sqlite3.connect(self.path)) as connection:
            try:
                connection.execute(f"UPDATE litequeue_job SET {column} = {mark} WHERE id = {id}", values)
            except (sqlite3.Error, OverflowError):
                return False
            connection.commit()
        return True
