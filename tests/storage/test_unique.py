"""A unique key belongs to one job at a time: in every state, at every return, and for a time after."""

from __future__ import annotations

from litequeue.errors import DuplicateJob, InvalidTask, JobNotFound, LeaseLost, NotAllowed
from litequeue.job import (
    Complete,
    Crash,
    Fail,
    Failure,
    Filter,
    Note,
    Release,
    Rule,
    Snoozed,
    State,
    StoredResult,
)
from litequeue.storage.steps import Steps
from tests.storage.engines import ERROR
from tests.storage.flows import SECOND, FlowCase, after, behind, new
from tests.support import together

LARGE = f'[["{"x" * 100_000}"],{{}}]'
RETURNS = ("try again", "snooze", "release", "crash")


class UniqueCase(FlowCase):
    def first(self, **values: object) -> int:
        return self.add(unique_key="k", **values)

    def assert_taken(self, id: int) -> None:
        self.assertEqual(self.submit(unique_key="k"), (id, False))
        with self.assertRaises(DuplicateJob) as caught:
            self.submit(unique_key="k", on_duplicate="raise")
        self.assertEqual((caught.exception.job_id, caught.exception.key), (id, "k"))

    def assert_free(self) -> None:
        self.add(unique_key="k", on_duplicate="raise")


class EveryState(UniqueCase):
    def test_while_it_is_ready(self) -> None:
        self.assert_taken(self.first())

    def test_while_it_is_scheduled(self) -> None:
        self.assert_taken(self.first(run_at=self.in_seconds(9)))

    def test_while_it_waits_for_a_parent(self) -> None:
        self.assert_taken(self.first(parents=after(self.enqueue())))

    def test_while_a_limit_holds_it(self) -> None:
        self.limit("l", Rule(max_running=1))
        id = self.first(limit_key="l")
        self.assertEqual(len(self.claim(5)), 1)
        self.assert_state(id, State.BLOCKED)
        self.assert_taken(id)

    def test_while_it_runs_and_while_it_is_asked_to_stop(self) -> None:
        id = self.first()
        lease = self.claim_one()
        self.assert_taken(id)
        self.store.cancel(id)
        self.assert_taken(id)
        self.complete(lease)
        self.assert_free()

    def test_while_it_is_parked(self) -> None:
        id = self.first()
        self.assertEqual(self.claim(1, refused=frozenset({"app:task"})), [])
        self.assert_taken(id)

    def test_not_when_it_has_ended_in_whatever_way(self) -> None:
        for ending in ("complete", "fail", "cancel"):
            with self.subTest(ending):
                id = self.first()
                self.run_and(ending, id)
                self.assertIn(self.job(id).state, ("completed", "failed", "cancelled"))
                other = self.submit(unique_key="k")
                self.assertTrue(other.created)
                self.store.cancel(other.id)

    def test_not_when_it_was_deleted(self) -> None:
        self.store.delete(self.first())
        self.assert_free()

    def test_not_when_it_has_expired_though_nobody_wrote_that_down(self) -> None:
        id = self.first(expires_at=self.in_seconds(1))
        self.clock.advance(1)
        self.assert_free()
        self.assert_state(id, State.CANCELLED, "expired")

    def test_not_when_its_parent_doomed_it_though_nobody_wrote_that_down(self) -> None:
        parent = self.enqueue()
        id = self.first(parents=after(parent))
        self.run_and("fail", parent)
        self.assert_free()
        self.assert_state(id, State.CANCELLED, "parent")

    def test_other_keys_and_no_key_are_free(self) -> None:
        self.first()
        self.add(unique_key="K")
        self.add()
        self.add()

    def test_across_queues_and_tasks(self) -> None:
        id = self.first()
        self.assertEqual(self.submit(unique_key="k", queue="other", task="app:other"), (id, False))

    def test_within_one_enqueue(self) -> None:
        one, two, three = self.submit_all(new(unique_key="k"), new(unique_key="k"), new())
        self.assertEqual((one.created, two), (True, (one.id, False)))
        self.assertTrue(three.created)

    def test_a_refused_one_takes_all_of_its_enqueue_along(self) -> None:
        id = self.first()
        with self.assertRaises(DuplicateJob):
            self.submit_all(new(), new(unique_key="other"), new(unique_key="k", on_duplicate="raise"))
        self.assertEqual([job.id for job in self.all_jobs()], [id])

    def test_of_threads_that_race_one_makes_it(self) -> None:
        stored = []
        together(8, lambda _: stored.append(self.submit(unique_key="k")))
        self.assertEqual(len({each.id for each in stored}), 1)
        self.assertEqual(sum(each.created for each in stored), 1)


