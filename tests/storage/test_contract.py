"""The contract of the store, told once against its verbs; another engine is put under it by `make_engine`."""

from __future__ import annotations

from datetime import UTC, datetime

from litequeue import job as records
from litequeue.errors import JobNotFound, LeaseLost, LiteQueueError, NotAllowed
from litequeue.job import (
    Cancelled,
    Claimed,
    Crash,
    Failure,
    Filter,
    Lease,
    NewJobs,
    Settlement,
    Snoozed,
    Start,
    State,
    Turn,
    Want,
)
from tests.storage.engines import ERROR, LEASE_SECONDS, ContractCase
from tests.support import together

CRASH = Failure("crashed", "ChildDied", "signal 11")
LARGE = "x" * 100_000


def every_settlement(lease: Lease, now: int) -> list[Settlement]:
    return [
        records.Complete(lease, '"late"', "json"),
        records.Complete(lease, keeps=False),
        records.Fail(lease, ERROR),
        records.Fail(lease, ERROR, retry_at=now),
        Crash(lease, CRASH),
        Snoozed(lease, now),
        records.Release(lease),
        Cancelled(lease, "late"),
    ]


class Enqueue(ContractCase):
    def test_a_due_job_is_ready(self) -> None:
        job = self.job(self.enqueue())
        self.assertEqual((job.state, job.attempt, job.failures, job.crashes), (State.READY, 0, 0, 0))
        self.assertEqual((job.created_at, job.run_at), (self.clock.now(), self.clock.now()))

    def test_a_later_job_is_scheduled(self) -> None:
        self.assert_state(self.enqueue(run_at=self.in_seconds(1)), State.SCHEDULED)
        self.assert_state(self.enqueue(run_at=self.clock.now()), State.READY)

    def test_all_that_was_given_is_kept(self) -> None:
        given = NewJobs(
            task="app:task",
            queue="mail",
            payloads=("[[1],{}]",),
            priority=-3,
            run_at=self.in_seconds(5),
            expires_at=self.in_seconds(50),
            max_crashes=7,
            ack="early",
            tags='["a"]',
            meta='{"b":1}',
            options='{"timeout":1}',
        )
        (id,) = self.store.enqueue([given])
        job = self.job(id)
        for name in given._fields:
            if name not in ("payloads", "codec", "retention", "flow"):
                self.assertEqual(getattr(job, name), getattr(given, name), name)
        self.assertEqual(self.reports.payload(id), (given.payloads[0], "json"))

    def test_many_are_stored_in_order(self) -> None:
        ids = self.store.enqueue([NewJobs("app:task", "default", (f"[[{n}],{{}}]",)) for n in range(50)])
        self.assertEqual(ids, sorted(ids))
        self.assertEqual([self.reports.payload(id)[0] for id in ids], [f"[[{n}],{{}}]" for n in range(50)])

    def test_a_batch_of_any_size_is_stored_in_order(self) -> None:
        """However it is cut into statements, and wherever a payload is too large for its row."""
        for size in (1, 2, 15, 16, 17, 255, 256, 257, 600):
            payloads = [f"[[{n}],{{}}]" if n % 7 else f"[[{'1' * 5000}{n}],{{}}]" for n in range(size)]
            ids = self.store.enqueue([NewJobs("app:task", "default", payloads)])
            self.assertEqual(ids, list(range(ids[0], ids[0] + size)))
            self.assertEqual([self.reports.payload(id)[0] for id in ids], payloads)

    def test_batches_that_differ_keep_what_is_theirs(self) -> None:
        due = self.in_seconds(9)
        ids = self.store.enqueue(
            [
                NewJobs("app:one", "default", ["[1]", "[2]"], priority=3),
                NewJobs("app:two", "mail", ["[3]"], run_at=due),
                NewJobs("app:one", "default", ["[4]"], tags='["a"]'),
            ]
        )
        found = [self.job(id) for id in ids]
        self.assertEqual([job.task for job in found], ["app:one", "app:one", "app:two", "app:one"])
        self.assertEqual([job.priority for job in found], [3, 3, 0, 0])
        self.assertEqual([job.state for job in found], ["ready", "ready", "scheduled", "ready"])
        self.assertEqual([self.reports.payload(id)[0] for id in ids], ["[1]", "[2]", "[3]", "[4]"])
        self.assertEqual((found[2].run_at, found[3].tags), (due, '["a"]'))

    def test_many_are_stored_all_or_none(self) -> None:
        good = NewJobs("app:task", "default", ("[]",))
        with self.assertRaises(LiteQueueError):
            self.store.enqueue([good, good._replace(ack="maybe"), good])
        self.assertEqual(self.all_jobs(), [])

    def test_none_are_stored_when_none_are_given(self) -> None:
        self.assertEqual(self.store.enqueue([]), [])

    def test_a_failing_operation_leaves_its_neighbours_alone(self) -> None:
        stored: list[int] = []
        refused: list[int] = []

        def work(number: int) -> None:
            for turn in range(10):
                if (number + turn) % 4:
                    stored.append(self.enqueue())
                else:
                    with self.assertRaises(LiteQueueError):
                        self.enqueue(ack="maybe")
                    refused.append(number)

        together(8, work)
        self.assertEqual((len(stored), len(refused)), (60, 20))
        self.assertEqual(sorted(job.id for job in self.all_jobs()), sorted(stored))

    def test_large_and_binary_payloads_come_back(self) -> None:
        for payload in (LARGE, b"\0\xff" * 10_000, "", b"", "\0 \U0001f40d"):
            id = self.enqueue(payload=payload)
            (job,) = self.claim()
            self.assertEqual((job.lease.job, job.payload), (id, payload))
            self.assertEqual(self.reports.payload(id)[0], payload)
            self.complete(job.lease)

    def test_ids_rise_and_are_never_reused(self) -> None:
        first, second, highest = (self.enqueue() for _ in range(3))
        self.store.delete(highest)
        self.store.delete(second)
        self.assertGreater(self.enqueue(), highest)
        self.store.delete_all(Filter())
        self.assertEqual(self.enqueue(), highest + 2)
        self.assertLess(first, second)


