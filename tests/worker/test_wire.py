"""What a worker and its sandboxes say to each other comes out as it went in."""

from __future__ import annotations

import unittest

from litequeue.errors import EncodingError
from litequeue.job import Cancelled, Claimed, Complete, Fail, Failure, Lease, Snoozed, StoredResult
from litequeue.worker import wire

LEASE = Lease(7, 2)
RECORDS = (
    LEASE,
    Claimed(LEASE, "app:task", "default", b"\x00\xff", "pickle", -1, 2, 0, 5, True, None, 3, None, "{}"),
    Complete(LEASE, "[1]", "json"),
    Complete(LEASE),
    Fail(LEASE, Failure("error", "ValueError", "no", "Traceback …"), 99),
    Fail(LEASE, Failure("rejected", "Reject", "", "")),
    Snoozed(LEASE, 12),
    Cancelled(LEASE, "enough"),
    StoredResult(b"\x00\xff", "pickle"),
    StoredResult(None, None),
)


class TestWire(unittest.TestCase):
    def test_every_record_comes_back_equal_and_of_its_kind(self) -> None:
        for record in RECORDS:
            with self.subTest(record):
                found = wire.from_bytes(wire.to_bytes({"it": record, "place": "app:task"}))
                self.assertEqual(found, {"it": record, "place": "app:task"})
                self.assertIs(type(found["it"]), type(record))

    def test_a_record_that_is_none_of_ours_is_refused(self) -> None:
        with self.assertRaisesRegex(EncodingError, "Popen"):
            wire.from_bytes(b'{"it":{"record":"Popen","fields":["rm"]}}')


if __name__ == "__main__":
    unittest.main()