class EveryReturn(UniqueCase):
    def test_a_job_that_comes_back_still_has_it(self) -> None:
        for ending in RETURNS:
            with self.subTest(ending):
                id = self.first(max_crashes=9)
                self.run_and(ending, id)
                self.assertIn(self.job(id).state, (State.READY, State.SCHEDULED))
                self.assert_taken(id)
                self.store.cancel(id)

    def test_signing_off_gives_it_back_with_its_key(self) -> None:
        id = self.first()
        self.claim_one()
        self.workers.sign_off(self.worker)
        self.assert_taken(id)

    def test_an_operator_does_not_bring_a_second_one_to_life(self) -> None:
        for ending in ("fail", "cancel"):
            with self.subTest(ending):
                old = self.first()
                self.run_and(ending, old)
                new = self.first()
                with self.assertRaisesRegex(NotAllowed, "unique key"):
                    self.store.retry(old)
                self.assertEqual(self.store.retry_all(Filter(ids=(old,))), 0)
                self.assertNotIn(self.job(old).state, ("ready", "running"))
                self.store.cancel(new)
                self.store.retry(old)
                self.assert_taken(old)
                self.store.cancel(old)

    def test_of_two_that_failed_one_is_tried_again(self) -> None:
        ids = []
        for _ in range(2):
            ids.append(self.first())
            self.run_and("fail", ids[-1])
        self.assertEqual(self.store.retry_all(Filter(state=State.FAILED)), 1)
        self.assertEqual(sorted(self.states(ids)), ["failed", "ready"])

    def test_a_child_whose_key_is_taken_is_not_revived(self) -> None:
        parent = self.enqueue()
        child = self.first(parents=after(parent))
        below = self.add(parents=after(child))
        self.run_and("fail", parent)
        self.sweep()
        other = self.first()
        self.store.retry(parent)
        self.sweep()
        self.assert_state(child, State.CANCELLED, "parent")
        self.assert_state(below, State.CANCELLED, "parent")
        self.assert_taken(other)

    def test_a_revived_child_has_its_key_again(self) -> None:
        parent = self.enqueue()
        child = self.first(parents=after(parent))
        self.run_and("fail", parent)
        self.sweep()
        self.store.retry(parent)
        self.assert_state(child, State.BLOCKED)
        self.assert_taken(child)