class Promote(ContractCase):
    def test_a_job_is_ready_when_it_is_due(self) -> None:
        id = self.enqueue(run_at=self.in_seconds(10))
        self.clock.advance(9.999)
        self.assertEqual(self.claim(), [])
        self.clock.advance(0.001)
        self.assertEqual(self.claimed_ids(), [id])

    def test_due_jobs_stand_in_the_same_order_as_others(self) -> None:
        late = self.enqueue(run_at=self.in_seconds(3))
        early = self.enqueue(run_at=self.in_seconds(1))
        urgent = self.enqueue(run_at=self.in_seconds(5), priority=1)
        self.clock.advance(5)
        now = self.enqueue()
        self.assertEqual([self.claim_one().job for _ in range(4)], [urgent, early, late, now])

    def test_more_than_a_thousand_due_at_once_all_run(self) -> None:
        jobs = [NewJobs("app:task", "default", ("[]",), run_at=self.in_seconds(1)) for _ in range(2500)]
        ids = self.store.enqueue(jobs)
        self.clock.advance(1)
        claimed: list[int] = []
        while found := self.claimed_ids(500):
            claimed += found
        self.assertEqual(claimed, ids)

    def test_only_queues_that_are_asked_for_are_promoted(self) -> None:
        id = self.enqueue(queue="other", run_at=self.in_seconds(1))
        self.clock.advance(1)
        self.claim()
        self.assert_state(id, State.SCHEDULED)

    def test_the_next_due_time_is_known(self) -> None:
        self.assertIsNone(self.store.next_due(["default", "other"]))
        self.enqueue(run_at=self.in_seconds(20))
        self.enqueue(queue="other", run_at=self.in_seconds(10))
        self.assertEqual(self.store.next_due(["default"]), self.in_seconds(20))
        self.assertEqual(self.store.next_due(["default", "other"]), self.in_seconds(10))


