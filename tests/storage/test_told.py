"""A turn that tells says how it left the jobs, as they were when it was committed."""

from __future__ import annotations

from litequeue.job import (
    Cancelled,
    Complete,
    Crash,
    Ended,
    Fail,
    Lease,
    Release,
    Settlement,
    Snoozed,
    Start,
    State,
    Turn,
    Want,
)
from tests.storage.engines import ERROR, ContractCase


class TestTold(ContractCase):
    def turn(self, *settlements: Settlement, wants: int = 0, tells: bool = True) -> list[tuple[int, State]]:
        """What a turn tells: the jobs and states it left, those that ended before those that it claimed."""
        want = (Want("default", wants, wants),) if wants else ()
        progress = self.store.take_turn(self.worker, Turn(settlements, wants=want, tells=tells))
        for ended in progress.ended:
            self.assertEqual(ended.at, self.clock.now())
        return [(job.id, job.state) for job in (*(ended.job for ended in progress.ended), *progress.seen)]

    def test_each_end_with_the_state_that_it_led_to(self) -> None:
        now = self.clock.now()
        for end, state in (
            (Complete, State.COMPLETED),
            (lambda lease: Fail(lease, ERROR), State.FAILED),
            (lambda lease: Fail(lease, ERROR, now), State.SCHEDULED),
            (lambda lease: Snoozed(lease, now), State.SCHEDULED),
            (Release, State.READY),
            (lambda lease: Crash(lease, ERROR), State.READY),
            (Cancelled, State.CANCELLED),
        ):
            id = self.enqueue()
            (lease,) = (job.lease for job in self.claim(9) if job.lease.job == id)
            self.assertEqual(self.turn(end(lease)), [(id, state)])

    def test_an_end_that_came_too_late_is_not_told(self) -> None:
        id = self.enqueue()
        lease = self.claim_one()
        self.assertEqual(self.turn(Complete(Lease(id, 7)), Complete(lease)), [(id, State.COMPLETED)])

    def test_what_is_claimed_again_in_the_same_turn_is_told_as_both(self) -> None:
        id = self.enqueue()
        lease = self.claim_one()
        self.assertEqual(self.turn(Release(lease), wants=1), [(id, State.READY), (id, State.RUNNING)])
        self.assertEqual(self.job(id).attempt, 2)

    def test_what_expired_and_what_waited_for_that(self) -> None:
        late = self.enqueue(expires_at=self.in_seconds(1))
        good = self.enqueue()
        self.clock.advance(2)
        self.assertEqual(sorted(self.turn(wants=5)), [(late, State.CANCELLED), (good, State.RUNNING)])

    def test_one_that_does_not_tell_says_nothing(self) -> None:
        self.enqueue()
        self.assertEqual(self.turn(Complete(self.claim_one()), wants=1, tells=False), [])

    def test_a_completion_inside_a_transaction(self) -> None:
        id = self.enqueue()
        lease = self.claim_one()
        told: list[Ended] = []
        database = self.store.database
        connection = database.begin()
        self.assertTrue(self.store.settle_in(connection, Complete(lease), None, told.extend))
        database.finish(connection, commit=True)
        self.assertEqual([(ended.job.id, ended.job.state) for ended in told], [(id, State.COMPLETED)])

    def test_those_that_are_reaped_or_given_back(self) -> None:
        running, waiting = self.enqueue(), self.enqueue()
        self.claim(2, start=1)
        told: list[Ended] = []
        self.clock.advance(60)
        self.assertEqual(self.workers.reap(told.extend), 2)
        self.assertEqual(
            [(type(ended.settlement), ended.job.id, ended.job.state) for ended in told],
            [(Crash, running, State.READY), (Release, waiting, State.READY)],
        )
        told.clear()
        self.worker = self.sign_on()
        early = self.enqueue(ack="early")
        for job in self.claim(3):
            if job.lease.job == early:
                self.store.start(Start(job.lease, "early"))
        self.workers.sign_off(self.worker, told.extend)
        self.assertEqual(
            {(type(ended.settlement), ended.job.id, ended.job.reason) for ended in told},
            {(Release, running, None), (Release, waiting, None), (Crash, early, "lost")},
        )