class ForATime(UniqueCase):
    def test_after_its_end(self) -> None:
        id = self.first(unique_for=10 * SECOND)
        self.run_and("complete", id)
        self.clock.advance(9.999)
        self.assert_taken(id)
        self.clock.advance(0.001)
        self.assert_free()

    def test_it_is_the_job_that_says_for_how_long(self) -> None:
        id = self.first(unique_for=10 * SECOND)
        self.run_and("complete", id)
        self.assertEqual(self.submit(unique_key="k", unique_for=0), (id, False))
        self.assertEqual(self.submit(unique_key="k"), (id, False))

    def test_not_after_it_failed_or_was_cancelled(self) -> None:
        for ending in ("fail", "cancel"):
            id = self.first(unique_for=10 * SECOND)
            self.run_and(ending, id)
            self.store.cancel(self.submit(unique_key="k", on_duplicate="raise").id)

    def test_the_newest_end_counts(self) -> None:
        for _ in range(3):
            id = self.first(unique_for=10 * SECOND)
            self.run_and("complete", id)
            self.clock.advance(10)
        id = self.first(unique_for=10 * SECOND)
        self.run_and("complete", id)
        self.assert_taken(id)

    def test_it_is_kept_for_so_long_whatever_its_retention(self) -> None:
        id = self.first(unique_for=10 * SECOND, retention=0)
        self.run_and("complete", id)
        self.clock.advance(9)
        self.assertEqual(self.store.prune(), 0)
        self.assert_taken(id)
        self.clock.advance(1)
        self.assertEqual(self.store.prune(), 1)
        self.assert_free()

    def test_one_that_is_kept_for_ever_or_longer_stays_so(self) -> None:
        for retention in (None, 60 * SECOND):
            id = self.first(unique_for=10 * SECOND, retention=retention)
            self.run_and("complete", id)
            self.clock.advance(59)
            self.assertEqual(self.store.prune(), 0)

    def test_replacing_one_that_has_completed_changes_nothing(self) -> None:
        id = self.first(unique_for=10 * SECOND)
        self.run_and("complete", id)
        self.assertEqual(self.submit(unique_key="k", on_duplicate="replace", payload="[[2],{}]"), (id, False))
        self.assertEqual(self.reports.payload(id)[0], "[[],{}]")