class Claim(ContractCase):
    def test_an_empty_queue_gives_nothing(self) -> None:
        self.assertEqual(self.claim(10), [])
        self.assertFalse(self.store.is_work_waiting(["default"]))

    def test_a_claimed_job_runs_and_is_leased(self) -> None:
        id = self.enqueue()
        (job,) = self.claim()
        self.assertEqual((job.lease, job.started), (Lease(id, 1), True))
        found = self.job(id)
        self.assertEqual((found.state, found.worker, found.attempt), (State.RUNNING, self.worker, 1))
        self.assertEqual(found.started_at, self.clock.now())
        self.assertEqual(self.claim(), [])

    def test_order_is_priority_then_due_time_then_id(self) -> None:
        now = self.clock.now()
        low = self.enqueue(priority=-1)
        later = self.enqueue(run_at=now)
        earlier = self.enqueue(run_at=now - 1)
        same = self.enqueue(run_at=now)
        high = self.enqueue(priority=5, run_at=now)
        order = [high, earlier, later, same, low]
        self.assertEqual([self.claim_one().job for _ in range(2)], order[:2])
        self.assertEqual(self.claimed_ids(), order[2:])

    def test_the_attempt_only_rises(self) -> None:
        id = self.enqueue()
        for attempt in range(1, 6):
            lease = self.claim_one()
            self.assertEqual(lease, Lease(id, attempt))
            self.store.settle(records.Release(lease))

    def test_queues_are_served_in_the_order_wanted(self) -> None:
        slow, fast = self.enqueue(queue="slow", priority=9), self.enqueue(queue="fast")
        other = self.enqueue(queue="other")
        wants = [Want("fast", 2, 2), Want("slow", 2, 2)]
        claim = self.store.claim(self.worker, wants)
        self.assertEqual([job.lease.job for job in claim.jobs], [fast, slow])
        self.assert_state(other, State.READY)

    def test_wants_are_counted_together(self) -> None:
        for queue in ("a", "a", "b", "b"):
            self.enqueue(queue=queue)
        claim = self.store.claim(self.worker, [Want("a", 1, 3), Want("b", 1, 3)])
        self.assertEqual([job.started for job in claim.jobs], [True, False, False])

    def test_prefetched_jobs_have_not_started(self) -> None:
        first, second = self.enqueue(), self.enqueue()
        self.assertEqual([job.started for job in self.claim(2, start=1)], [True, False])
        self.assertIsNotNone(self.job(first).started_at)
        self.assertIsNone(self.job(second).started_at)
        self.clock.advance(1)
        self.store.start(Start(Lease(second, 1), ack="early", max_crashes=9))
        found = self.job(second)
        self.assertEqual((found.started_at, found.ack, found.max_crashes), (self.clock.now(), "early", 9))

    def test_what_runs_at_most_once_starts_when_that_is_noted_and_not_when_it_is_claimed(self) -> None:
        id = self.enqueue(ack="early")
        (job,) = self.claim()
        self.assertEqual((job.started, self.job(id).started_at), (False, None))
        self.store.start(Start(job.lease, ack="early"))
        self.assertEqual(self.job(id).started_at, self.clock.now())

    def test_a_start_does_not_override_the_row(self) -> None:
        id = self.enqueue(ack="late", max_crashes=2)
        (job,) = self.claim(1, start=0)
        self.store.start(Start(job.lease, ack="early", max_crashes=9))
        self.assertEqual((self.job(id).ack, self.job(id).max_crashes), ("late", 2))

    def test_coroutines_have_slots_of_their_own(self) -> None:
        for task in ("a:thread", "a:loop", "a:loop", "a:thread", "a:loop"):
            self.enqueue(task)
        jobs = self.claim(1, coroutines=frozenset({"a:loop"}), slots=2)
        self.assertEqual([job.task for job in jobs], ["a:thread", "a:loop", "a:loop"])
        self.assertTrue(all(job.started for job in jobs))

    def test_only_quick_tasks_wait_in_a_worker(self) -> None:
        for task in ("a:quick", "a:quick", "a:slow", "a:quick"):
            self.enqueue(task)
        jobs = self.claim(4, start=1, quick=frozenset({"a:quick"}))
        self.assertEqual([(job.task, job.started) for job in jobs], [("a:quick", True), ("a:quick", False)])

    def test_a_busy_head_does_not_hide_what_can_start(self) -> None:
        self.store.enqueue([NewJobs("a:thread", "default", ("[]",)) for _ in range(50)])
        loop = self.enqueue("a:loop")
        self.assertEqual(self.claimed_ids(0, coroutines=frozenset({"a:loop"}), slots=3), [loop])

    def test_a_paused_queue_gives_nothing(self) -> None:
        id = self.enqueue()
        self.store.pause("default")
        self.assertEqual(self.claim(), [])
        self.assertFalse(self.store.is_work_waiting(["default"]))
        self.assertEqual(self.reports.paused(), ["default"])
        self.store.resume("default")
        self.assertTrue(self.store.is_work_waiting(["default"]))
        self.assertEqual(self.claimed_ids(), [id])

    def test_what_runs_is_not_touched_by_a_pause(self) -> None:
        self.enqueue()
        lease = self.claim_one()
        self.store.pause("default")
        self.complete(lease)
        self.assert_state(lease.job, State.COMPLETED)

    def test_an_expired_job_is_cancelled_instead(self) -> None:
        expired = [
            self.enqueue(expires_at=self.in_seconds(5)),
            self.enqueue(expires_at=self.in_seconds(5), run_at=self.in_seconds(4)),
            self.enqueue(expires_at=self.in_seconds(5), queue="other", run_at=self.in_seconds(60)),
            self.enqueue("app:new", expires_at=self.in_seconds(5), queue="parked"),
        ]
        self.assertEqual(self.claim(queue="parked", refused=frozenset({"app:new"})), [])
        kept = self.enqueue(expires_at=self.in_seconds(6))
        self.assertEqual(self.store.next_due(["default"]), self.in_seconds(4))
        self.clock.advance(5)
        self.assertTrue(self.store.is_work_waiting(["nobody's"]))
        self.assertEqual(self.claimed_ids(), [kept])
        for id in expired:
            self.assert_state(id, State.CANCELLED, "expired")

    def test_a_job_that_was_started_in_time_does_not_expire_between_its_tries(self) -> None:
        id = self.enqueue(expires_at=self.in_seconds(5))
        lease = self.claim_one()
        self.store.settle(records.Fail(lease, ERROR, retry_at=self.in_seconds(10)))
        self.clock.advance(10)
        self.assertEqual(self.claimed_ids(), [id])

    def test_of_thousands_expired_at_once_none_runs(self) -> None:
        soon = self.in_seconds(1)
        self.store.enqueue([NewJobs("app:task", "default", ("[]",), expires_at=soon) for _ in range(2500)])
        self.clock.advance(1)
        for _ in range(5):
            self.assertEqual(self.claim(10), [])
        self.assertEqual(self.reports.counts("default")[State.CANCELLED], 2500)

    def test_expiry_does_not_touch_what_runs(self) -> None:
        self.enqueue(expires_at=self.in_seconds(5))
        lease = self.claim_one()
        self.clock.advance(10)
        self.claim()
        self.complete(lease)
        self.assert_state(lease.job, State.COMPLETED)

    def test_unknown_tasks_are_named_and_left(self) -> None:
        id = self.enqueue("app:new")
        claim = self.store.claim(self.worker, [Want("default", 1, 1, known=frozenset({"app:task"}))])
        self.assertEqual((claim.jobs, claim.unknown), ((), frozenset({"app:new"})))
        self.assert_state(id, State.READY)
        self.assertEqual(self.job(id).attempt, 0)

    def test_refused_tasks_are_parked_for_others(self) -> None:
        id = self.enqueue("app:new")
        claim = self.store.claim(self.worker, [Want("default", 1, 1, refused=frozenset({"app:new"}))])
        self.assertEqual((claim.jobs, claim.parked), ((), 1))
        self.assertEqual((self.job(id).state, self.job(id).parked), (State.READY, True))
        self.assertEqual(self.store.parked_tasks(["default"]), frozenset({"app:new"}))
        self.assertEqual(self.reports.counts("default")[State.READY], 1)
        self.assertFalse(self.store.is_work_waiting(["default"]))
        self.assertEqual(self.claimed_ids(revive=frozenset({"app:new"})), [id])
        self.assertFalse(self.job(id).parked)

    def test_thousands_of_refused_jobs_slow_no_other(self) -> None:
        self.store.enqueue([NewJobs("app:new", "default", ("[]",), priority=9) for _ in range(3000)])
        id = self.enqueue()
        claims = 0
        while not (found := self.claimed_ids(1, refused=frozenset({"app:new"}))):
            claims += 1
        self.assertEqual(found, [id])
        self.assertLessEqual(claims, 3)
        next_one = self.enqueue()
        self.assertEqual(self.claimed_ids(1, refused=frozenset({"app:new"})), [next_one])

    def test_revived_jobs_stand_in_their_old_order(self) -> None:
        ids = [self.enqueue("app:new", priority=priority) for priority in (1, 3, 2)]
        self.claim(3, refused=frozenset({"app:new"}))
        revive = frozenset({"app:new"})
        self.assertEqual([self.claim_one(revive=revive).job for _ in ids], [ids[1], ids[2], ids[0]])

    def test_a_suspect_neither_waits_nor_has_others_wait_behind_it(self) -> None:
        suspect = self.enqueue(priority=1)
        self.crash(suspect)
        other = self.enqueue()
        self.assertEqual(self.claim(5, start=0), [])
        jobs = self.claim(5, start=1)
        self.assertEqual([(job.lease.job, job.started) for job in jobs], [(suspect, True)])
        self.assert_state(other, State.READY)

    def test_a_worker_that_is_not_signed_on_gets_nothing(self) -> None:
        id = self.enqueue()
        with self.assertRaises(LeaseLost):
            self.claim(worker=self.worker + 1)
        turn = self.store.take_turn(self.worker + 1, Turn(wants=(Want("default", 1, 1),)))
        self.assertEqual((turn.signed_on, turn.claim.jobs), (False, ()))
        self.assert_state(id, State.READY)

    def test_settling_and_claiming_are_one_turn(self) -> None:
        first, second, third = (self.enqueue() for _ in range(3))
        (job, waiting) = self.claim(2, start=1)
        turn = Turn(
            settlements=(records.Complete(job.lease), records.Complete(Lease(third, 4))),
            notes=(records.Note(job.lease, progress=0.5),),
            starts=(Start(waiting.lease),),
            wants=(Want("default", 1, 1),),
        )
        progress = self.store.take_turn(self.worker, turn)
        self.assertEqual(progress.accepted, (True, False))
        self.assertEqual([job.lease for job in progress.claim.jobs], [Lease(third, 1)])
        self.assertIsNotNone(self.job(second).started_at)
        self.assertEqual((self.job(first).state, self.job(first).progress), (State.COMPLETED, 0.5))

    def test_progress_of_the_attempt_before_is_gone(self) -> None:
        id = self.enqueue()
        lease = self.claim_one()
        self.store.note(records.Note(lease, progress=0.9, progress_text="soon"))
        self.store.settle(records.Release(lease))
        self.claim_one()
        self.assertEqual((self.job(id).progress, self.job(id).progress_text), (None, None))


