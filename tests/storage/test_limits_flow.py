"""How much may run at once and start in a time, and that nobody is stuck for it."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import pairwise

from litequeue.job import Complete, Fail, Lease, Release, Rule, State, Turn, Want
from litequeue.storage.limits import SLACK
from tests.storage.engines import ERROR
from tests.storage.flows import SECOND, FlowCase, after, new

ONE = Rule(max_running=1)


def per(count: int, seconds: float, burst: int | None = None, most: int | None = None) -> Rule:
    """So many in any time that is as long as so many seconds, by the instants of their claims."""
    return Rule(most, count, round(seconds * SECOND) - SLACK, burst)


class AtOnce(FlowCase):
    """`max_running`: counted from what runs."""

    def test_no_more_than_so_many(self) -> None:
        ids = [self.limit("l", Rule(max_running=3)) for _ in range(10)]
        first = self.claim(10)
        self.assertEqual([job.lease.job for job in first], ids[:3])
        self.assertEqual(self.states(ids[3:]), ["blocked"] * 7)
        self.complete(first[0].lease)
        self.assertEqual(self.claimed_ids(), ids[3:4])
        self.settle(*(Complete(job.lease) for job in first[1:]))
        self.assertEqual(self.claimed_ids(), ids[4:6])

    def test_across_queues_tasks_and_workers(self) -> None:
        for queue, task in (("a", "app:x"), ("b", "app:x"), ("b", "app:y"), ("c", "app:z")):
            self.limit("l", Rule(max_running=2), queue=queue, task=task)
        other = self.sign_on("other")
        self.assertEqual(self.claimed_ids(queue="b"), [2, 3])
        self.assertEqual(self.claimed_ids(queue="a", worker=other), [])
        self.assertEqual(self.claimed_ids(queue="c"), [])
        self.complete(Lease(3, 1))
        self.assertEqual(self.claimed_ids(queue="c", worker=other), [4])
        self.assertEqual(self.claimed_ids(queue="a"), [])
        self.complete(Lease(2, 1))
        self.assertEqual(self.claimed_ids(queue="a"), [1])

    def test_in_one_claim_from_many_queues(self) -> None:
        for queue in "abab":
            self.limit("l", ONE, queue=queue)
        claim = self.store.claim(self.worker, [Want("a", 5, 5), Want("b", 5, 5)])
        self.assertEqual([job.lease.job for job in claim.jobs], [1])

    def test_each_key_for_itself(self) -> None:
        for key in "xyxy":
            self.limit(key, ONE)
        self.assertEqual(self.claimed_ids(), [1, 2])

    def test_in_the_order_of_the_queue(self) -> None:
        ids = [self.limit("l", ONE, priority=priority) for priority in (0, 1, 0, 2)]
        plain = self.enqueue()
        order: list[int] = []
        while claimed := self.claim(9):
            order += [job.lease.job for job in claimed]
            self.settle(*(Complete(job.lease) for job in claimed))
        order.remove(plain)
        self.assertEqual(order, [ids[3], ids[1], ids[0], ids[2]])

    def test_who_comes_later_does_not_overtake_who_waits(self) -> None:
        ids = [self.limit("l", ONE) for _ in range(3)]
        for place in range(3):
            (job,) = self.claim(9)
            self.assertEqual(job.lease.job, ids[place])
            self.limit("l", ONE)
            self.complete(job.lease)

    def test_a_limited_job_never_waits_in_a_worker(self) -> None:
        ids = [self.limit("l", Rule(max_running=5)) for _ in range(5)]
        self.assertEqual(
            [(job.lease.job, job.started) for job in self.claim(5, start=2)], [(id, True) for id in ids[:2]]
        )

    def test_coroutines_count_too(self) -> None:
        ids = [self.limit("l", Rule(max_running=2)) for _ in range(4)]
        self.assertEqual(self.claimed_ids(1, coroutines=frozenset({"app:task"}), slots=10), ids[:2])

    def test_every_end_makes_room(self) -> None:
        for ending in ("complete", "fail", "try again", "snooze", "release", "crash", "cancel"):
            with self.subTest(ending):
                one, two = self.limit("l", ONE, priority=2), self.limit("l", ONE, priority=1)
                self.run_and(ending, one)
                self.assertIn(two if ending in ("complete", "fail", "cancel") else one, self.claimed_ids())
                for id in (one, two):
                    self.end(id)

    def end(self, id: int) -> None:
        job = self.job(id)
        if job.state == "running":
            self.complete(Lease(id, job.attempt))
        elif job.finished_at is None:
            self.store.cancel(id)

    def test_a_task_that_completes_in_its_transaction_makes_room(self) -> None:
        one, two = self.limit("l", ONE), self.limit("l", ONE)
        (job,) = self.claim(2)
        self.assertTrue(self.settle_in_transaction(job.lease))
        self.assertEqual((job.lease.job, self.claimed_ids()), (one, [two]))

    def test_a_crash_leaks_nothing(self) -> None:
        ids = [self.limit("l", Rule(max_running=2), max_crashes=99) for _ in range(4)]
        for _ in range(5):
            self.assertEqual(len(self.claim(9)), 2)
            self.assertEqual(self.claim(9, worker=self.sign_on()), [])
            self.die()
            self.assertEqual(self.workers.reap(), 2)
        self.assertEqual(sorted(self.drain()), ids)

    def test_a_worker_that_signs_off_leaks_nothing(self) -> None:
        ids = [self.limit("l", ONE) for _ in range(2)]
        self.claim(1)
        self.claim(1)
        self.workers.sign_off(self.worker)
        self.worker = self.sign_on()
        self.assertEqual(self.drain(), ids)

    def test_a_row_deleted_by_hand_makes_room(self) -> None:
        one, two = self.limit("l", ONE), self.limit("l", ONE)
        self.claim(2)
        self.store.database.write(
            lambda c: c.execute("DELETE FROM litequeue_job WHERE id = ?", (one,)).rowcount
        )
        self.assertEqual(self.claimed_ids(), [two])

    def test_a_key_without_a_rule_is_no_limit(self) -> None:
        ids = [self.add(limit_key="l") for _ in range(5)]
        self.assertEqual(self.claimed_ids(), ids)

    def test_a_key_whose_rule_another_job_brought(self) -> None:
        self.limit("l", ONE)
        self.add(limit_key="l")
        self.assertEqual(len(self.claim(9)), 1)


class ChangedRules(FlowCase):
    def test_more_room_is_used_at_once(self) -> None:
        ids = [self.limit("l", ONE) for _ in range(5)]
        self.assertEqual(self.claimed_ids(), ids[:1])
        last = self.limit("l", Rule(max_running=4))
        self.assertEqual(self.claimed_ids(), ids[1:4])
        self.assert_state(last, State.BLOCKED)

    def test_less_room_holds_from_now_on(self) -> None:
        ids = [self.limit("l", Rule(max_running=4)) for _ in range(8)]
        running = self.claim(9)
        self.limit("l", Rule(max_running=2))
        for job in running:
            self.complete(job.lease)
        self.assertEqual(self.claimed_ids(), ids[4:6])

    def test_a_rate_instead_of_a_number(self) -> None:
        ids = [self.limit("l", ONE) for _ in range(4)]
        self.assertEqual(self.claimed_ids(), ids[:1])
        self.limit("l", per(2, 10))
        self.assertEqual(self.claimed_ids(), ids[1:3])
        self.assertEqual(self.claimed_ids(), [])
        self.clock.advance(10)
        self.assertEqual(len(self.claim(9)), 2)

    def test_a_faster_rate_is_used_at_once(self) -> None:
        ids = [self.limit("l", per(1, 3600)) for _ in range(3)]
        self.assertEqual(self.claimed_ids(), ids[:1])
        self.assertEqual(self.claimed_ids(), [])
        self.clock.advance(10)
        self.limit("l", per(1, 10))
        self.assertEqual(self.claimed_ids(), ids[1:2])

    def test_the_same_rule_again_writes_nothing(self) -> None:
        self.limit("l", ONE)
        self.claim(1)
        self.limit("l", ONE)
        self.claim(1)
        before = self.look("SELECT * FROM litequeue_hold")
        self.limit("l", ONE)
        self.assertEqual((self.look("SELECT * FROM litequeue_hold"), len(before)), (before, 1))


class InATime(FlowCase):
    """`rate`: exact over any window, by the instants of the claims."""

    def starts(self, rule: Rule, seconds: float, seed: int, key: str = "l") -> list[int]:
        """When jobs started that came at random instants, and were claimed at random instants."""
        chance = random.Random(seed)
        found: list[int] = []
        end = self.in_seconds(seconds)
        while self.clock.now() < end:
            for _ in range(chance.choice((0, 0, 1, 1, 7))):
                self.limit(key, rule, task=key, queue=chance.choice("ab"), priority=chance.randrange(2))
            for queue in "ab":
                claimed = self.claim(chance.choice((1, 5, 50)), queue=queue)
                found += [self.clock.now() for job in claimed if job.task == key]
                self.settle(*(self.ending(chance, job.lease) for job in claimed))
            self.clock.advance(chance.choice((0, 0.001, 0.01, 0.1, 0.3)))
        return found

    def ending(self, chance: random.Random, lease: Lease) -> Complete | Fail | Release:
        later = self.in_seconds(chance.random())
        return chance.choice((Complete(lease), Complete(lease), Fail(lease, ERROR, later), Release(lease)))

    def assert_no_window_holds_more(self, starts: list[int], count: int, period: int) -> None:
        """In any time as long as the period: from one start to the `count`th after it is at least that."""
        self.assertGreater(len(starts), count)
        for first, last in zip(starts, starts[count:], strict=False):
            self.assertGreaterEqual(last - first, period)

    def test_a_rate_at_random(self) -> None:
        for seed, (count, seconds) in enumerate(((1, 1), (10, 1), (3, 0.1), (7, 5))):
            rule = per(count, seconds)
            starts = self.starts(rule, 25, seed, key=f"l{seed}")
            self.assert_no_window_holds_more(starts, count, round(seconds * SECOND))

    def test_a_burst_at_random(self) -> None:
        rule = Rule(rate_count=20, rate_period=2 * SECOND, burst=4)
        starts = self.starts(rule, 25, 77)
        self.assert_no_window_holds_more(starts, 20, 2 * SECOND + SLACK)
        self.assert_no_window_holds_more(starts, 4, 2 * SECOND * 4 // 20)

    def test_the_rate_is_used_up(self) -> None:
        """With enough to do, as many start as may, to the very microsecond."""
        for _ in range(40):
            self.limit("l", per(5, 10))
        taken = []
        for _ in range(4):
            taken.append(len(self.claim(50)))
            self.clock.advance(9.999999)
            taken.append(len(self.claim(50)))
            self.clock.advance(0.000001)
        self.assertEqual(taken, [5, 0] * 4)

    def test_a_worker_learns_when_to_look_again(self) -> None:
        for _ in range(3):
            self.limit("l", per(1, 10))
        self.claim(9)
        self.assertEqual(self.store.next_due(["default"]), self.in_seconds(10))
        self.assertFalse(self.store.is_work_waiting(["default"]))
        self.clock.advance(10)
        self.assertTrue(self.store.is_work_waiting(["default"]))
        self.assertEqual(len(self.claim(9)), 1)

    def test_each_start_that_leaves_the_window_makes_room(self) -> None:
        for _ in range(6):
            self.limit("l", per(2, 10))
        taken = []
        for _ in range(23):
            taken.append(len(self.claim(1)))
            self.clock.advance(1)
        self.assertEqual([second for second, jobs in enumerate(taken) if jobs], [0, 1, 10, 11, 20, 21])

    def test_evenly_with_a_burst_of_one(self) -> None:
        for _ in range(10):
            self.limit("l", Rule(rate_count=10, rate_period=SECOND, burst=1))
        at = []
        for _ in range(1000):
            at += [self.clock.now()] * len(self.claim(9))
            self.clock.advance(0.001)
        self.assertEqual([late - early for early, late in pairwise(at)], [100_000] * 9)

    def test_with_a_number_as_well(self) -> None:
        for _ in range(10):
            self.limit("l", per(4, 10, most=2))
        first = self.claim(9)
        self.settle(*(Complete(job.lease) for job in first))
        second = self.claim(9)
        self.settle(*(Complete(job.lease) for job in second))
        self.assertEqual([len(first), len(second), len(self.claim(9))], [2, 2, 0])
        self.clock.advance(10)
        self.assertEqual(len(self.claim(9)), 2)

    def test_a_start_counts_whatever_becomes_of_it(self) -> None:
        for ending in ("fail", "release", "crash", "cancel", "snooze"):
            with self.subTest(ending):
                self.setUp()
                one, _ = self.limit("l", per(1, 100), max_crashes=9), self.limit("l", per(1, 100))
                self.run_and(ending, one)
                self.assertEqual(self.claimed_ids(), [])
                self.clock.advance(100)
                self.assertEqual(len(self.claim(9)), 1)

    def test_starts_of_one_job_at_one_instant_count_each(self) -> None:
        self.limit("l", per(3, 100))
        taken = []
        for _ in range(5):
            claimed = self.claim(9)
            taken.append(len(claimed))
            self.settle(*(Release(job.lease) for job in claimed))
        self.assertEqual(taken, [1, 1, 1, 0, 0])

    def test_a_clock_that_is_set_back_delays_at_the_most(self) -> None:
        ids = [self.limit("l", per(1, 10)) for _ in range(4)]
        self.assertEqual(self.claimed_ids(), ids[:1])
        self.clock.set_wall(datetime.fromtimestamp(self.clock.now() / SECOND - 3600, UTC))
        done = self.claimed_ids()
        for _ in range(400):
            self.clock.advance(10)
            done += self.claimed_ids()
        self.assertEqual(done, ids[1:])

    def test_old_starts_are_forgotten(self) -> None:
        for _ in range(5):
            self.limit("l", per(2, 10))
            self.drain()
            self.clock.advance(10)
        self.assertEqual(len(self.look("SELECT * FROM litequeue_start")), 1)

    def test_and_all_of_them_when_no_rate_counts_them(self) -> None:
        self.limit("l", per(2, 10))
        self.store.limit("default", per(2, 10))
        self.drain()
        self.assertEqual(len(self.look("SELECT * FROM litequeue_start")), 2)
        self.limit("l", ONE)
        self.store.limit("default", Rule())
        self.assertEqual(self.look("SELECT * FROM litequeue_start"), [])


class OfAQueue(FlowCase):
    """A limit of the queue as a whole."""

    def test_at_once(self) -> None:
        self.store.limit("q", Rule(max_running=2))
        ids = [self.enqueue(queue="q") for _ in range(5)]
        first = self.claim(9, queue="q")
        self.assertEqual([job.lease.job for job in first], ids[:2])
        self.assertEqual(self.claimed_ids(queue="q", worker=self.sign_on()), [])
        self.complete(first[0].lease)
        self.assertEqual(self.claimed_ids(queue="q"), ids[2:3])

    def test_none_of_them_waits_in_a_worker(self) -> None:
        self.store.limit("q", Rule(max_running=9))
        ids = [self.enqueue(queue="q") for _ in range(5)]
        self.assertEqual(self.claimed_ids(9, start=2, queue="q"), ids[:2])

    def test_in_a_time(self) -> None:
        self.store.limit("q", per(3, 10))
        ids = [self.enqueue(queue="q") for _ in range(8)]
        self.assertEqual(self.claimed_ids(queue="q"), ids[:3])
        self.clock.advance(9.9)
        self.assertEqual(self.claimed_ids(queue="q"), [])
        self.assertEqual(self.store.next_due(["q"]), self.in_seconds(0.1))
        self.clock.advance(0.1)
        self.assertEqual(self.claimed_ids(queue="q"), ids[3:6])

    def test_for_coroutines_too(self) -> None:
        self.store.limit("q", Rule(max_running=2))
        ids = [self.enqueue(queue="q") for _ in range(5)]
        found = self.claimed_ids(1, queue="q", coroutines=frozenset({"app:task"}), slots=10)
        self.assertEqual(found, ids[:2])

    def test_changed_and_lifted(self) -> None:
        ids = [self.enqueue(queue="q") for _ in range(6)]
        for rule, expected in ((ONE, ids[:1]), (Rule(max_running=3), ids[1:3]), (Rule(), ids[3:])):
            self.store.limit("q", rule)
            self.assertEqual(self.claimed_ids(queue="q"), expected)

    def test_it_is_not_the_limit_of_a_key_with_a_similar_name(self) -> None:
        self.store.limit("q", per(1, 100))
        self.enqueue(queue="q")
        self.limit("queue:q", per(1, 100))
        self.assertEqual((len(self.claim(9, queue="q")), len(self.claim(9))), (1, 1))

    def test_it_counts_only_what_was_taken(self) -> None:
        self.store.limit("q", per(2, 10))
        self.limit("l", ONE, queue="q")
        self.limit("l", ONE, queue="q")
        self.enqueue(queue="q")
        self.assertEqual(self.claimed_ids(queue="q"), [1, 3])

    def test_pausing_keeps_it_and_it_keeps_the_pause(self) -> None:
        self.store.limit("q", ONE)
        self.store.pause("q")
        self.enqueue(queue="q")
        self.store.limit("q", Rule(max_running=2))
        self.assertEqual(self.claim(9, queue="q"), [])
        self.store.resume("q")
        self.enqueue(queue="q")
        self.enqueue(queue="q")
        self.assertEqual(len(self.claim(9, queue="q")), 2)

    def test_others_are_free(self) -> None:
        self.store.limit("q", ONE)
        ids = [self.enqueue() for _ in range(3)]
        self.assertEqual(self.claimed_ids(), ids)


class NobodyIsStuck(FlowCase):
    """The one that was set free does not run after all: the next is."""

    def setUp(self) -> None:
        super().setUp()
        self.running = self.limit("l", ONE)
        self.lease = self.claim_one()
        self.next = self.limit("l", ONE, task="app:next", expires_at=self.in_seconds(50))
        self.last = self.limit("l", ONE)
        self.assertEqual(self.claim(9), [])
        self.complete(self.lease)
        self.reopen()
        self.assertEqual(self.states([self.next, self.last]), ["ready", "blocked"])

    def reopen(self) -> None:
        """A claim by a worker that knows neither task sets the next one free, and leaves it."""
        self.assertEqual(self.claim(9, known=frozenset()), [])

    def test_it_is_cancelled(self) -> None:
        self.store.cancel(self.next)
        self.assertEqual(self.claimed_ids(), [self.last])

    def test_it_is_deleted(self) -> None:
        self.store.delete(self.next)
        self.assertEqual(self.claimed_ids(), [self.last])

    def test_it_expires(self) -> None:
        self.clock.advance(50)
        self.assertEqual(self.claimed_ids(), [self.last])

    def test_it_is_parked(self) -> None:
        refused = frozenset({"app:next"})
        self.claim(1, refused=refused)
        self.assertEqual(self.claimed_ids(refused=refused), [self.last])

    def test_it_is_parked_and_revived_later(self) -> None:
        self.claim(1, refused=frozenset({"app:next"}))
        self.assertEqual(self.drain(), [self.last])
        (job,) = self.claim(9, revive=frozenset({"app:next"}))
        self.assertEqual(job.lease.job, self.next)

    def test_it_waits_for_new_parents(self) -> None:
        parent = self.enqueue(queue="other")
        self.store.database.write(
            lambda c: (
                c.execute(
                    "UPDATE litequeue_job SET unique_key = 'k', replaceable = 1 WHERE id = ?", (self.next,)
                ).rowcount
            )
        )
        self.submit(unique_key="k", on_duplicate="replace", parents=after(parent))
        self.assertEqual(self.claimed_ids(), [self.last])

    def test_it_is_put_off(self) -> None:
        self.store.database.write(
            lambda c: (
                c.execute(
                    "UPDATE litequeue_job SET unique_key = 'k', replaceable = 1 WHERE id = ?", (self.next,)
                ).rowcount
            )
        )
        self.submit(unique_key="k", on_duplicate="replace", run_at=self.in_seconds(9))
        self.assertEqual(self.claimed_ids(), [self.last])

    def test_its_queue_is_paused(self) -> None:
        elsewhere = self.limit("l", ONE, queue="other")
        self.store.pause("default")
        self.assertEqual(self.claim(9), [])
        self.assertEqual(self.claimed_ids(queue="other"), [elsewhere])
        self.store.resume("default")
        self.assertEqual(self.claim(9), [])
        self.complete(Lease(elsewhere, 1))
        self.assertEqual(self.drain(), [self.next, self.last])


class Elsewhere(FlowCase):
    """Room that is made is seen wherever somebody waits for it."""

    def test_in_every_queue_that_waits(self) -> None:
        for queue in "abcd":
            self.limit("l", ONE, queue=queue)
        (first,) = self.claim(9, queue="a")
        self.assertEqual([self.claim(9, queue=queue) for queue in "bcd"], [[]] * 3)
        self.complete(first.lease)
        self.store.pause("b")
        self.store.delete(3)
        self.assertEqual([self.claimed_ids(queue=queue) for queue in "bcd"], [[], [], [4]])

    def test_a_blocked_one_that_is_cancelled_deleted_or_expires_harms_nobody(self) -> None:
        (_, a, b, c, last) = (
            self.limit("l", ONE, expires_at=expires)
            for expires in (None, None, None, self.in_seconds(1), None)
        )
        lease = self.claim_one()
        self.claim(9)
        self.store.cancel(a)
        self.store.delete(b)
        self.clock.advance(1)
        self.complete(lease)
        self.assertEqual(self.drain(), [last])
        self.assert_state(c, State.CANCELLED, "expired")
        self.assertEqual(self.look("SELECT * FROM litequeue_hold"), [])

    def test_a_paused_queue_keeps_no_worker_busy(self) -> None:
        """What is due in a paused queue is no reason to look again at once."""
        self.enqueue(queue="q", run_at=self.in_seconds(1))
        self.limit("l", ONE, queue="q")
        self.limit("l", ONE, queue="q")
        lease = self.claim_one(queue="q")
        self.claim(9, queue="q")
        self.store.pause("q")
        self.complete(lease)
        self.clock.advance(2)
        self.assertFalse(self.store.is_work_waiting(["q"]))
        self.assertIsNone(self.store.next_due(["q"]))
        self.assertEqual(self.store.next_due(["q", "default"]), None)
        self.store.resume("q")
        self.assertTrue(self.store.is_work_waiting(["q"]))


class Cost(FlowCase):
    """Jobs that wait for an exhausted limit are parked, not skipped over one by one."""

    def measured(self, waiting: int) -> int:
        self.setUp()
        self.limit("l", ONE)
        self.claim_one()
        jobs = ["[[],{}]"] * waiting
        for _ in jobs:
            self.limit("l", ONE)
        while self.store.is_work_waiting(["default"]):
            self.assertEqual(self.claim(1), [])
        self.enqueue()
        statements = self.statements(Turn(wants=(Want("default", 1, 1),)))
        self.assertEqual(self.job(waiting + 2).state, "running")
        return statements

    def test_a_thousand_do_not_slow_the_claim_of_others(self) -> None:
        self.assertEqual(self.measured(1100), self.measured(1))

    def test_one_that_ends_sets_one_free_however_many_wait(self) -> None:
        ids = [self.limit("l", ONE) for _ in range(300)]
        while not (claimed := self.claim(1)):
            self.fail("nobody could be claimed")
        self.claim(1)
        self.complete(claimed[0].lease)
        statements = self.statements(Turn(wants=(Want("default", 1, 1),)))
        self.assertLessEqual(statements, 20)
        self.assertEqual(self.states(ids[:3]), ["completed", "running", "blocked"])

    def test_a_plain_job_behind_a_thousand_that_are_met_first(self) -> None:
        self.limit("l", ONE)
        self.claim_one()
        self.store.enqueue_flow([new(limit_key="l") for _ in range(1500)])
        plain = self.enqueue()
        for _ in range(3):
            if ids := self.claimed_ids(1):
                break
        self.assertEqual(ids, [plain])
