"""What a power cut leaves: the files of recorded scenes as a disk would hold them, at points of each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from tests.crashes import programs
from tests.crashes.case import ShimCase
from tests.crashes.cuts import cut_all
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

    def events(self, play: Play) -> Iterable[Event]:
        return read_record(self.records / play.file)

    def cut(self, events: Iterable[Event]) -> PowerCuts:
        """Cut the power as if all of it had been promised."""
        cuts = PowerCuts(self.folder, is_full=True)
        cuts.play(events, EVERY_WHERE_SYNCS_FAIL)
        return cuts

    def require_failures(self, plays: Sequence[Play]) -> None:
        failed = [any(event.error for event in self.events(play)) for play in plays]
        self.assertGreater(sum(failed), len(plays) // 2)

    def test_what_was_acknowledged_is_there_after_it(self) -> None:
        counts, losses = cut_all(self.records, PLAYS, EVERY)
        self.assertEqual(losses, [])
        self.assertGreater(counts.total(), 1_800, counts)

    def test_a_sync_that_failed_is_not_taken_for_done_by_the_next(self) -> None:
        counts, losses = cut_all(self.records, FAILING, EVERY_WHERE_SYNCS_FAIL)
        self.assertEqual(losses, [])
        self.assertGreater(counts.total(), 800, counts)
        self.require_failures(FAILING)

    def test_a_sync_that_failed_is_not_taken_for_done_by_another_process(self) -> None:
        _, losses = cut_all(self.records, LEFT, EVERY)
        self.assertEqual(losses, [])
        self.require_failures(LEFT)

    def test_at_normal_durability_the_newest_may_be_lost(self) -> None:
        self.assertNotEqual(self.cut(self.events(Play("life", "normal"))).losses, [])

    def test_a_disk_that_does_not_sync_is_found_out(self) -> None:
        for name in ("jobs.db", "jobs.db-wal"):
            with self.subTest(name):
                events = self.events(Play("transactions"))
                lying = (event for event in events if event.what != "S" or event.name != name)
                self.assertNotEqual(self.cut(lying).losses, [])