class ClaimThis(ContractCase):
    """One job by its id, before its turn: for whoever wants to see that one run."""

    def take(self, id: int, queue: str = "default") -> list[Claimed]:
        return list(self.store.claim(self.worker, [Want(queue, 1, 1, job=id)]).jobs)

    def test_a_ready_one_a_scheduled_one_and_one_that_was_put_aside(self) -> None:
        self.enqueue(priority=9)
        ready, later = self.enqueue(), self.enqueue(run_at=self.in_seconds(60))
        parked = self.enqueue("app:strange", priority=10)
        self.assertEqual(self.claim(refused=frozenset({"app:strange"}), total=0), [])
        self.claim(known=frozenset(), refused=frozenset({"app:strange"}))
        self.assertTrue(self.job(parked).parked)
        for id in (ready, later, parked):
            (job,) = self.take(id)
            self.assertEqual((job.lease, job.started), (Lease(id, 1), True))
            self.assert_state(id, State.RUNNING)
            self.complete(job.lease)
            self.assert_state(id, State.COMPLETED)

    def test_none_that_runs_is_final_or_lies_elsewhere(self) -> None:
        running, done, elsewhere = self.enqueue(), self.enqueue(), self.enqueue(queue="mail")
        for id in (running, done):
            self.take(id)
        self.complete(Lease(done, 1))
        for id in (running, done, elsewhere, 1000):
            self.assertEqual(self.take(id), [])
        self.assertEqual(self.job(running).attempt, 1)
        self.assertEqual([job.lease.job for job in self.take(elsewhere, "mail")], [elsewhere])

    def test_a_paused_queue_and_a_full_one(self) -> None:
        self.store.pause("default")
        self.store.limit("default", records.Rule(max_running=1))
        for id in (self.enqueue(), self.enqueue()):
            self.assertEqual(len(self.take(id)), 1)

    def test_a_late_worker_changes_nothing(self) -> None:
        (job,) = self.take(self.enqueue())
        self.die()
        self.workers.reap()
        self.assertEqual(self.take(job.lease.job)[0].lease, Lease(job.lease.job, 2))
        for settlement in every_settlement(job.lease, self.clock.now()):
            with self.assertRaises(LeaseLost):
                self.store.settle(settlement)


class Renew(ContractCase):
    def test_a_renewed_lease_is_not_reaped(self) -> None:
        self.enqueue()
        lease = self.claim_one()
        for _ in range(5):
            self.clock.advance(LEASE_SECONDS - 1)
            self.assertTrue(self.workers.renew(self.worker, LEASE_SECONDS * 1_000_000))
            self.assertEqual(self.workers.reap(), 0)
        self.complete(lease)
        self.assert_state(lease.job, State.COMPLETED)

    def test_a_reaped_worker_hears_of_it(self) -> None:
        self.clock.advance(LEASE_SECONDS)
        self.workers.reap()
        self.assertFalse(self.workers.renew(self.worker, 1_000_000))
        with self.assertRaises(LeaseLost):
            self.claim()

    def test_a_task_that_kept_the_heartbeat_out_gives_it_time_to_renew(self) -> None:
        """Its transaction was open for longer than the lease; the other jobs of its worker are not reaped."""
        self.enqueue()
        self.enqueue()
        lease, other = (job.lease for job in self.claim(2))
        self.clock.advance(LEASE_SECONDS + 1)
        self.assertTrue(self.settle_in_transaction(lease))
        self.assertEqual(self.workers.reap(), 0)
        self.assertTrue(self.workers.renew(self.worker, LEASE_SECONDS * 1_000_000))
        self.complete(other)

    def test_an_ended_lease_can_be_renewed_until_somebody_reaps(self) -> None:
        self.enqueue()
        lease = self.claim_one()
        self.clock.advance(LEASE_SECONDS + 1)
        self.assertTrue(self.workers.renew(self.worker, 1_000_000))
        self.assertEqual(self.workers.reap(), 0)
        self.complete(lease)

    def test_the_last_sign_of_life_is_kept(self) -> None:
        self.clock.advance(3)
        self.workers.renew(self.worker, 1_000_000)
        self.workers.announce_stop(self.worker)
        (found,) = self.reports.workers()
        self.assertEqual((found.seen_at, found.stopping), (self.clock.now(), True))


class Complete(ContractCase):
    def test_the_result_is_kept(self) -> None:
        for result, codec in (
            ("1", "json"),
            (None, None),
            (LARGE, "json"),
            (b"\0" * 5000, "pickle"),
            ("", "json"),
        ):
            id = self.enqueue()
            self.store.settle(records.Complete(self.claim_one(), result, codec))
            self.assert_state(id, State.COMPLETED)
            found = self.reports.result(id)
            self.assertEqual((found.body, found.codec), (result, codec))
            self.assertEqual((self.job(id).finished_at, self.job(id).worker), (self.clock.now(), None))

    def test_one_that_is_not_kept_is_gone_with_that(self) -> None:
        id = self.enqueue()
        self.store.settle(records.Complete(self.claim_one(), keeps=False))
        with self.assertRaises(JobNotFound):
            self.job(id)
        self.assertEqual(self.enqueue(), id + 1)

    def test_one_that_was_asked_to_stop_is_kept_all_the_same(self) -> None:
        id = self.enqueue()
        lease = self.claim_one()
        self.store.cancel(id)
        self.store.settle(records.Complete(lease, keeps=False))
        self.assert_state(id, State.CANCELLED, "cancelled")

    def test_who_settles_it_and_hears_of_others_is_no_matter(self) -> None:
        self.enqueue()
        turn = Turn((records.Complete(self.claim_one(), keeps=False),), tells=True)
        self.assertEqual(self.store.take_turn(self.worker, turn).ended, ())

    def test_a_stale_lease_changes_nothing(self) -> None:
        id = self.enqueue()
        stale = self.claim_one()
        self.die()
        self.workers.reap()
        lease = self.claim_one()
        before = self.job(id)
        for settlement in every_settlement(stale, self.clock.now()):
            with self.subTest(settlement), self.assertRaises(LeaseLost):
                self.store.settle(settlement)
            self.assertEqual(self.job(id), before)
        with self.assertRaises(LeaseLost):
            self.store.start(Start(stale))
        with self.assertRaises(LeaseLost):
            self.store.note(records.Note(stale, progress=1.0))
        self.assertFalse(self.settle_in_transaction(stale))
        self.assertEqual(self.job(id), before)
        self.complete(lease)

    def test_it_may_complete_in_a_transaction_of_its_own(self) -> None:
        id = self.enqueue()
        self.assertTrue(self.settle_in_transaction(self.claim_one()))
        self.assert_state(id, State.COMPLETED)

    def test_nobody_settles_twice(self) -> None:
        id = self.enqueue()
        lease = self.claim_one()
        self.complete(lease)
        before = self.job(id)
        for settlement in every_settlement(lease, self.clock.now()):
            self.assertEqual(self.settle(settlement), (False,))
        self.assertEqual(self.job(id), before)
        self.assertEqual(self.failures(id), [])

    def test_a_job_that_is_gone_is_a_lost_lease(self) -> None:
        for settlement in every_settlement(Lease(99, 1), 0):
            self.assertEqual(self.settle(settlement), (False,))

    def test_of_many_at_once_one_stale_lease_is_no_matter(self) -> None:
        for _ in range(3):
            self.enqueue()
        first, second, third = (job.lease for job in self.claim(3))
        self.complete(second)
        self.assertEqual(self.settle(*map(records.Complete, (first, second, third))), (True, False, True))

    def test_many_at_once_may_differ_in_everything(self) -> None:
        ids = [self.enqueue() for _ in range(5)]
        self.store.settle(records.Release(self.claim_one()))
        plain, again, valued, failed, stopped = (job.lease for job in self.claim(5))
        self.assertEqual((plain.attempt, again.attempt), (2, 1))
        self.store.cancel(stopped.job)
        settled = self.settle(
            records.Complete(plain),
            records.Fail(failed, ERROR),
            records.Complete(valued, "7", "json"),
            records.Complete(stopped),
            records.Complete(again),
        )
        self.assertEqual(settled, (True,) * 5)
        states = {id: self.job(id).state for id in ids}
        self.assertEqual(states[failed.job], State.FAILED)
        self.assertEqual(states[stopped.job], State.CANCELLED)
        self.assertEqual([states[lease.job] for lease in (plain, again, valued)], [State.COMPLETED] * 3)
        self.assertEqual(self.reports.result(valued.job).body, "7")

    def test_a_lease_that_is_named_twice_is_settled_once(self) -> None:
        self.enqueue()
        lease = self.claim_one()
        self.assertEqual(self.settle(*[records.Complete(lease)] * 2), (True, False))