class Replace(UniqueCase):
    def replace(self, **values: object) -> int:
        return self.submit(unique_key="k", on_duplicate="replace", **values).id

    def test_it_takes_the_new_arguments_and_the_new_time(self) -> None:
        id = self.replace(payload="[[1],{}]", run_at=self.in_seconds(5))
        self.clock.advance(3)
        due = self.in_seconds(5)
        again = self.submit(unique_key="k", on_duplicate="replace", payload="[[2],{}]", run_at=due)
        self.assertEqual(again, (id, False))
        self.assertEqual((self.reports.payload(id)[0], self.job(id).run_at), ("[[2],{}]", due))
        self.clock.advance(4)
        self.assertEqual(self.claim(), [])
        self.clock.advance(1)
        self.assertEqual(self.claimed_ids(), [id])

    def test_without_a_time_it_is_due_at_once(self) -> None:
        id = self.replace(run_at=self.in_seconds(5))
        self.replace()
        self.assertEqual(self.claimed_ids(), [id])

    def test_a_ready_one_waits_again(self) -> None:
        id = self.replace()
        self.replace(run_at=self.in_seconds(5))
        self.assert_state(id, State.SCHEDULED)

    def test_no_longer_than_it_may(self) -> None:
        id = self.replace(run_at=self.in_seconds(5), max_wait=12 * SECOND)
        until = self.in_seconds(12)
        for _ in range(4):
            self.replace(run_at=self.in_seconds(5), max_wait=12 * SECOND)
            self.clock.advance(3)
        self.assertEqual(self.job(id).run_at, until)
        self.assertEqual(self.claimed_ids(), [id])

    def test_large_arguments_and_small_ones_in_every_order(self) -> None:
        id = self.replace(payload="[[0],{}]")
        for payload in (LARGE, "[[1],{}]", LARGE, LARGE, "[[2],{}]"):
            self.replace(payload=payload)
            self.assertEqual(self.reports.payload(id)[0], payload)
        self.replace(payload=LARGE)
        (job,) = self.claim()
        self.assertEqual(job.payload, LARGE)

    def test_a_new_expiry_takes_the_place_of_the_old(self) -> None:
        id = self.replace(expires_at=self.in_seconds(5))
        self.replace()
        self.clock.advance(6)
        self.assertEqual(self.claimed_ids(), [id])

    def test_one_that_has_expired_is_not_replaced_but_ended(self) -> None:
        old = self.replace(expires_at=self.in_seconds(5))
        self.clock.advance(6)
        new = self.replace(payload="[[2],{}]")
        self.assertNotEqual(old, new)
        self.assert_state(old, State.CANCELLED, "expired")
        self.assertEqual(self.claimed_ids(), [new])

    def test_one_that_is_doomed_is_not_replaced_but_ended(self) -> None:
        parent = self.enqueue()
        self.run_and("fail", parent)
        for parents in (after(parent), after(self.enqueue(), parent)):
            old = self.replace(parents=parents)
            new = self.replace()
            self.assertNotEqual(old, new)
            self.assert_state(old, State.CANCELLED, "parent")
            self.store.cancel(new)

    def test_one_that_a_limit_holds_waits_for_its_time(self) -> None:
        self.limit("l", Rule(max_running=1))
        id = self.replace(limit_key="l")
        (running,) = self.claim(5)
        self.assert_state(id, State.BLOCKED)
        self.replace(run_at=self.in_seconds(5), limit_key="l")
        self.complete(running.lease)
        self.assertEqual(self.claim(5), [])
        self.clock.advance(5)
        self.assertEqual(self.claimed_ids(), [id])

    def test_one_that_is_held_and_due_at_once_is_held_still(self) -> None:
        self.limit("l", Rule(max_running=1))
        id = self.replace(limit_key="l")
        (running,) = self.claim(5)
        self.replace(limit_key="l", payload="[[2],{}]")
        self.assertEqual(self.claim(5), [])
        self.complete(running.lease)
        self.assertEqual(self.claimed_ids(), [id])

    def test_a_parked_one_is_looked_at_again(self) -> None:
        id = self.replace()
        self.claim(1, refused=frozenset({"app:task"}))
        self.replace(payload="[[2],{}]")
        self.assertEqual(self.claimed_ids(), [id])

    def test_the_priority_stays(self) -> None:
        id = self.replace(priority=3)
        self.replace(priority=1)
        self.assertEqual(self.job(id).priority, 3)

    def test_what_it_did_with_the_old_arguments_is_forgotten(self) -> None:
        id, steps = self.replace(), Steps(self.store.database, self.clock)
        for ending in ("crash", "try again"):
            self.run_and(ending, id)
        lease = self.claim_one()
        steps.keep(lease, "render", StoredResult('"html of first"', "json"))
        self.store.note(Note(lease, progress=0.5, progress_text="half", logs=((0, "rendered"),)))
        self.store.settle(Snoozed(lease, self.clock.now()))
        self.replace(payload="[[2],{}]")
        job = self.job(id)
        self.assertEqual((job.failures, job.started_at), (0, None))
        self.assertEqual((job.progress, job.progress_text), (None, None))
        self.assertEqual((steps.all(id), self.failures(id)), ([], []))
        self.assertEqual(self.look("SELECT * FROM litequeue_log"), [])
        self.assertEqual(self.look("SELECT crashes, message FROM litequeue_job"), [(0, None)])

    def test_its_attempt_goes_on_to_rise(self) -> None:
        id = self.replace()
        old = self.claim_one()
        self.store.settle(Release(old))
        self.replace(payload="[[2],{}]")
        new = self.claim_one()
        self.assertEqual((new.job, new.attempt), (id, 2))
        with self.assertRaises(LeaseLost):
            self.complete(old)


