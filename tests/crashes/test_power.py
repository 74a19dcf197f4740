"""What a power cut leaves: the files of recorded scenes as a disk would hold them, at points of each."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from tests.crashes import programs
from tests.crashes.case import ShimCase
from tests.crashes.disk import Event, read_record
from tests.crashes.images import PowerCuts
from tests.crashes.scenes import FAILING, LEFT, PLAYS, Play

EVERY = 9
EVERY_WHERE_SYNCS_FAIL = 23


class TestPower(ShimCase):
    records: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        folder = tempfile.TemporaryDirectory(prefix="litequeue-records-")
        cls.addClassCleanup(folder.cleanup)
        cls.records = Path(folder.name)
        programs.record(cls.library, cls.records)

    def cut(self, play: Play, every: int, *, is_full: bool) -> PowerCuts:
        """Cut the power at every so-manyth point of what was recorded."""
        return self.cut_in(read_record(self.records / play.file), every, is_full=is_full)

    def cut_in(self, events: Iterable[Event], every: int, *, is_full: bool) -> PowerCuts:
        cuts = PowerCuts(self.folder, is_full=is_full)
        cuts.play(events, every)
        return cuts

    def test_what_was_acknowledged_is_there_after_it(self) -> None:
        counts: Counter[str] = Counter()
        for play in PLAYS:
            with self.subTest(play):
                cuts = self.cut(play, EVERY, is_full=play.durability == "full")
                counts += cuts.counts
                self.assertEqual(cuts.losses, [])
        self.assertGreater(counts.total(), 1_800, counts)

    def test_a_sync_that_failed_is_not_taken_for_done_by_the_next(self) -> None:
        counts: Counter[str] = Counter()
        for play in FAILING:
            with self.subTest(play):
                cuts = self.cut(play, EVERY_WHERE_SYNCS_FAIL, is_full=True)
                counts += cuts.counts
                self.assertEqual(cuts.losses, [])
        self.assertGreater(counts.total(), 800, counts)
        failed = [any(event.error for event in read_record(self.records / play.file)) for play in FAILING]
        self.assertGreater(sum(failed), len(FAILING) // 2)

    def test_a_sync_that_failed_is_not_taken_for_done_by_another_process(self) -> None:
        for play in LEFT:
            with self.subTest(play):
                self.assertEqual(self.cut(play, EVERY, is_full=True).losses, [])
        failed = [any(event.error for event in read_record(self.records / play.file)) for play in LEFT]
        self.assertGreater(sum(failed), len(LEFT) // 2)

    def test_at_normal_durability_the_newest_may_be_lost(self) -> None:
        self.assertNotEqual(self.cut(Play("life", "normal"), EVERY, is_full=True).losses, [])

    def test_a_disk_that_does_not_sync_is_found_out(self) -> None:
        for name in ("jobs.db", "jobs.db-wal"):
            with self.subTest(name):
                events = read_record(self.records / Play("life").file)
                lying = (event for event in events if event.what != "S" or event.name != name)
                self.assertNotEqual(self.cut_in(lying, EVERY, is_full=True).losses, [])