class Fail(ContractCase):
    def test_with_tries_left_it_is_scheduled(self) -> None:
        id = self.enqueue()
        self.store.settle(records.Fail(self.claim_one(), ERROR, retry_at=self.in_seconds(7)))
        found = self.job(id)
        self.assertEqual(
            (found.state, found.failures, found.run_at), (State.SCHEDULED, 1, self.in_seconds(7))
        )
        self.clock.advance(7)
        self.assertEqual(self.claimed_ids(), [id])

    def test_with_none_left_it_is_failed(self) -> None:
        for reason in ("error", "timeout", "rejected", "lost"):
            id = self.enqueue()
            self.store.settle(records.Fail(self.claim_one(), ERROR._replace(reason=reason)))
            self.assert_state(id, State.FAILED, reason)
            self.assertEqual((self.job(id).message, self.job(id).failures), ("wrong", 1))

    def test_every_failed_attempt_is_kept(self) -> None:
        id = self.enqueue()
        for number in range(3):
            self.clock.advance(1)
            failure = Failure("error", "E", f"number {number}", "line\n" * 1000)
            self.store.settle(records.Fail(self.claim_one(), failure, retry_at=self.clock.now()))
        found = self.failures(id)
        self.assertEqual([one.attempt for one in found], [1, 2, 3])
        self.assertEqual([one.message for one in found], ["number 0", "number 1", "number 2"])
        self.assertEqual(found[2].traceback, "line\n" * 1000)
        self.assertEqual(found[2].failed_at, self.clock.now())

    def test_words_that_are_not_text_are_escaped(self) -> None:
        id = self.enqueue()
        odd = "file \udcff\ud800 \0"
        lease = self.claim_one()
        self.store.note(records.Note(lease, progress_text=odd, logs=((0, odd),)))
        self.store.settle(records.Fail(lease, Failure("error", odd, odd, odd)))
        escaped = "file \\udcff\\ud800 \0"
        self.assertEqual(self.failures(id)[0].traceback, escaped)
        self.assertEqual((self.job(id).message, self.job(id).progress_text), (escaped, escaped))
        self.assertEqual(self.reports.log(id)[0].text, escaped)

    def test_a_dead_child_counts_as_a_crash(self) -> None:
        id = self.enqueue(max_crashes=2)
        self.store.settle(Crash(self.claim_one(), CRASH))
        self.assertEqual((self.job(id).state, self.job(id).crashes), (State.READY, 1))
        self.store.settle(Crash(self.claim_one(), CRASH))
        self.assert_state(id, State.FAILED, "crashed")
        self.assertEqual([one.reason for one in self.failures(id)], ["crashed", "crashed"])


class Snooze(ContractCase):
    def test_it_is_scheduled_and_no_failure_counts(self) -> None:
        id = self.enqueue()
        self.store.settle(Snoozed(self.claim_one(), self.in_seconds(9)))
        found = self.job(id)
        self.assertEqual(
            (found.state, found.failures, found.run_at), (State.SCHEDULED, 0, self.in_seconds(9))
        )
        self.assertEqual(self.failures(id), [])

    def test_it_runs_again_when_it_is_due(self) -> None:
        id = self.enqueue()
        self.store.settle(Snoozed(self.claim_one(), self.in_seconds(9)))
        self.assertEqual(self.claim(), [])
        self.clock.advance(9)
        self.assertEqual(self.claim_one(), Lease(id, 2))


class Release(ContractCase):
    def test_it_is_ready_again_and_costs_nothing(self) -> None:
        id = self.enqueue()
        self.store.settle(records.Release(self.claim_one()))
        found = self.job(id)
        self.assertEqual(
            (found.state, found.failures, found.crashes, found.started_at), (State.READY, 0, 0, None)
        )
        self.assertEqual(self.failures(id), [])

    def test_it_keeps_its_place_in_line(self) -> None:
        first, second = self.enqueue(), self.enqueue()
        self.store.settle(records.Release(self.claim_one()))
        self.assertEqual(self.claimed_ids(), [first, second])

    def test_a_worker_that_signs_off_gives_all_back(self) -> None:
        ids = [self.enqueue() for _ in range(3)]
        leases = [job.lease for job in self.claim(3, start=1)]
        self.workers.sign_off(self.worker)
        self.assertEqual(self.reports.workers(), [])
        for lease in leases:
            with self.assertRaises(LeaseLost):
                self.complete(lease)
        self.worker = self.sign_on()
        self.assertEqual(self.claimed_ids(), ids)
        self.assertEqual([self.job(id).crashes for id in ids], [0, 0, 0])

    def test_what_began_and_runs_at_most_once_is_lost_with_it(self) -> None:
        begun, waiting = self.enqueue(ack="early"), self.enqueue(ack="early")
        job, _ = self.claim(2)
        self.store.start(Start(job.lease, ack="early"))
        self.workers.sign_off(self.worker)
        self.assert_state(begun, State.FAILED, "lost")
        self.assert_state(waiting, State.READY)


