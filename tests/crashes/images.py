"""Power cuts at the points of a record: the files as a disk would hold them then, opened and judged."""

from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from litequeue.errors import LiteQueueError
from tests.crashes.disk import Disk, Event, Files
from tests.crashes.lives import require_nothing, require_one_of
from tests.crashes.rig import Rig, State, breaches, place, stored

DATABASE = "jobs.db"
_MATTERING = {DATABASE, f"{DATABASE}-wal", f"{DATABASE}-journal", "."}
_FRAME_HEADER, _SIZE_AFTER_COMMIT = 24, slice(4, 8)
_WORKED_ON = 25  # of so many images one is worked on as well


@dataclass
class Promised:
    """What was acknowledged so far: a place in the line of states, and what became of jobs."""

    committed: int = 0
    synced: int = 0
    jobs: dict[str, str] = field(default_factory=dict)


class PowerCuts:
    """Cuts the power at points of one record.

    The states of the file stand in the line in which they were committed. After a cut it may hold any of
    them, and at `is_full` durability none from before the last that was acknowledged.
    """

    def __init__(self, folder: Path, *, is_full: bool) -> None:
        self._folder = folder
        self._is_full = is_full
        self._line: list[State] = [[]]
        self._promised = Promised()
        self._is_last_frame = False
        self._is_news = True  # something was committed since the last note
        self.counts: Counter[str] = Counter()
        self.losses: list[str] = []

    def play(self, events: Iterable[Event], every: int, seed: int = 0, torn: int = 1) -> None:
        """Go through the events, and cut the power after each `every`-th.

        It leaves all that was written, only what was synced, and `torn` times some of the rest as well.
        """
        disk, chance = Disk({}), random.Random(seed)
        for number, event in enumerate(events):
            if event.what == "N":
                self._hear(json.loads(event.data))
            elif event.name in _MATTERING:
                disk.apply(event)
                if self._may_end_commit(event):
                    self._line.append(self._look(disk.kept()))
                    self._is_news = True
                if (number + seed) % every == 0:
                    self._cut(disk, chance, torn, f"event {number}")

    def _cut(self, disk: Disk, chance: random.Random, torn: int, where: str) -> None:
        self._judge(disk.kept(), "kept", where, self._promised.committed, self._promised.jobs)
        first = self._promised.synced if self._is_full else 0
        jobs = self._promised.jobs if self._is_full else {}
        self._judge(disk.synced(), "synced", where, first, jobs)
        for _ in range(torn):
            files = disk.torn(chance)
            if chance.random() < 0.25:
                files[f"{DATABASE}-shm"] = chance.randbytes(32768)
            self._judge(files, "torn", where, first, jobs)

    def _judge(self, files: Files, model: str, where: str, first: int, jobs: dict[str, str]) -> None:
        self.counts[model] += 1
        try:
            state = self._look(files)
            require_one_of(state, self._line[first:], f"of states {first} to {len(self._line) - 1}")
            require_jobs(state, jobs)
            if self.counts.total() % _WORKED_ON == 0:
                self._work_on(state)
        except (AssertionError, sqlite3.Error, LiteQueueError) as error:
            self.losses.append(f"{model}, {where}: {error!r:.2000}")

    def _look(self, files: Files) -> State:
        """What SQLite finds in these files; they must be sound."""
        place(self._folder, files)
        if DATABASE not in files:
            return []
        with closing(sqlite3.connect(self._folder / DATABASE)) as connection:
            state = stored(connection)
            if state:
                require_nothing(breaches(connection))
        return state

    def _work_on(self, state: State) -> None:
        rig = Rig(self._folder)
        rig.open()
        if state:
            require_one_of(rig.state(), [state], "as the queue reads it")
        rig.go_on()
        rig.close()

    def _hear(self, facts: dict[str, Any]) -> None:
        if "refused" in facts:
            self._is_news = False  # it may be there or not
        elif "synced" in facts:
            if self._is_news:
                self._promised.committed = len(self._line) - 1
            if facts["synced"]:
                self._promised.synced = self._promised.committed
            self._is_news = False
        else:
            self._promised.jobs[str(facts["job"])] = facts["state"]

    def _may_end_commit(self, event: Event) -> bool:
        """Whether this writes the header of a frame that says: here a transaction ends; or the page after it.

        With the header alone it is complete when the page of an older log that lies there is the same.
        """
        is_wal = event.what == "W" and event.name.endswith("-wal")
        was_last, self._is_last_frame = self._is_last_frame, False
        if is_wal and event.size == _FRAME_HEADER:
            self._is_last_frame = any(event.data[_SIZE_AFTER_COMMIT])
        return is_wal and (was_last or self._is_last_frame)


def require_jobs(state: State, jobs: dict[str, str]) -> None:
    """Raise unless each of these jobs is stored, and completed if it should be."""
    rows = dict(state).get("litequeue_job", [])
    found = {str(row[0]): row[3] for row in map(json.loads, rows)}
    for id, wanted in jobs.items():
        if id not in found or wanted not in ("stored", found[id]):
            raise AssertionError(f"job {id} was {wanted}, and is {found.get(id, 'gone')}")
