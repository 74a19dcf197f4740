"""Jobs that wait for others: whatever becomes of a parent, no child waits for what can not come."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import product
from unittest.mock import patch

from litequeue.errors import JobNotFound, NotAllowed
from litequeue.job import (
    Cancelled,
    Complete,
    Fail,
    Filter,
    Lease,
    NewJobs,
    Parent,
    Release,
    Rule,
    Start,
    State,
)
from litequeue.storage import flow
from tests.storage.engines import ERROR
from tests.storage.flows import SECOND, FlowCase, after, behind, new

LARGE = f'"{"x" * 100_000}"'
WISHES = ("success", "failure", "end")
Way = Callable[[FlowCase], Iterator[int]]


# --- every way in which a job can end: what is yielded is the job before its end ----------------------------


def completes(case: FlowCase) -> Iterator[int]:
    id = case.enqueue()
    yield id
    case.run_and("complete", id)


def completes_with_many(case: FlowCase) -> Iterator[int]:
    id = case.enqueue()
    other = case.enqueue()
    yield id
    leases = [job.lease for job in case.claim(9) if job.lease.job in (id, other)]
    case.settle(*map(Complete, leases))


def completes_in_its_transaction(case: FlowCase) -> Iterator[int]:
    id = case.enqueue()
    yield id
    (lease,) = (job.lease for job in case.claim(9) if job.lease.job == id)
    case.assertTrue(case.settle_in_transaction(lease))


def fails(case: FlowCase) -> Iterator[int]:
    id = case.enqueue()
    yield id
    case.run_and("fail", id)


def is_rejected(case: FlowCase) -> Iterator[int]:
    id = case.enqueue()
    yield id
    case.store.settle(Fail(_lease(case, id), ERROR._replace(reason="rejected")))


def crashes_too_often(case: FlowCase) -> Iterator[int]:
    id = case.enqueue(max_crashes=2)
    yield id
    case.crash(id)
    case.crash(id)


def is_lost(case: FlowCase) -> Iterator[int]:
    id = case.enqueue(ack="early")
    yield id
    case.store.start(Start(_lease(case, id), "early"))
    case.die()
    case.workers.reap()


def cancels_itself(case: FlowCase) -> Iterator[int]:
    id = case.enqueue()
    yield id
    case.store.settle(Cancelled(_lease(case, id), "enough"))


def is_cancelled(case: FlowCase) -> Iterator[int]:
    id = case.enqueue(run_at=case.in_seconds(60))
    yield id
    case.store.cancel(id)


def is_cancelled_in_mid_run(case: FlowCase) -> Iterator[int]:
    id = case.enqueue()
    yield id
    case.run_and("cancel", id)


def is_cancelled_with_its_worker(case: FlowCase) -> Iterator[int]:
    id = case.enqueue()
    yield id
    _lease(case, id)
    case.store.cancel(id)
    case.die()
    case.workers.reap()


def expires(case: FlowCase) -> Iterator[int]:
    id = case.enqueue(expires_at=case.in_seconds(1), run_at=case.in_seconds(9))
    yield id
    case.clock.advance(1)


def is_found_too_late(case: FlowCase) -> Iterator[int]:
    id = case.enqueue(expires_at=case.in_seconds(1))
    yield id
    case.clock.advance(1)
    case.assertEqual([job for job in case.claim(9) if job.lease.job == id], [])


def is_doomed(case: FlowCase) -> Iterator[int]:
    above = case.enqueue()
    id = case.add(parents=after(above))
    yield id
    case.run_and("fail", above)


def is_replaced(case: FlowCase) -> Iterator[int]:
    id = case.add(unique_key="k", on_duplicate="replace")
    yield id
    lease = _lease(case, id)
    newer = case.submit(unique_key="k", on_duplicate="replace")
    case.store.settle(Release(lease))
    case.store.cancel(newer.id)


def is_deleted(case: FlowCase) -> Iterator[int]:
    id = case.enqueue(run_at=case.in_seconds(60))
    yield id
    case.store.delete(id)


def is_deleted_while_parked(case: FlowCase) -> Iterator[int]:
    id = case.enqueue()
    yield id
    case.claim(9, refused=frozenset({"app:task"}))
    case.store.delete(id)


WAYS: dict[Way, tuple[str, ...]] = {
    completes: ("success", "end"),
    completes_with_many: ("success", "end"),
    completes_in_its_transaction: ("success", "end"),
    fails: ("failure", "end"),
    is_rejected: ("failure", "end"),
    crashes_too_often: ("failure", "end"),
    is_lost: ("failure", "end"),
    cancels_itself: ("end",),
    is_cancelled: ("end",),
    is_cancelled_in_mid_run: ("end",),
    is_cancelled_with_its_worker: ("end",),
    expires: ("end",),
    is_found_too_late: ("end",),
    is_doomed: ("end",),
    is_replaced: ("end",),
    is_deleted: ("end",),
    is_deleted_while_parked: ("end",),
}


def _lease(case: FlowCase, id: int) -> Lease:
    (lease,) = (job.lease for job in case.claim(9) if job.lease.job == id)
    return lease


class EveryEnd(FlowCase):
    """What a parent's end makes of its child, for each way to end and each wish."""

    def in_each(self, check: Callable[[Iterator[int], str, bool], None], ways: Iterable[Way] = WAYS) -> None:
        for way, wish in product(ways, WISHES):
            with self.subTest(way.__name__, wish=wish):
                self.setUp()
                check(way(self), wish, wish in WAYS[way])

    def assert_became(self, child: int, *, runs: bool) -> None:
        self.sweep()
        if runs:
            self.assert_state(child, State.READY)
            self.assertIn(child, self.claimed_ids(queue="children"))
            return
        self.assert_state(child, State.CANCELLED, "parent")
        self.assertRegex(
            self.job(child).message or "", r"^job \d+ (completed|failed|was (cancelled|deleted))$"
        )

    def test_a_child_that_waited(self) -> None:
        def check(story: Iterator[int], wish: str, runs: bool) -> None:
            parent = next(story)
            child = self.add(queue="children", parents=after(parent, runs_on=wish))
            self.assert_state(child, State.BLOCKED)
            self.assertEqual(self.job(child).pending, 1)
            self.assertIsNone(next(story, None))
            # A child of a deleted parent is due at once, which a claim finds out.
            self.assertEqual(self.claim(1, queue="children", total=0), [])
            self.assert_became(child, runs=runs)

        self.in_each(check)

    def test_a_child_that_comes_after_the_end(self) -> None:
        def check(story: Iterator[int], wish: str, runs: bool) -> None:
            parent = next(story)
            self.assertIsNone(next(story, None))
            self.sweep()
            child = self.add(queue="children", parents=after(parent, runs_on=wish))
            self.assert_became(child, runs=runs)

        self.in_each(check, [way for way in WAYS if way not in (is_deleted, is_deleted_while_parked)])

    def test_the_other_parent_does_not_keep_a_child_that_is_doomed(self) -> None:
        def check(story: Iterator[int], wish: str, runs: bool) -> None:
            parent, other = next(story), self.enqueue(queue="other")
            both = (*after(other), *after(parent, runs_on=wish))
            child = self.add(queue="children", parents=both)
            self.assertEqual(self.job(child).pending, 2)
            self.assertIsNone(next(story, None))
            self.sweep()
            self.assert_state(child, *((State.BLOCKED,) if runs else (State.CANCELLED, "parent")))
            self.run_and("complete", other, queue="other")
            self.assert_became(child, runs=runs)

        self.in_each(check)

    def test_it_passes_along_and_no_further_than_it_must(self) -> None:
        def check(story: Iterator[int], wish: str, runs: bool) -> None:
            parent = next(story)
            child = self.add(queue="children", parents=after(parent, runs_on=wish))
            below = self.add(queue="below", parents=after(child))
            anyhow = self.add(queue="below", parents=after(child, runs_on="end"))
            self.assertIsNone(next(story, None))
            self.sweep()
            self.assertEqual(
                self.states([below, anyhow]), ["blocked"] * 2 if runs else ["cancelled", "ready"]
            )

        self.in_each(check)