class Cancel(ContractCase):
    def test_a_waiting_job_is_cancelled_at_once(self) -> None:
        parked = self.enqueue("app:new")
        self.claim(refused=frozenset({"app:new"}))
        for id in (parked, self.enqueue(), self.enqueue(run_at=self.in_seconds(5))):
            self.assertEqual(self.store.cancel(id, "not wanted"), State.CANCELLED)
            self.assert_state(id, State.CANCELLED, "cancelled")
            self.assertEqual(
                (self.job(id).message, self.job(id).finished_at), ("not wanted", self.clock.now())
            )
        self.clock.advance(5)
        self.assertEqual(self.claim(10, revive=frozenset({"app:new"})), [])

    def test_only_those_that_have_not_started(self) -> None:
        tried, snoozed = self.enqueue(), self.enqueue()
        self.store.settle(records.Fail(self.claim_one(), ERROR, retry_at=self.in_seconds(5)))
        self.store.settle(Snoozed(self.claim_one(), self.in_seconds(5)))
        running = self.enqueue()
        self.claim_one()
        ended = self.enqueue()
        self.store.cancel(ended)
        waiting = [self.enqueue(), self.enqueue(run_at=self.in_seconds(5))]
        given_back = self.enqueue(priority=1)
        self.store.settle(records.Release(self.claim_one()))
        waiting.append(given_back)
        jobs = [tried, snoozed, running, *waiting, ended, 99]
        stages = self.reports.stages(jobs)
        self.assertEqual([stages[id] for id in (tried, snoozed, running)], ["running"] * 3)
        self.assertEqual(
            [stages[id] for id in (*waiting, ended)], ["ready", "scheduled", "ready", "cancelled"]
        )
        self.assertEqual(self.store.cancel_unstarted(jobs), waiting)
        for id in waiting:
            self.assert_state(id, State.CANCELLED, "cancelled")
        self.assert_state(running, State.RUNNING)
        self.assertFalse(self.job(running).cancelling)
        self.assert_state(tried, State.SCHEDULED)
        self.assert_state(snoozed, State.SCHEDULED)
        self.assertEqual(self.store.cancel_unstarted(waiting), [])

    def test_a_running_job_is_flagged(self) -> None:
        id = self.enqueue()
        lease = self.claim_one()
        self.assertEqual(self.store.cancel(id), State.RUNNING)
        self.assertTrue(self.job(id).cancelling)
        self.assertEqual(self.reports.cancelling(self.worker), [(id, lease.attempt)])
        self.assertEqual(self.reports.cancelling(self.worker + 1), [])

    def test_a_flagged_job_ends_as_cancelled_whatever_comes(self) -> None:
        for number in range(len(every_settlement(Lease(0, 0), 0))):
            id = self.enqueue()
            lease = self.claim_one()
            self.store.cancel(id)
            self.store.settle(every_settlement(lease, self.clock.now())[number])
            self.assert_state(id, State.CANCELLED, "cancelled")
            self.assertFalse(self.job(id).cancelling)

    def test_a_flagged_job_does_not_complete_in_its_own_transaction(self) -> None:
        id = self.enqueue()
        lease = self.claim_one()
        self.store.cancel(id)
        self.assertFalse(self.settle_in_transaction(lease))

    def test_a_flagged_job_whose_worker_dies_is_cancelled(self) -> None:
        id = self.enqueue()
        self.claim_one()
        self.store.cancel(id)
        self.die()
        self.workers.reap()
        self.assert_state(id, State.CANCELLED, "cancelled")

    def test_a_task_may_end_itself(self) -> None:
        id = self.enqueue()
        self.store.settle(Cancelled(self.claim_one(), "nothing to do"))
        self.assert_state(id, State.CANCELLED, "cancelled")
        self.assertEqual(self.job(id).message, "nothing to do")

    def test_a_final_job_can_not_be_cancelled(self) -> None:
        id = self.enqueue()
        self.complete(self.claim_one())
        before = self.job(id)
        with self.assertRaisesRegex(NotAllowed, f"job {id} is completed"):
            self.store.cancel(id)
        self.assertEqual(self.job(id), before)

    def test_no_job_no_cancel(self) -> None:
        for verb in (self.store.cancel, self.store.retry, self.store.delete):
            with self.assertRaisesRegex(JobNotFound, "no job 99"):
                verb(99)

    def test_only_what_matches_is_cancelled(self) -> None:
        old = self.enqueue("app:a", queue="x", tags='["red"]')
        self.clock.advance(10)
        ids = [old, self.enqueue("app:b", queue="x"), self.enqueue("app:a", queue="y", tags="no json")]
        cases = {
            Filter(task="app:a"): [ids[0], ids[2]],
            Filter(queue="x"): ids[:2],
            Filter(tag="red"): ids[:1],
            Filter(created_before=self.clock.now()): ids[:1],
            Filter(ids=(ids[2], ids[1], 99)): ids[1:],
            Filter(ids=()): [],
            Filter(state=State.READY, queue="y"): ids[2:],
            Filter(state=State.SCHEDULED): [],
        }
        for chosen, expected in cases.items():
            with self.subTest(chosen):
                self.assertEqual(self.store.cancel_all(chosen), len(expected))
                cancelled = self.reports.jobs(Filter(state=State.CANCELLED))
                self.assertEqual([job.id for job in cancelled], expected[::-1])
                self.store.retry_all(Filter(state=State.CANCELLED))

    def test_thousands_are_cancelled_and_told_of(self) -> None:
        self.store.enqueue([NewJobs("app:task", "default", ("[]",)) for _ in range(2500)])
        told: list[int] = []
        self.assertEqual(self.store.cancel_all(Filter(), told.append), 2500)
        self.assertEqual(told, [1000, 2000, 2500])