class WhileOneRuns(UniqueCase):
    """A replaceable job that runs lets a newer one wait, and gives way to it when it would wait again."""

    def setUp(self) -> None:
        super().setUp()
        self.old = self.add(unique_key="k", on_duplicate="replace")
        self.lease = self.claim_one()
        self.new = self.add(unique_key="k", on_duplicate="replace", payload="[[2],{}]")

    def test_one_waits_and_takes_what_comes(self) -> None:
        stored = self.submit(unique_key="k", on_duplicate="replace", payload="[[3],{}]")
        self.assertEqual(stored, (self.new, False))

    def test_both_may_end(self) -> None:
        self.complete(self.lease)
        self.assert_taken(self.new)
        self.complete(self.claim_one())
        self.assertEqual(self.states([self.old, self.new]), ["completed", "completed"])

    def test_whatever_would_bring_it_back_ends_it(self) -> None:
        lost = Failure("crashed", "ChildDied", "signal 11")
        now = self.clock.now()
        for end in (
            lambda lease: Fail(lease, ERROR, retry_at=now),
            lambda lease: Snoozed(lease, now),
            Release,
            lambda lease: Crash(lease, lost),
        ):
            settlement = end(self.lease)
            with self.subTest(type(settlement).__name__):
                self.store.settle(settlement)
                self.assert_gave_way()
                (self.lease,) = (each.lease for each in self.claim())
                self.old, self.new = self.new, self.add(unique_key="k", on_duplicate="replace")

    def assert_gave_way(self) -> None:
        self.assert_state(self.old, State.CANCELLED, "replaced")
        self.assertIn("newer job", self.job(self.old).message or "")
        self.assert_taken(self.new)

    def test_so_does_the_death_of_its_worker(self) -> None:
        self.die()
        self.assertEqual(self.workers.reap(), 1)
        self.assert_gave_way()
        self.assertEqual([each.reason for each in self.failures(self.old)], ["crashed"])

    def test_or_its_signing_off(self) -> None:
        self.workers.sign_off(self.worker)
        self.assert_gave_way()

    def test_a_try_that_failed_is_still_told(self) -> None:
        self.store.settle(Fail(self.lease, ERROR, retry_at=self.clock.now()))
        self.assertEqual([each.type for each in self.failures(self.old)], ["ValueError"])

    def test_its_neighbours_in_the_turn_are_settled_all_the_same(self) -> None:
        other = self.add()
        (lease,) = (each.lease for each in self.claim(9) if each.lease.job == other)
        self.assertEqual(self.settle(Release(self.lease), Complete(lease)), (True, True))
        self.assert_state(other, State.COMPLETED)

    def test_those_that_wait_for_it_are_ended_with_it(self) -> None:
        child, anyhow = self.add(parents=after(self.old)), self.add(parents=after(self.old, runs_on="end"))
        self.store.settle(Release(self.lease))
        self.sweep()
        self.assert_state(child, State.CANCELLED, "parent")
        self.assert_state(anyhow, State.READY)

    def test_it_may_be_tried_again_when_the_newer_has_ended(self) -> None:
        self.store.settle(Release(self.lease))
        with self.assertRaises(NotAllowed):
            self.store.retry(self.old)
        self.complete(self.claim_one())
        self.store.retry(self.old)
        self.assert_taken(self.old)

    def test_nothing_waits_it_comes_back(self) -> None:
        self.store.cancel(self.new)
        self.store.settle(Release(self.lease))
        self.assert_state(self.old, State.READY)


class WhileOneRunsThatWasNotReplaceable(UniqueCase):
    """A newer call that replaces is never lost, whatever the one before it had said."""

    def replace(self, payload: str) -> tuple[int, bool]:
        return self.submit(unique_key="k", on_duplicate="replace", payload=payload)

    def test_it_lets_go_of_its_key(self) -> None:
        old = self.first()
        lease = self.claim_one()
        new, created = self.replace("[[2],{}]")
        self.assertTrue(created)
        self.assertEqual(self.replace("[[3],{}]"), (new, False))
        self.complete(lease)
        self.complete(self.claim_one())
        self.assertEqual(self.states([old, new]), ["completed", "completed"])

    def test_so_does_one_that_was_replaced_before_it_ran(self) -> None:
        old = self.first()
        self.assertEqual(self.replace("[[2],{}]"), (old, False))
        self.claim_one()
        new, created = self.replace("[[3],{}]")
        self.assertEqual((created, self.reports.payload(new)[0]), (True, "[[3],{}]"))

    def test_it_gives_way_when_it_would_wait_again(self) -> None:
        old = self.first()
        lease = self.claim_one()
        new, _ = self.replace("[[2],{}]")
        self.store.settle(Fail(lease, ERROR, retry_at=self.clock.now()))
        self.assert_state(old, State.CANCELLED, "replaced")
        self.assert_taken(new)

    def test_it_keeps_it_from_one_that_only_returns(self) -> None:
        old = self.first()
        self.claim_one()
        self.assert_taken(old)