class Waiting(FlowCase):
    def test_for_all_of_many_parents(self) -> None:
        parents = [self.enqueue(queue=f"q{number % 3}") for number in range(7)]
        child = self.add(parents=after(*parents))
        for number, parent in enumerate(parents):
            self.assertEqual((self.job(child).state, self.job(child).pending), ("blocked", 7 - number))
            self.run_and("complete", parent, queue=f"q{number % 3}")
        self.assertEqual(self.claimed_ids(), [child])

    def test_a_thousand_parents_end_in_one_turn(self) -> None:
        parents = self.store.enqueue([NewJobs("app:task", "default", ["[]"] * 1000)])
        child = self.add(parents=after(*parents, passes=True), takes="all")
        self.settle(*(Complete(job.lease) for job in self.claim(1000)))
        (job,) = self.claim()
        assert job.received is not None
        self.assertEqual((job.lease.job, len(job.received.results)), (child, 1000))

    def test_the_same_parent_twice_counts_once(self) -> None:
        parent = self.enqueue()
        child = self.add(parents=after(parent, parent, parent))
        self.assertEqual(self.job(child).pending, 1)
        self.run_and("complete", parent)
        self.assertEqual(self.claimed_ids(), [child])

    def test_the_same_parent_with_two_wishes_that_exclude_each_other(self) -> None:
        for ending in ("complete", "fail"):
            parent = self.enqueue()
            child = self.add(parents=(*after(parent), *after(parent, runs_on="failure")))
            self.run_and(ending, parent)
            self.sweep()
            self.assert_state(child, State.CANCELLED, "parent")

    def test_a_diamond(self) -> None:
        top, left, right, bottom = (
            each.id
            for each in self.submit_all(
                new(), new(parents=behind(0)), new(parents=behind(0)), new(parents=behind(1, 2))
            )
        )
        self.assertEqual(self.drain(), [top, left, right, bottom])
        self.assertEqual((self.reports.parents(bottom), self.reports.children(top)), ([left, right],) * 2)

    def test_a_parent_that_is_tried_again_has_not_ended(self) -> None:
        parent = self.enqueue()
        child = self.add(parents=after(parent))
        for ending in ("try again", "snooze", "release", "crash"):
            self.run_and(ending, parent)
            self.assertEqual((self.job(child).state, self.job(child).pending), ("blocked", 1))

    def test_a_child_that_is_not_due_is_scheduled_then(self) -> None:
        parent = self.enqueue()
        child = self.add(parents=after(parent), run_at=self.in_seconds(10))
        self.run_and("complete", parent)
        self.assert_state(child, State.SCHEDULED)
        self.clock.advance(10)
        self.assertEqual(self.claimed_ids(), [child])

    def test_a_child_may_expire_while_it_waits(self) -> None:
        parent = self.enqueue(queue="other")
        child = self.add(parents=after(parent), expires_at=self.in_seconds(1))
        below = self.add(parents=after(child))
        self.clock.advance(1)
        self.sweep()
        self.assert_state(child, State.CANCELLED, "expired")
        self.assert_state(below, State.CANCELLED, "parent")
        self.run_and("complete", parent, queue="other")
        self.assert_state(child, State.CANCELLED, "expired")

    def test_parents_are_named_by_place_or_by_id(self) -> None:
        stored = self.enqueue()
        made = self.submit_all(
            NewJobs("app:task", "default", ["[]"] * 3), new(parents=(Parent(stored), Parent(place=2)))
        )
        self.assertEqual(self.reports.parents(made[3].id), [stored, made[2].id])

    def test_an_unknown_parent_is_refused_and_nothing_is_stored(self) -> None:
        gone = self.enqueue()
        self.store.delete(gone)
        for parent in (gone, gone + 100):
            with self.assertRaisesRegex(JobNotFound, f"no job {parent} to wait for"):
                self.submit_all(new(), new(unique_key="k"), new(parents=after(parent)))
        self.assertEqual((self.all_jobs(), self.look("SELECT * FROM litequeue_edge")), ([], []))

    def test_parents_can_not_be_forward(self) -> None:
        with self.assertRaises(IndexError):
            self.submit_all(new(parents=behind(1)), new())
        self.assertEqual(self.all_jobs(), [])

    def test_a_limited_child_waits_for_both(self) -> None:
        holder = self.limit("l", Rule(max_running=1))
        (running,) = self.claim()
        parent = self.enqueue(queue="other")
        child = self.add(parents=after(parent), limit_key="l")
        self.run_and("complete", parent, queue="other")
        self.assertEqual(self.claim(), [])
        self.assertEqual((self.job(child).state, self.job(child).pending), ("blocked", 0))
        self.complete(running.lease)
        self.assertEqual((running.lease.job, self.claimed_ids()), (holder, [child]))