class Reap(ContractCase):
    def test_the_jobs_of_a_dead_worker_run_again(self) -> None:
        id = self.enqueue()
        self.claim_one()
        self.clock.advance(LEASE_SECONDS - 1)
        self.assertEqual(self.workers.reap(), 0)
        self.clock.advance(1)
        self.assertEqual(self.workers.reap(), 1)
        self.assertEqual((self.job(id).state, self.job(id).crashes), (State.READY, 1))
        self.assertEqual(self.reports.workers(), [])
        self.assertEqual(self.workers.reap(), 0)

    def test_the_wall_clock_does_not_end_a_lease(self) -> None:
        self.enqueue()
        lease = self.claim_one()
        for year in (2035, 2025):
            self.clock.set_wall(datetime(year, 1, 1, tzinfo=UTC))
            self.assertEqual(self.workers.reap(), 0)
        self.clock.advance(LEASE_SECONDS)
        self.assertEqual(self.workers.reap(), 1)
        with self.assertRaises(LeaseLost):
            self.complete(lease)

    def test_another_boot_ends_every_lease(self) -> None:
        self.enqueue()
        self.claim_one()
        self.clock.reboot()
        self.assertEqual(self.workers.reap(), 1)

    def test_the_crash_limit_stops_a_poison_job(self) -> None:
        for limit, given in ((3, None), (1, 1), (5, 5)):
            id = self.enqueue(max_crashes=given)
            for _ in range(limit - 1):
                self.crash(id)
                self.assert_state(id, State.READY)
            self.crash(id)
            self.assert_state(id, State.FAILED, "crashed")
            self.assertEqual([one.reason for one in self.failures(id)], ["crashed"] * limit)
            self.assertEqual((self.job(id).failures, self.job(id).crashes), (0, limit))

    def test_prefetched_jobs_are_not_charged(self) -> None:
        first, second = self.enqueue(max_crashes=1), self.enqueue(max_crashes=1)
        self.claim(2, start=1)
        self.die()
        self.assertEqual(self.workers.reap(), 2)
        self.assert_state(first, State.FAILED, "crashed")
        self.assertEqual((self.job(second).state, self.job(second).crashes), (State.READY, 0))
        self.assertEqual(self.failures(second), [])

    def test_a_prefetched_job_that_started_is_charged(self) -> None:
        id = self.enqueue()
        (job,) = self.claim(1, start=0)
        self.store.start(Start(job.lease))
        self.die()
        self.workers.reap()
        self.assertEqual(self.job(id).crashes, 1)

    def test_what_was_acknowledged_early_is_lost(self) -> None:
        started, waiting = self.enqueue(ack="early"), self.enqueue(ack="early")
        job, _ = self.claim(2)
        self.store.start(Start(job.lease, ack="early"))
        self.die()
        self.workers.reap()
        self.assert_state(started, State.FAILED, "lost")
        self.assert_state(waiting, State.READY)

    def test_a_start_may_make_it_early(self) -> None:
        id = self.enqueue()
        (job,) = self.claim(1, start=0)
        self.store.start(Start(job.lease, ack="early"))
        self.die()
        self.workers.reap()
        self.assert_state(id, State.FAILED, "lost")

    def test_only_the_dead_lose_their_jobs(self) -> None:
        other = self.sign_on("other")
        lost, kept = self.enqueue(), self.enqueue()
        self.claim_one()
        lease = self.claim_one(worker=other)
        self.clock.advance(LEASE_SECONDS - 1)
        self.workers.renew(other, LEASE_SECONDS * 1_000_000)
        self.clock.advance(1)
        self.assertEqual(self.workers.reap(), 1)
        self.assert_state(lost, State.READY)
        self.complete(lease)
        self.assert_state(kept, State.COMPLETED)

    def test_worker_ids_are_never_reused(self) -> None:
        self.workers.sign_off(self.worker)
        self.assertGreater(self.sign_on(), self.worker)


class Retry(ContractCase):
    def test_a_failed_job_starts_anew(self) -> None:
        id = self.enqueue(expires_at=self.in_seconds(100), max_crashes=1)
        self.crash(id)
        self.clock.advance(200)
        self.store.retry(id)
        found = self.job(id)
        self.assertEqual((found.state, found.failures, found.crashes), (State.READY, 0, 0))
        self.assertEqual((found.run_at, found.message), (self.clock.now(), None))
        self.assertEqual(self.claim_one(worker=self.sign_on()), Lease(id, 2))
        self.assertEqual(len(self.failures(id)), 1)

    def test_failures_count_from_zero_again(self) -> None:
        id = self.enqueue()
        for _ in range(2):
            self.store.settle(records.Fail(self.claim_one(), ERROR, retry_at=self.clock.now()))
        self.run_to_failure(self.claim_one())
        self.assertEqual(self.job(id).failures, 3)
        self.store.retry(id)
        self.assertEqual(self.job(id).failures, 0)

    def test_a_cancelled_job_starts_anew_without_its_result(self) -> None:
        id = self.enqueue()
        lease = self.claim_one()
        self.store.cancel(id)
        self.store.settle(records.Complete(lease, LARGE, "json"))
        self.store.retry(id)
        self.complete(self.claim_one())
        self.assertEqual((self.reports.result(id).body, self.reports.result(id).codec), (None, None))

    def test_others_can_not_be_retried(self) -> None:
        id = self.enqueue()
        with self.assertRaisesRegex(NotAllowed, "is ready"):
            self.store.retry(id)
        lease = self.claim_one()
        with self.assertRaisesRegex(NotAllowed, "is running"):
            self.store.retry(id)
        self.complete(lease)
        with self.assertRaisesRegex(NotAllowed, "is completed"):
            self.store.retry(id)

    def test_the_old_lease_stays_stale(self) -> None:
        id = self.enqueue()
        stale = self.claim_one()
        self.run_to_failure(stale)
        self.store.retry(id)
        self.assertEqual(self.settle(records.Complete(stale)), (False,))
        self.claim_one()
        self.assertEqual(self.settle(records.Complete(stale)), (False,))

    def test_only_what_failed_or_was_cancelled_is_retried(self) -> None:
        failed, cancelled, done, waiting = (self.enqueue() for _ in range(4))
        leases = [job.lease for job in self.claim(3)]
        self.run_to_failure(leases[0])
        self.store.settle(Cancelled(leases[1]))
        self.complete(leases[2])
        self.assertEqual(self.store.retry_all(Filter(state=State.FAILED)), 1)
        self.assertEqual(self.store.retry_all(Filter()), 1)
        self.assertEqual([self.job(id).state for id in (failed, cancelled, waiting)], [State.READY] * 3)
        self.assert_state(done, State.COMPLETED)


