"""A thousand kills, and what the histories prove; eight processes, and what they do not leak."""

from __future__ import annotations

import os
import time
import unittest
from pathlib import Path
from typing import Any

from litequeue.errors import LeaseLost
from litequeue.storage import checkpoint, sidefile
from tests.kills.endurance import Sample, growth
from tests.kills.history import ERROR, OK, REFUSED, UNKNOWN, Diary, read_all
from tests.kills.program import report_of
from tests.support import folder_for

KILLS = 1_000
ENDURANCE_SECONDS = 7
LONGEST_LOG = 64 << 20
PATIENCE_SECONDS = 280.0
STRUCK = {"enqueue", "turn", "settle_in", "cancel", "retry", "prune", "sign_on", "renew", "reap"}
STRUCK |= {"enqueue_flow", "fire"}
TIED = ("graphs", "children", "cascades", "duplicates", "limited", "firings")


@unittest.skipUnless(sidefile.supported() and hasattr(os, "fork"), "needs fork, and locks of Linux's kind")
class TestStorm(unittest.TestCase):
    def test_a_thousand_kills_lose_nothing(self) -> None:
        report = report_of("tests.kills", "--kills", KILLS, seed=new_seed(), patience=PATIENCE_SECONDS)
        self.assertGreaterEqual(report["kills"], KILLS)
        wanted = STRUCK | ({"checkpoint"} if checkpoint.carries_reset_fault() else set())
        self.assertLessEqual(wanted, report["struck"].keys(), "a verb was never struck in the middle")
        self.assertGreater(report["zombies"]["refused"], 0)
        self.assertGreater(report["ends"]["completed"], KILLS)
        self.assertGreater(report["effects"], 0)
        self.assertGreater(report["pruned"], 0)
        self.assertNotIn(0, [report[name] for name in TIED])

    def test_nothing_grows(self) -> None:
        report = report_of(
            "tests.kills.endurance",
            "--seconds",
            ENDURANCE_SECONDS,
            seed=new_seed(),
            patience=PATIENCE_SECONDS,
        )
        self.assertGreater(report["kills"], ENDURANCE_SECONDS // 2)
        self.assertGreater(report["stored"], 1_000)
        self.assertLess(max(report["log"]), LONGEST_LOG)


def new_seed() -> int:
    """Another storm each time; a failure names it."""
    return time.time_ns() % 1_000_000


class TestHistory(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = folder_for(self, in_memory=True)
        self.diary = Diary(self.folder, 7)
        self.addCleanup(self.diary.close)

    def lines(self) -> list[tuple[str, str, object]]:
        return [(event.do, event.outcome, event.got) for event in read_all(self.folder)]

    def test_each_outcome(self) -> None:
        with self.diary.telling("enqueue", batches=[]) as call:
            call.got = [1]
        for error in (LeaseLost("late"), ValueError("bad")):
            with self.assertRaises(type(error)), self.diary.telling("settle"):
                raise error
        self.diary.begin("reap")
        self.diary.note("began", lease=(1, 1))
        expected = [
            ("enqueue", OK, [1]),
            ("settle", REFUSED, "late"),
            ("settle", ERROR, "ValueError: bad"),
            ("reap", UNKNOWN, None),
            ("began", OK, None),
        ]
        self.assertEqual(self.lines(), expected)

    def test_a_line_that_was_cut_off_was_not_said(self) -> None:
        with self.diary.telling("prune") as call:
            call.got = 3
        path = Path(self.folder) / "0000007.history"
        path.write_bytes(path.read_bytes()[:-1])
        self.assertEqual(self.lines(), [("prune", UNKNOWN, None)])


class TestGrowth(unittest.TestCase):
    def found(self, **last: Any) -> list[str]:
        """What is found when nothing changes but the last third, to this."""
        same = Sample(0.0, (50 << 20,), (20,), 10 << 20, 16 << 20)
        return growth([same] * 6 + [same._replace(**last)] * 3)

    def test_each_kind(self) -> None:
        self.assertEqual(self.found(), [])
        for name, value in (
            ("memory", (60 << 20,)),
            ("descriptors", (25,)),
            ("file", 40 << 20),
            ("log", 40 << 20),
        ):
            self.assertRegex("".join(self.found(**{name: value})), f"^the {name} .*grew from")
