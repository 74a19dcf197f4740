"""Damaged files by the thousand: an error of ours or a right answer, and never a hang or a crash."""

from __future__ import annotations

import json
import os
import sqlite3
import unittest
from concurrent.futures import ThreadPoolExecutor

from tests.repository import ROOT, run_python

FLIPS, CUTS, EDITS, SHUFFLES, LITTERS, FORGED, UNTYPED = 700, 200, 300, 100, 50, 120, 30
PATIENCE_SECONDS = 600


@unittest.skipUnless(hasattr(os, "fork"), "a process for each damaged file takes fork()")
class TestDamagedFiles(unittest.TestCase):
    """The damage is made from the number of the file alone, so that a finding can be made again."""

    def test_wrong_bits(self) -> None:
        self.check("flip", FLIPS)

    def test_missing_ends(self) -> None:
        self.check("cut", CUTS)

    def test_pages_in_the_wrong_place(self) -> None:
        self.check("shuffle", SHUFFLES)

    def test_junk_beside_a_sound_file(self) -> None:
        self.check("litter", LITTERS)

    @unittest.skipUnless(hasattr(sqlite3.Connection, "deserialize"), "this SQLite edits no file in memory")
    def test_rows_edited_by_hand(self) -> None:
        self.check("edit", EDITS)

    @unittest.skipUnless(hasattr(sqlite3.Connection, "deserialize"), "this SQLite edits no file in memory")
    def test_rows_forged_against_the_schema(self) -> None:
        self.check("forge", FORGED)

    @unittest.skipUnless(hasattr(sqlite3.Connection, "deserialize"), "this SQLite edits no file in memory")
    def test_values_of_a_kind_that_no_column_takes(self) -> None:
        self.check("untype", UNTYPED)

    def check(self, kind: str, count: int) -> None:
        found = examine(kind, 0, count)
        self.assertEqual(found, [], "\n\n".join(found[:5]))


def examine(kind: str, first: int, count: int) -> list[str]:
    """What was found in so many damaged files, by a process for each processor."""
    share = -(-count // (os.cpu_count() or 1))
    starts = range(first, first + count, share)
    with ThreadPoolExecutor() as pool:
        shares = pool.map(lambda at: _examine_share(kind, at, min(share, first + count - at)), starts)
        return [finding for found in shares for finding in found]


def _examine_share(kind: str, first: int, count: int) -> list[str]:
    zygote = ["-m", "tests.hostile.zygote", kind]
    ended = run_python([*zygote, str(first), str(count)], ROOT, timeout_seconds=PATIENCE_SECONDS)
    if ended.returncode:
        return [ended.stdout]
    *found, done = map(json.loads, ended.stdout.splitlines())
    assert done == [count, None], done
    return [f"{' '.join(zygote)} {number} 1:\n{finding}" for number, finding in found]
