"""What a claim leaves for later, since each transaction is short, must not be taken for good."""

from __future__ import annotations

from unittest import mock

from litequeue.job import State
from litequeue.storage import claims, flow
from tests.storage.engines import ContractCase


class TestBounds(ContractCase):
    def test_what_expired_does_not_run_though_it_could_not_all_be_written_down(self) -> None:
        ids = [self.enqueue(expires_at=self.in_seconds(1)) for _ in range(4)]
        good = self.enqueue()
        self.clock.advance(2)
        with mock.patch.object(flow, "CHUNK", 1), mock.patch.object(flow, "CASCADE", 1):
            self.assertEqual(self.claimed_ids(3), [good])
        self.assertEqual({self.job(id).state for id in ids}, {State.CANCELLED})

    def test_what_is_due_comes_in_its_order_though_it_is_promoted_bit_by_bit(self) -> None:
        ids = [self.enqueue(run_at=self.in_seconds(second)) for second in (3, 1, 2)]
        self.clock.advance(5)
        with mock.patch.object(claims, "CHUNK", 1):
            found = [self.claimed_ids(1)[0] for _ in ids]
        self.assertEqual(found, [ids[1], ids[2], ids[0]])
