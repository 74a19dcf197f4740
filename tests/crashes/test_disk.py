"""The disk that power cuts are tried on: what is on it when, told by small files."""

from __future__ import annotations

import random
import unittest

from tests.crashes.disk import SECTOR, Disk, Event


def written(name: str, offset: int, data: bytes) -> Event:
    return Event("W", name, 0, offset, len(data), data)


def synced(name: str, error: int = 0) -> Event:
    return Event("S", name, error, 0, 0, b"")


CREATED, TRUNCATED, UNLINKED = (Event(what, "a", 0, 0, 0, b"") for what in "CTU")


class TestDisk(unittest.TestCase):
    def setUp(self) -> None:
        self.disk = Disk({"a": b"old"})

    def play(self, *events: Event) -> None:
        for event in events:
            self.disk.apply(event)

    def torn(self, times: int = 200) -> set[bytes | None]:
        chance = random.Random(1)
        return {self.disk.torn(chance).get("a") for _ in range(times)}

    def test_what_is_written_is_on_the_disk_once_it_is_synced(self) -> None:
        self.play(written("a", 1, b"ew"))
        self.assertEqual((self.disk.kept(), self.disk.synced()), ({"a": b"oew"}, {"a": b"old"}))
        self.play(synced("a"))
        self.assertEqual(self.disk.synced(), {"a": b"oew"})

    def test_what_a_failed_sync_did_not_write_is_never_written(self) -> None:
        self.play(written("a", 0, b"x"), synced("a", error=5), written("a", 2, b"z"), synced("a"))
        self.assertEqual((self.disk.kept(), self.disk.synced()), ({"a": b"xlz"}, {"a": b"olz"}))

    def test_what_is_written_again_after_a_failed_sync_is(self) -> None:
        self.play(written("a", 0, b"x"), synced("a", error=5), written("a", 0, b"x"), synced("a"))
        self.assertEqual(self.disk.synced(), {"a": b"xld"})

    def test_names_are_on_the_disk_once_the_folder_is_synced(self) -> None:
        self.play(UNLINKED, CREATED, written("a", 0, b"new"), synced("a"))
        self.assertEqual((self.disk.kept(), self.disk.synced()), ({"a": b"new"}, {"a": b"old"}))
        self.assertEqual(self.torn(), {b"old", None, b"new"})
        self.play(synced("."))
        self.assertEqual(self.disk.synced(), {"a": b"new"})

    def test_sectors_arrive_one_by_one_and_in_the_order_of_their_writes(self) -> None:
        self.disk = Disk({"a": bytes(2 * SECTOR)})
        self.play(written("a", SECTOR - 1, b"11"), written("a", SECTOR - 1, b"22"))
        found = {content and content[SECTOR - 1 : SECTOR + 1] for content in self.torn()}
        sides = (b"\0", b"1", b"2")
        self.assertEqual(found, {one + two for one in sides for two in sides})

    def test_a_file_may_be_cut_and_lengthened(self) -> None:
        self.play(TRUNCATED, written("a", 2, b"x"))
        self.assertEqual(self.disk.kept(), {"a": b"\0\0x"})
        self.assertEqual(self.torn(), {b"old", b"", b"olx", b"\0\0x"})