class Results(FlowCase):
    def received(self, child: int) -> tuple[object, ...]:
        (job,) = (each for each in self.claim(9) if each.lease.job == child)
        assert job.received is not None
        return job.received.results

    def test_of_one(self) -> None:
        parent = self.enqueue()
        child = self.add(parents=after(parent, passes=True), takes="one")
        self.run_and("complete", parent)
        (job,) = self.claim()
        assert job.received is not None
        self.assertEqual((job.lease.job, job.received.is_list), (child, False))
        self.assertEqual(job.received.results, (('"done"', "json"),))

    def test_of_many_in_the_order_of_the_parents(self) -> None:
        parents = [self.enqueue() for _ in range(4)]
        order = [parents[2], parents[0], parents[2], parents[3]]
        child = self.add(parents=(*after(*order, passes=True), *after(parents[1])), takes="all")
        for lease in [job.lease for job in reversed(self.claim(9))]:
            self.store.settle(Complete(lease, str(lease.job), "json"))
        self.assertEqual(self.received(child), tuple((str(id), "json") for id in order))

    def test_nothing_and_much(self) -> None:
        parents = [self.enqueue() for _ in range(3)]
        child = self.add(parents=after(*parents, passes=True), takes="all")
        bodies = dict(zip(parents, (None, LARGE, "1"), strict=True))
        for job in self.claim(9):
            body = bodies[job.lease.job]
            self.store.settle(Complete(job.lease, body, None if body is None else "json"))
        self.assertEqual(self.received(child), ((None, None), (LARGE, "json"), ("1", "json")))

    def test_of_parents_that_did_not_complete_there_is_none(self) -> None:
        parents = [self.enqueue() for _ in range(6)]
        child = self.add(parents=after(*parents, passes=True, runs_on="end"), takes="all")
        for ending, parent in zip(("complete", "fail", "cancel", "complete"), parents, strict=False):
            self.run_and(ending, parent)
        self.store.cancel(parents[4])
        self.store.delete(parents[5])
        self.store.delete(parents[1])
        self.assertEqual(self.claim(9, total=0), [])
        done, none = ('"done"', "json"), (None, None)
        self.assertEqual(self.received(child), (done, none, none, done, none, none))

    def test_they_are_passed_again_at_every_attempt(self) -> None:
        parent = self.enqueue()
        child = self.add(parents=after(parent, passes=True), takes="one")
        self.run_and("complete", parent)
        for ending in ("try again", "snooze", "release", "crash", "fail"):
            self.run_and(ending, child)
            if ending == "fail":
                self.store.retry(child)
        self.assertEqual(self.received(child), (('"done"', "json"),))

    def test_a_result_that_is_waited_for_is_kept(self) -> None:
        one, other = self.enqueue(retention=0), self.enqueue(queue="other")
        child = self.add(parents=after(one, other, passes=True), takes="all")
        self.run_and("complete", one)
        self.assertEqual(self.store.prune(), 0)
        with self.assertRaisesRegex(NotAllowed, "waits for its result"):
            self.store.delete(one)
        self.assertEqual(self.store.delete_all(Filter(ids=(one,))), 0)
        self.run_and("complete", other, queue="other")
        self.run_and("try again", child)
        self.assertEqual(self.store.prune(), 0)
        self.assertEqual(len(self.received(child)), 2)
        self.assertEqual(self.store.prune(), 0)

    def test_and_goes_when_it_was_taken(self) -> None:
        parent = self.enqueue(retention=0)
        child = self.add(parents=after(parent, passes=True), takes="one")
        self.run_and("complete", parent)
        self.run_and("complete", child)
        self.assertEqual(self.store.prune(), 1)
        self.assertEqual(self.look("SELECT child, parent FROM litequeue_edge"), [(child, parent)])
        self.store.delete(child)
        self.assertEqual(self.look("SELECT * FROM litequeue_edge"), [])

    def test_one_that_nobody_takes_is_not_kept(self) -> None:
        parent, other = self.enqueue(retention=0), self.enqueue(queue="other")
        child = self.add(parents=after(parent, other))
        self.run_and("complete", parent)
        self.assertEqual(self.store.prune(), 1)
        self.assertEqual((self.job(child).pending, self.reports.parents(child)), (1, [other]))
        self.run_and("complete", other, queue="other")
        self.assertEqual(self.claimed_ids(), [child])