class ReplaceInAGraph(UniqueCase):
    """What is replaced waits for the parents that the new call has, and for no others."""

    def replace(self, **values: object) -> int:
        return self.submit(unique_key="k", on_duplicate="replace", **values).id

    def test_it_waits_for_the_new_parents_and_takes_their_results(self) -> None:
        id, parent = self.replace(), self.enqueue(priority=1)
        self.replace(parents=after(parent, passes=True), takes="one")
        self.assert_state(id, State.BLOCKED)
        self.run_and("complete", parent)
        (job,) = self.claim()
        self.assertEqual((job.lease.job, job.received and job.received.results), (id, (('"done"', "json"),)))

    def test_it_waits_no_longer_for_the_old_ones(self) -> None:
        parent = self.enqueue(queue="other")
        id = self.replace(parents=after(parent, passes=True), takes="one")
        self.replace()
        (job,) = self.claim()
        self.assertEqual((job.lease.job, job.received), (id, None))
        self.run_and("fail", parent, queue="other")
        self.complete(job.lease)
        self.assert_state(id, State.COMPLETED)

    def test_one_that_would_wait_for_itself_is_refused(self) -> None:
        id = self.replace(payload="[[1],{}]")
        child = self.add(parents=after(id))
        grandchild = self.add(parents=after(child))
        for parent in (id, child, grandchild):
            with self.assertRaisesRegex(InvalidTask, f"job {id} .* wait for itself"):
                self.replace(payload="[[2],{}]", parents=after(parent))
        with self.assertRaisesRegex(InvalidTask, "wait for itself"):
            self.submit_all(
                new(unique_key="other"),
                new(unique_key="other", on_duplicate="replace", parents=behind(0)),
            )
        self.assertEqual((self.reports.payload(id)[0], len(self.all_jobs())), ("[[1],{}]", 3))
        self.assertEqual(self.drain(), [id, child, grandchild])

    def test_an_unknown_parent_is_refused(self) -> None:
        id = self.replace(payload="[[1],{}]")
        with self.assertRaises(JobNotFound):
            self.replace(payload="[[2],{}]", parents=after(999))
        self.assertEqual(self.reports.payload(id)[0], "[[1],{}]")

    def test_a_child_may_wait_for_the_job_that_was_there(self) -> None:
        id = self.first(queue="other")
        _, (same, created), child = self.submit_all(
            new(), new(unique_key="k", parents=behind(0)), new(parents=behind(1, passes=True), takes="one")
        )
        self.assertEqual((same, created), (id, False))
        self.drain()
        self.assert_state(child.id, State.BLOCKED)
        self.run_and("complete", id, queue="other")
        self.assertEqual(self.claimed_ids(), [child.id])

    def test_members_that_are_one_job_are_waited_for_once(self) -> None:
        jobs = self.submit_all(
            *(new(unique_key="k") for _ in range(3)),
            new(parents=behind(0, 1, 2, passes=True), takes="all"),
        )
        self.assertEqual((len({each.id for each in jobs}), self.job(jobs[3].id).pending), (2, 1))
        self.run_and("complete", jobs[0].id)
        (job,) = self.claim()
        self.assertEqual(job.received and job.received.results, (('"done"', "json"),) * 3)
