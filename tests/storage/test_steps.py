"""The contract of steps: kept once, by the attempt that runs, until the job begins afresh or goes."""

from __future__ import annotations

from litequeue.errors import DatabaseError, LeaseLost
from litequeue.job import Complete, Fail, Lease, Release, Snoozed, State, StoredResult
from litequeue.storage.steps import Steps
from tests.storage.engines import ERROR, ContractCase

ONE = StoredResult("1", "json")
NOTHING = StoredResult(None, None)


class TestSteps(ContractCase):
    def setUp(self) -> None:
        super().setUp()
        self.steps = Steps(self.store.database, self.clock)
        self.job_id = self.enqueue()

    def names(self) -> list[str]:
        return [step.name for step in self.steps.all(self.job_id)]

    def test_what_was_kept_is_found_and_other_names_are_not(self) -> None:
        lease = self.claim_one()
        results = {"one": ONE, "nothing": NOTHING, "large": StoredResult(b"\x00" * 100_000, "pickle")}
        for name, result in results.items():
            self.assertIsNone(self.steps.find(self.job_id, name))
            self.steps.keep(lease, name, result)
        self.assertEqual({name: self.steps.find(self.job_id, name) for name in results}, results)
        self.assertIsNone(self.steps.find(self.job_id + 1, "one"))

    def test_they_are_listed_in_the_order_in_which_they_ended(self) -> None:
        lease = self.claim_one()
        for name in ("b", "c", "a"):
            self.steps.keep(lease, name, ONE)
            self.clock.advance(1)
        self.assertEqual(self.names(), ["b", "c", "a"])
        found = self.steps.all(self.job_id)
        self.assertEqual(
            [(step.attempt, step.at) for step in found], [(1, self.in_seconds(n)) for n in (-3, -2, -1)]
        )

    def test_a_name_is_taken_once(self) -> None:
        lease = self.claim_one()
        self.steps.keep(lease, "one", ONE)
        with self.assertRaises(DatabaseError):
            self.steps.keep(lease, "one", NOTHING)
        self.assertEqual(self.steps.find(self.job_id, "one"), ONE)

    def test_only_the_attempt_that_runs_keeps_one(self) -> None:
        lease = self.claim_one()
        self.assert_lost(lease._replace(attempt=2))
        self.assert_lost(Lease(self.job_id + 7, 1))
        for settle in (self.give_back, self.snooze, self.fail_once):
            settle(lease)
            self.assert_lost(lease)
            lease = self.claim_one()
            self.assert_lost(lease._replace(attempt=lease.attempt - 1))
        self.store.settle(Complete(lease))
        self.assert_lost(lease)
        self.assertEqual(self.names(), [])

    def give_back(self, lease: Lease) -> None:
        self.store.settle(Release(lease))

    def snooze(self, lease: Lease) -> None:
        self.store.settle(Snoozed(lease, self.clock.now()))

    def fail_once(self, lease: Lease) -> None:
        self.store.settle(Fail(lease, ERROR, self.clock.now()))

    def assert_lost(self, lease: Lease) -> None:
        with self.assertRaisesRegex(LeaseLost, "'one' was not kept"):
            self.steps.keep(lease, "one", ONE)
        database = self.store.database
        connection = database.begin()
        with self.assertRaises(LeaseLost):
            self.steps.keep_in(connection, lease, "one", ONE)
        database.finish(connection, commit=False)

    def test_in_a_transaction_it_is_there_when_that_commits(self) -> None:
        lease = self.claim_one()
        database = self.store.database
        for commit in (False, True):
            connection = database.begin()
            self.steps.keep_in(connection, lease, "one", ONE)
            database.finish(connection, commit=commit)
            self.assertEqual(self.names(), ["one"] if commit else [])

    def test_a_transaction_that_shut_out_the_heartbeat_gives_it_time_to_renew(self) -> None:
        lease = self.claim_one()
        self.clock.advance(29)
        database = self.store.database
        connection = database.begin()
        self.steps.keep_in(connection, lease, "one", ONE)
        database.finish(connection, commit=True)
        self.clock.advance(4)
        self.assertEqual(self.workers.reap(), 0)

    def test_a_job_that_was_asked_to_stop_may_still_keep_one(self) -> None:
        lease = self.claim_one()
        self.store.cancel(self.job_id)
        self.steps.keep(lease, "one", ONE)
        self.assertEqual(self.names(), ["one"])

    def test_they_outlast_all_but_a_fresh_retry_and_the_end_of_the_job(self) -> None:
        lease = self.claim_one()
        self.steps.keep(lease, "one", ONE)
        self.store.settle(Snoozed(lease, self.clock.now()))
        self.crash(self.job_id)
        self.store.settle(Fail(self.claim_one(), ERROR))
        self.store.retry(self.job_id)
        self.store.settle(Fail(self.claim_one(), ERROR))
        self.assertEqual(self.names(), ["one"])
        self.store.retry(self.job_id, fresh=True)
        self.assertEqual(self.names(), [])
        self.assert_state(self.job_id, State.READY)
        lease = self.claim_one()
        self.steps.keep(lease, "one", NOTHING)
        self.store.settle(Complete(lease))
        self.assertEqual(self.names(), ["one"])
        self.store.delete(self.job_id)
        self.assertIsNone(self.steps.find(self.job_id, "one"))