class Gone(FlowCase):
    """Parents that are deleted or pruned."""

    def test_of_many_at_once(self) -> None:
        parents = self.store.enqueue([NewJobs("app:task", "default", ["[]"] * 50)])
        child = self.add(queue="children", parents=after(*parents))
        anyhow = self.add(queue="children", parents=after(*parents, runs_on="end"))
        self.assertEqual(self.store.delete_all(Filter(queue="default")), 50)
        self.assert_state(child, State.CANCELLED, "parent")
        self.assertEqual(self.claimed_ids(queue="children"), [anyhow])

    def test_a_whole_graph(self) -> None:
        self.submit_all(new(), new(parents=behind(0)), new(parents=behind(0, 1, passes=True), takes="all"))
        self.assertEqual(self.store.delete_all(Filter()), 3)
        for table in ("job", "edge", "blob", "hold"):
            self.assertEqual(self.look(f"SELECT * FROM litequeue_{table}"), [])

    def test_one_that_failed_after_its_children_were_told(self) -> None:
        parent = self.enqueue(retention=0)
        child, other = (
            self.add(queue="c", parents=after(parent)),
            self.add(queue="c", parents=after(parent, runs_on="failure")),
        )
        self.run_and("fail", parent)
        self.assertEqual(self.store.prune(), 1)
        self.assertEqual(self.claimed_ids(queue="c"), [other])
        self.assert_state(child, State.CANCELLED, "parent")
        self.assertEqual(self.job(child).message, f"job {parent} failed")

    def test_a_child_that_runs_is_not_disturbed(self) -> None:
        parent = self.enqueue(retention=0)
        child = self.add(parents=after(parent, runs_on="failure"))
        self.run_and("fail", parent)
        lease = self.claim_one()
        self.store.prune()
        self.complete(lease)
        self.assert_state(child, State.COMPLETED)