class Prune(ContractCase):
    def test_final_jobs_go_when_their_time_is_over(self) -> None:
        kept = self.enqueue()
        self.complete(self.claim_one())
        gone = [self.enqueue(retention=10_000_000) for _ in range(3)]
        self.complete(self.claim_one())
        self.run_to_failure(self.claim_one())
        self.store.cancel(gone[2])
        waiting = self.enqueue(retention=0)
        self.clock.advance(9.9)
        self.assertEqual(self.store.prune(), 0)
        self.clock.advance(0.1)
        self.assertEqual(self.store.prune(), 3)
        self.assertEqual([job.id for job in self.all_jobs()], [waiting, kept])

    def test_all_that_belongs_to_it_goes(self) -> None:
        id = self.enqueue(payload=LARGE, retention=0)
        lease = self.claim_one()
        self.store.note(records.Note(lease, logs=((1, "a line"),)))
        self.store.settle(records.Fail(lease, ERROR, retry_at=self.clock.now()))
        self.store.settle(records.Complete(self.claim_one(), LARGE, "json"))
        self.store.prune()
        self.assertEqual((self.failures(id), self.reports.log(id)), ([], []))
        for read in (self.reports.job, self.reports.payload, self.reports.result):
            with self.assertRaises(JobNotFound):
                read(id)

    def test_a_bounded_number_goes_at_a_time(self) -> None:
        ids = self.store.enqueue([NewJobs("app:task", "default", ("[]",), retention=0) for _ in range(30)])
        self.store.cancel_all(Filter())
        self.assertEqual([self.store.prune(12) for _ in range(4)], [12, 12, 6, 0])
        self.assertEqual(self.enqueue(), ids[-1] + 1)


class Delete(ContractCase):
    def test_a_running_job_can_not_be_deleted(self) -> None:
        id = self.enqueue()
        self.claim_one()
        with self.assertRaisesRegex(NotAllowed, "is running"):
            self.store.delete(id)
        self.assertEqual(self.store.delete_all(Filter()), 0)
        self.assert_state(id, State.RUNNING)

    def test_others_can(self) -> None:
        for id in (self.enqueue(payload=LARGE), self.enqueue(run_at=self.in_seconds(5))):
            self.store.delete(id)
            with self.assertRaises(JobNotFound):
                self.job(id)


class Note(ContractCase):
    """What a running task tells: progress, meta, log lines."""

    def test_each_part_is_optional(self) -> None:
        id = self.enqueue(meta='{"a":1}')
        lease = self.claim_one()
        self.store.note(records.Note(lease, progress=0.25))
        self.store.note(records.Note(lease, progress_text="a quarter"))
        found = self.job(id)
        self.assertEqual((found.progress, found.progress_text, found.meta), (0.25, "a quarter", '{"a":1}'))
        self.store.note(records.Note(lease, meta='{"a":2}'))
        self.assertEqual((self.job(id).progress, self.job(id).meta), (0.25, '{"a":2}'))

    def test_log_lines_keep_their_order_over_attempts(self) -> None:
        id = self.enqueue()
        first = self.claim_one()
        self.store.note(records.Note(first, logs=((5, "one"), (5, "two"))))
        self.store.settle(records.Release(first))
        second = self.claim_one()
        self.store.note(records.Note(second, logs=((1, "three"),)))
        with self.assertRaises(LeaseLost):
            self.store.note(records.Note(first, logs=((9, "late"),)))
        found = self.reports.log(id)
        self.assertEqual(
            [(line.attempt, line.at, line.text) for line in found],
            [(1, 5, "one"), (1, 5, "two"), (2, 1, "three")],
        )
        self.assertEqual(self.reports.log(id, 2), found[1:])


class Read(ContractCase):
    def test_what_waits_and_what_is_unfinished_is_counted_to_a_bound(self) -> None:
        for _ in range(3):
            self.enqueue()
        self.enqueue(run_at=self.in_seconds(5))
        self.enqueue(queue="other")
        self.claim_one()
        self.assertEqual(self.reports.waiting("default", 100), 3)
        self.assertEqual(self.reports.unfinished("default", 100), 4)
        self.assertEqual(self.reports.unfinished("nobody's", 100), 0)
        self.assertEqual(self.reports.waiting("default", 1), 2)  # one of each kind

    """What the reports tell."""

    def test_pages_go_from_the_newest_to_the_oldest(self) -> None:
        ids = [self.enqueue() for _ in range(7)]
        for state in (None, State.READY):
            chosen = Filter(state=state)
            pages: list[list[int]] = []
            last = None
            while page := [job.id for job in self.reports.jobs(chosen, limit=3, after=last)]:
                pages.append(page)
                last = page[-1]
            self.assertEqual([id for page in pages for id in page], ids[::-1])
            self.assertEqual([len(page) for page in pages], [3, 3, 1])

    def test_lists_and_counts_agree_in_every_state(self) -> None:
        parked = self.enqueue("app:new")
        self.claim(refused=frozenset({"app:new"}))
        done, failed, cancelled, running = (self.enqueue() for _ in range(4))
        leases = [job.lease for job in self.claim(4)]
        self.complete(leases[0])
        self.run_to_failure(leases[1])
        self.store.settle(Cancelled(leases[2]))
        ready = self.enqueue()
        scheduled = self.enqueue(run_at=self.in_seconds(1))
        self.enqueue(queue="other")
        expected = {
            State.READY: [ready, parked],
            State.RUNNING: [running],
            State.COMPLETED: [done],
            State.FAILED: [failed],
            State.CANCELLED: [cancelled],
            State.SCHEDULED: [scheduled],
            State.BLOCKED: [],
        }
        for state, ids in expected.items():
            chosen = Filter(state=state, queue="default")
            self.assertEqual([job.id for job in self.reports.jobs(chosen)], ids)
            self.assertEqual(self.reports.count(chosen), len(ids))
            self.assertEqual(self.reports.counts("default")[state], len(ids))
        self.assertEqual(self.reports.queues(), ["default", "other"])

    def test_a_state_of_thousands_is_listed_too(self) -> None:
        ids = self.store.enqueue([NewJobs("app:task", "default", ("[]",)) for _ in range(1200)])
        chosen = Filter(state=State.READY)
        self.assertEqual([job.id for job in self.reports.jobs(chosen, limit=5)], ids[:-6:-1])
        self.assertEqual(self.reports.count(chosen), 1200)

    def test_who_is_ahead_is_counted(self) -> None:
        first, second = self.enqueue(), self.enqueue()
        self.enqueue(priority=1)
        self.assertEqual([self.reports.ahead(self.job(id)) for id in (first, second)], [1, 2])

    def test_the_oldest_ready_job_is_known(self) -> None:
        self.assertIsNone(self.reports.oldest_ready("default"))
        due = self.clock.now()
        self.enqueue(priority=-5)
        self.clock.advance(5)
        self.enqueue(priority=5)
        self.assertEqual(self.reports.oldest_ready("default"), due)