class Cancelling(FlowCase):
    def tree(self) -> list[int]:
        """0 - 1 - 3, 0 - 2 - 3, 3 -(end)- 4; 5 is apart."""
        return [
            each.id
            for each in self.submit_all(
                new(),
                new(parents=behind(0)),
                new(parents=behind(0, runs_on="end")),
                new(parents=behind(1, 2, runs_on="end")),
                new(parents=behind(3, runs_on="end")),
                new(queue="other"),
            )
        ]

    def test_alone_it_takes_those_along_that_wanted_its_success(self) -> None:
        ids = self.tree()
        self.store.cancel(ids[0])
        self.assertEqual(self.states(ids), ["cancelled", "cancelled", "ready", "blocked", "blocked", "ready"])
        self.assert_state(ids[1], State.CANCELLED, "parent")

    def deep(self, *, levels: int = 12) -> list[int]:
        """A chain deeper than one transaction ends."""
        chain = [new(parents=behind(place - 1) if place else ()) for place in range(levels)]
        return [each.id for each in self.submit_all(*chain)]

    def test_it_takes_along_what_is_deeper_than_one_transaction_ends(self) -> None:
        for verb in (
            self.store.cancel,
            lambda id: self.store.cancel_all(Filter(ids=(id,))),
            lambda id: self.store.cancel_unstarted([id]),
            self.store.delete,
            lambda id: self.store.delete_all(Filter(ids=(id,))),
        ):
            ids = self.deep()
            with patch("litequeue.storage.flow.CASCADE", 3):
                verb(ids[0])
            self.assertEqual(self.states(ids[1:]), ["cancelled"] * 11)

    def test_so_it_does_on_a_connection_of_the_callers_own(self) -> None:
        ids = self.deep()
        with (
            closing(sqlite3.connect(self.store.database.path)) as connection,
            connection,
            patch("litequeue.storage.flow.CASCADE", 3),
        ):
            self.store.cancel(ids[0], connection=connection)
        self.assertEqual(self.states(ids), ["cancelled"] * 12)

    def test_no_transaction_ends_more_levels_than_its_bound(self) -> None:
        ids = self.deep()
        ended: list[int] = []

        def counted(connection: sqlite3.Connection, now: int) -> list[int]:
            expired = expire(connection, now)
            ended.append(len(expired))
            return expired

        expire = flow.expire
        with patch.object(flow, "expire", counted), patch.object(flow, "CASCADE", 3):
            self.store.cancel(ids[0])
        self.assertEqual((sum(ended), max(ended)), (11, 3))

    def test_as_a_tree_it_takes_all_below(self) -> None:
        ids = self.tree()
        self.assertEqual(self.store.cancel_tree(ids[0], "enough"), 5)
        self.assertEqual(self.states(ids), ["cancelled"] * 5 + ["ready"])
        self.assertEqual(
            {(self.job(id).reason, self.job(id).message) for id in ids[:5]}, {("cancelled", "enough")}
        )
        self.assertEqual(self.claimed_ids(), [])

    def test_a_tree_of_which_some_has_ended_and_some_runs(self) -> None:
        ids = self.tree()
        self.run_and("complete", ids[0])
        self.run_and("complete", ids[1])
        lease = self.claim_one()
        self.assertEqual((lease.job, self.store.cancel_tree(ids[0])), (ids[2], 3))
        self.assertEqual(
            self.states(ids[:5]), ["completed", "completed", "running", "cancelled", "cancelled"]
        )
        self.complete(lease)
        self.assert_state(ids[2], State.CANCELLED, "cancelled")
        self.assertEqual(self.claimed_ids(), [])

    def test_in_a_tree_nobody_is_cancelled_because_of_another(self) -> None:
        """The last waits for the first, and for the end of a line below it."""
        jobs = [new(), new(parents=behind(0)), new(parents=behind(1)), new(parents=behind(0, 2))]
        ids = [each.id for each in self.submit_all(*jobs)]
        self.assertEqual(self.store.cancel_tree(ids[0]), 4)
        self.assertEqual([self.job(id).reason for id in ids], ["cancelled"] * 4)

    def test_a_tree_of_nothing(self) -> None:
        with self.assertRaises(JobNotFound):
            self.store.cancel_tree(7)
        self.run_and("complete", id := self.enqueue())
        with self.assertRaisesRegex(NotAllowed, f"job {id} is completed"):
            self.store.cancel_tree(id)


class Retrying(FlowCase):
    def failed(self, **values: object) -> tuple[int, list[int]]:
        """A parent that failed, and below it a line of three that were cancelled with it."""
        jobs = [new(), *(new(parents=behind(place, **values)) for place in range(3))]
        parent, *line = (each.id for each in self.submit_all(*jobs))
        self.run_and("fail", parent)
        self.sweep()
        self.assertEqual(self.states(line), ["cancelled"] * 3)
        return parent, line

    def test_a_parent_revives_all_that_were_cancelled_because_of_it(self) -> None:
        parent, line = self.failed()
        self.store.retry(parent)
        self.assertEqual(self.states([parent, *line]), ["ready", *["blocked"] * 3])
        self.assertEqual([self.job(id).pending for id in line], [1, 1, 1])
        self.assertEqual(self.drain(), [parent, *line])

    def test_neither_it_nor_they_expire_any_more(self) -> None:
        expires_at = self.in_seconds(5)
        jobs = (new(expires_at=expires_at), new(expires_at=expires_at, parents=behind(0)))
        parent, child = (each.id for each in self.submit_all(*jobs))
        self.run_and("fail", parent)
        self.store.retry(parent)
        self.clock.advance(6)
        self.assertEqual(self.drain(), [parent, child])

    def test_also_before_a_claim_has_cancelled_them(self) -> None:
        parent, *line = (
            each.id for each in self.submit_all(new(), *(new(parents=behind(n)) for n in range(3)))
        )
        self.run_and("fail", parent)
        self.store.retry(parent)
        self.assertEqual(self.states(line), ["blocked"] * 3)
        self.assertEqual(self.drain(), [parent, *line])

    def test_and_when_only_some_of_a_long_line_were_cancelled(self) -> None:
        parent, *line = (
            each.id for each in self.submit_all(new(), *(new(parents=behind(n)) for n in range(250)))
        )
        self.run_and("fail", parent)
        self.sweep()
        self.assertEqual(set(self.states(line)), {"cancelled", "blocked", "ready"})
        self.store.retry(parent)
        self.assertEqual(self.drain(), [parent, *line])

    def test_with_the_results_that_it_then_has(self) -> None:
        parent, line = self.failed(passes=True)
        self.store.retry(parent)
        self.assertEqual(self.drain(), [parent, *line])

    def test_those_that_somebody_cancelled_stay_so(self) -> None:
        parent, middle, last = (
            each.id for each in self.submit_all(new(), new(parents=behind(0)), new(parents=behind(1)))
        )
        self.store.cancel(middle)
        self.run_and("fail", parent)
        self.store.retry(parent)
        self.sweep()
        self.assert_state(middle, State.CANCELLED, "cancelled")
        self.assert_state(last, State.CANCELLED, "parent")

    def test_a_child_that_another_parent_doomed_stays_so(self) -> None:
        one, other = self.enqueue(), self.enqueue()
        child = self.add(parents=after(one, other))
        self.run_and("fail", one)
        self.run_and("fail", other)
        self.store.retry(one)
        self.sweep()
        self.assert_state(child, State.CANCELLED, "parent")
        self.store.retry(other)
        self.assertEqual((self.job(child).state, self.job(child).pending), ("blocked", 2))
        self.assertEqual(self.drain(), [one, other, child])

    def test_what_another_parent_doomed_that_is_gone_stays_so(self) -> None:
        for is_deleted_in_time in (True, False):
            one, other = self.enqueue(), self.enqueue()
            child = self.add(parents=after(one, other))
            if not is_deleted_in_time:
                self.run_and("fail", other)
            self.store.delete(other)
            self.run_and("fail", one)
            self.store.retry(one)
            self.sweep()
            self.assert_state(child, State.CANCELLED, "parent")

    def test_nothing_is_left_blocked_by_nobody(self) -> None:
        """A child below one that stays cancelled, whose own other parent is gone."""
        root, gone = self.enqueue(), self.enqueue()
        middle = self.add(parents=after(root))
        child = self.add(parents=(*after(middle, runs_on="end"), *after(gone)))
        self.store.delete(gone)
        self.store.cancel(middle)
        self.run_and("fail", root)
        self.store.retry(root)
        self.sweep()
        self.drain()
        self.assertNotIn(self.job(child).state, ("blocked", "ready", "scheduled"))

    def test_a_cancelled_child_waits_for_its_parents_again(self) -> None:
        one, other = self.enqueue(), self.enqueue()
        child = self.add(parents=after(one, other, passes=True), takes="all")
        self.store.cancel(child)
        self.run_and("complete", one)
        self.store.retry(child)
        self.assertEqual((self.job(child).state, self.job(child).pending), ("blocked", 1))
        self.run_and("complete", other)
        self.assertEqual(self.claimed_ids(), [child])

    def test_who_waits_for_others_as_well_waits_for_it_again(self) -> None:
        for wish in ("end", "failure"):
            one, other, third = (self.enqueue(queue=queue) for queue in ("a", "b", "c"))
            child = self.add(parents=after(one, other, third, runs_on=wish))
            self.run_and("fail", one, queue="a")
            self.assertEqual(self.job(child).pending, 2)
            self.store.retry(one)
            self.assertEqual((self.job(child).state, self.job(child).pending), ("blocked", 3))
            for parent, queue in ((one, "a"), (other, "b"), (third, "c")):
                self.assert_state(child, State.BLOCKED)
                self.run_and("fail", parent, queue=queue)
            self.assertEqual(self.claimed_ids(), [child])

    def test_who_waits_for_one_that_is_revived_waits_for_it_again(self) -> None:
        root, other = self.enqueue(), self.enqueue(queue="other")
        middle = self.add(parents=after(root))
        child = self.add(parents=after(middle, other, runs_on="end"), expires_at=self.in_seconds(60))
        self.run_and("fail", root)
        self.sweep()
        self.store.retry(root)
        self.assertEqual((self.job(child).pending, self.job(child).expires_at), (2, self.in_seconds(60)))
        self.assertEqual(self.drain("default", "other"), [root, other, middle, child])

    def test_who_waits_no_more_is_left_alone(self) -> None:
        parent = self.enqueue()
        child = self.add(parents=after(parent, runs_on="end"), run_at=self.in_seconds(5))
        self.run_and("fail", parent)
        self.store.retry(parent)
        self.assert_state(child, State.SCHEDULED)
        self.run_and("complete", parent)
        self.clock.advance(5)
        self.assertEqual(self.claimed_ids(), [child])

    def test_a_rescue_under_a_limit_is_kept_when_its_parent_completes_after_all(self) -> None:
        parent = self.enqueue(queue="other")
        rescue = self.add(parents=after(parent, runs_on="failure"), limit_key="l", rule=Rule(max_running=1))
        self.limit("l", Rule(max_running=1), priority=1)
        self.claim_one()
        self.run_and("fail", parent, queue="other")
        self.claim()
        self.store.retry(parent)
        self.run_and("complete", parent, queue="other")
        self.assertEqual(
            self.look("SELECT state, retention FROM litequeue_job WHERE id = ?", rescue), [("blocked", None)]
        )

    def test_a_limited_one_that_waits_again_is_not_stuck(self) -> None:
        """It has to count its parents, or its limit would never let it go."""
        parent = self.enqueue()
        child = self.add(parents=after(parent), limit_key="l", rule=Rule(max_running=1))
        self.store.cancel(child)
        self.store.retry(child)
        self.limit("l", Rule(max_running=1), priority=5)
        self.assertEqual(self.drain(), [3, parent, child])

    def test_a_child_of_one_that_failed_runs_if_an_operator_says_so(self) -> None:
        _, (child, *_) = self.failed()
        self.store.retry(child)
        self.assertEqual(self.claimed_ids(), [child])

    def test_but_not_without_the_result_that_it_takes(self) -> None:
        parent, (child, *_) = self.failed(passes=True)
        with self.assertRaisesRegex(NotAllowed, "result"):
            self.store.retry(child)
        self.assertEqual(self.store.retry_all(Filter(ids=(child,))), 0)
        self.assert_state(child, State.CANCELLED, "parent")
        self.store.delete(parent)
        with self.assertRaisesRegex(NotAllowed, "result"):
            self.store.retry(child)

    def test_a_child_whose_parent_was_pruned_since_it_failed(self) -> None:
        parent = self.enqueue(retention=0)
        child = self.add(parents=after(parent, passes=True), takes="one")
        self.run_and("complete", parent)
        self.run_and("fail", child)
        self.store.delete(parent)
        with self.assertRaisesRegex(NotAllowed, "result"):
            self.store.retry(child)

    def test_a_result_is_kept_for_what_might_be_tried_again_with_it(self) -> None:
        one, other = self.enqueue(retention=0), self.enqueue(queue="other")
        child = self.add(parents=after(one, other, passes=True), takes="all")
        self.run_and("complete", one)
        self.run_and("fail", other, queue="other")
        self.sweep()
        self.assert_state(child, State.CANCELLED, "parent")
        self.assertEqual(self.store.prune(), 0)
        self.store.retry(other)
        self.run_and("complete", other, queue="other")
        (job,) = self.claim()
        self.assertEqual((job.lease.job, job.received and len(job.received.results)), (child, 2))

    def test_and_no_longer_than_that_is_kept_itself(self) -> None:
        parent = self.enqueue(retention=0)
        child = self.add(parents=after(parent, passes=True), takes="one", retention=9 * SECOND)
        self.run_and("complete", parent)
        self.run_and("fail", child)
        self.assertEqual(self.store.prune(), 0)
        self.clock.advance(9)
        self.assertEqual((self.store.prune(), self.store.prune()), (1, 1))

    def test_a_cancelled_child_whose_parent_has_come_and_gone(self) -> None:
        parent = self.enqueue(retention=0)
        child = self.add(parents=after(parent))
        self.store.cancel(child)
        self.run_and("complete", parent)
        self.assertEqual(self.store.prune(), 1)
        self.store.retry(child)
        self.assertEqual((self.job(child).state, self.job(child).pending), ("ready", 0))
        self.assertEqual(self.claimed_ids(), [child])

    def test_whoever_takes_what_there_is_is_tried_again_without(self) -> None:
        parent = self.enqueue(retention=0)
        child = self.add(parents=after(parent, passes=True, runs_on="end"), takes="one")
        self.run_and("fail", parent)
        self.run_and("fail", child)
        self.store.prune()
        self.store.retry(child)
        (job,) = self.claim()
        self.assertEqual(job.received and job.received.results, ((None, None),))

    def test_everything_that_failed_at_once(self) -> None:
        parent, line = self.failed(passes=True)
        self.assertEqual(self.store.retry_all(Filter(state=State.FAILED)), 1)
        self.assertEqual(self.drain(), [parent, *line])

    def test_everything_that_was_cancelled_at_once(self) -> None:
        ids = [
            each.id
            for each in self.submit_all(new(), *(new(parents=behind(n, passes=True)) for n in range(3)))
        ]
        self.store.cancel_tree(ids[0])
        self.store.retry_all(Filter(state=State.CANCELLED))
        self.assertEqual(self.drain(), ids)


class Long(FlowCase):
    """As long as a person would hardly write, and a program easily does."""

    LENGTH = 3000

    def line(self) -> list[int]:
        jobs = [new(), *(new(parents=behind(place)) for place in range(self.LENGTH - 1))]
        return [each.id for each in self.submit_all(*jobs)]

    def all_ended(self) -> list[tuple[str, str, int]]:
        return self.look(
            "SELECT state, coalesce(reason, ''), count(*) FROM litequeue_job GROUP BY 1, 2 ORDER BY 1, 2"
        )

    def test_a_chain_whose_first_fails(self) -> None:
        ids = self.line()
        self.run_and("fail", ids[0])
        for _ in range(100):
            if not self.store.is_work_waiting(["nothing"]):
                break
            self.sweep()
        self.assertEqual(self.all_ended(), [("cancelled", "parent", 2999), ("failed", "error", 1)])

    def test_a_chain_whose_first_is_cancelled(self) -> None:
        ids = self.line()
        self.store.cancel(ids[0])
        while self.store.is_work_waiting(["nothing"]):
            self.sweep()
        self.assertEqual(self.all_ended(), [("cancelled", "cancelled", 1), ("cancelled", "parent", 2999)])
        self.store.retry(ids[0])
        self.assertEqual(self.all_ended(), [("blocked", "", 2999), ("ready", "", 1)])

    def test_a_chain_cancelled_as_a_tree(self) -> None:
        ids = self.line()
        self.assertEqual(self.store.cancel_tree(ids[0]), 3000)
        self.assertEqual(self.all_ended(), [("cancelled", "cancelled", 3000)])

    def test_a_chain_of_which_all_is_deleted_from_the_front(self) -> None:
        ids = self.line()
        self.assertEqual(self.store.delete_all(Filter(ids=tuple(ids))), 3000)
        self.assertEqual(self.all_ended(), [])
