"""Keys, limits and parents against a model: random graphs, and random steps on two handles of one file.

After every step the file is what the model says, and sound. At the end a worker that completes whatever it is
given brings every job to its end.
"""

from __future__ import annotations

import copy
import os
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from litequeue.errors import LeaseLost, LiteQueueError
from litequeue.job import (
    Cancelled,
    Complete,
    Crash,
    Fail,
    Failure,
    Flow,
    Lease,
    NewJobs,
    NewWorker,
    Parent,
    Release,
    Rule,
    Settlement,
    Snoozed,
    Want,
)
from litequeue.storage.checks import broken
from litequeue.testing import HandClock
from tests.storage.engines import sqlite_engine
from tests.storage.flow_model import Model, Refused, windows

SECOND = 1_000_000
LEASE = 30 * SECOND
LONGEST_WINDOW = 11 * SECOND
FAILURE = Failure("error", "E", "wrong")
QUEUES = st.sampled_from(["a", "b"])
HANDLES = st.integers(0, 1)
PICK = st.integers(0, 1000)
SECONDS = st.sampled_from([0, 0.5, 1, 4, 10, 30])
RULES = st.sampled_from(
    [
        Rule(),
        Rule(max_running=1),
        Rule(max_running=2),
        Rule(rate_count=2, rate_period=4 * SECOND),
        Rule(rate_count=4, rate_period=10 * SECOND, burst=1),
        Rule(max_running=1, rate_count=3, rate_period=2 * SECOND),
    ]
)
# For how long each unique key binds after its job completed.
UNIQUE = {"u": None, "v": 5 * SECOND}
NODES = st.fixed_dictionaries(
    {
        "queue": QUEUES,
        "priority": st.integers(0, 1),
        "run_at": st.sampled_from([None, None, None, 5]),
        "expires_at": st.sampled_from([None, None, None, None, 2, 12]),
        "retention": st.sampled_from([None, None, 0, 4]),
        "unique_key": st.sampled_from([None, None, None, "u", "v"]),
        "on_duplicate": st.sampled_from([*["return"] * 5, "raise", *["replace"] * 6]),
        "max_wait": st.sampled_from([None, 6]),
        "limit_key": st.sampled_from([None, None, "l", "m"]),
        "rule": RULES,
        "only_with": st.sampled_from([*[None] * 6, 0, 1, 2]),
        "parents": st.lists(
            st.tuples(PICK, st.sampled_from(["success", "success", "failure", "end"]), st.booleans()),
            max_size=3,
        ),
    }
)
INSTANTS = ("run_at", "expires_at")
DURATIONS = ("retention", "max_wait")


class FlowMachine(RuleBasedStateMachine):
    """Producers, workers and operators, at random."""

    def __init__(self) -> None:
        super().__init__()
        place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix="litequeue-", dir=place)
        self.path = Path(self.folder) / "jobs.db"
        self.clock = HandClock()
        self.engines = [sqlite_engine(self.path, self.clock) for _ in range(2)]
        self.look = sqlite3.connect(self.path)
        self.model = Model()

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # a step that failed says more than what comes of it
                self.bring_to_an_end()
        finally:
            for engine in self.engines:
                engine.store.database.close()
            self.look.close()
            shutil.rmtree(self.folder)

    # --- picking ---------------------------------------------------------------------------------------

    def job(self, pick: int) -> int:
        known = sorted(self.model.rows)
        return known[pick % len(known)] if known and pick % 11 else pick

    def worker(self, pick: int) -> int:
        known = sorted(self.model.workers)
        return known[pick % len(known)]

    def node(self, wish: dict[str, Any], place: int) -> NewJobs:
        now = self.clock.now()
        values = dict(wish)
        for name in (*INSTANTS, *DURATIONS):
            if values[name] is not None:
                values[name] = values[name] * SECOND + (now if name in INSTANTS else 0)
        asked = values.pop("parents")
        parents = tuple(self.parent(place, *each) for each in asked if self.model.rows or place)
        if values["only_with"] is not None:
            values["only_with"] = values["only_with"] % place if place else None
        values["unique_for"] = UNIQUE.get(values["unique_key"])
        if values["limit_key"] is None:
            values["rule"] = Rule()
        flow = {name: values.pop(name) for name in list(values) if name in Flow._fields}
        takes = "all" if any(each.passes for each in parents) else None
        return NewJobs("app:t", payloads=("[]",), **values, flow=Flow(**flow, parents=parents, takes=takes))

    def parent(self, place: int, pick: int, runs_on: str, passes: bool) -> Parent:
        if place and (pick % 2 or not self.model.rows):
            return Parent(place=pick // 2 % place, runs_on=runs_on, passes=passes)
        known = sorted(self.model.rows)
        id = known[pick % len(known)] if pick % 97 else 10_000
        return Parent(id, runs_on=runs_on, passes=passes)

    # --- producers and workers -------------------------------------------------------------------------

    @initialize(wishes=st.lists(NODES, min_size=4, max_size=8))
    def begin(self, wishes: list[dict[str, Any]]) -> None:
        for handle in range(2):
            self.sign_on(handle)
        self.enqueue(0, wishes)

    @rule(handle=HANDLES, wishes=st.lists(NODES, min_size=1, max_size=5))
    def enqueue(self, handle: int, wishes: list[dict[str, Any]]) -> None:
        jobs = [self.node(wish, place) for place, wish in enumerate(wishes)]
        self.check(
            lambda: [tuple(each) for each in self.engines[handle].store.enqueue_flow(jobs)],
            lambda: self.model.enqueue(jobs, self.clock.now()),
        )

    def check(self, verb: Any, expected: Any) -> None:
        """A verb does what the model does, or raises and changes nothing."""
        before = copy.deepcopy(self.model)
        try:
            wanted = expected()
        except Refused:
            self.model = before
            try:
                verb()
            except LiteQueueError:
                return
            raise AssertionError("it was not refused") from None
        found = verb()
        assert found == wanted, (found, wanted)

    @rule(handle=HANDLES)
    def sign_on(self, handle: int) -> None:
        id = self.engines[handle].workers.sign_on(NewWorker("w", 1, lease=LEASE), locked=False)
        self.model.workers[id] = self.clock.monotonic() + LEASE

    @rule(handle=HANDLES, pick=PICK, queue=QUEUES, limit=st.integers(1, 4))
    def claim(self, handle: int, pick: int, queue: str, limit: int) -> None:
        if not self.model.workers:
            self.sign_on(handle)
        worker, now = self.worker(pick), self.clock.now()
        jobs = self.engines[handle].store.claim(worker, [Want(queue, limit, limit)]).jobs
        self.model.expire(now)
        for job in jobs:
            could = [row.id for row in self.model.could_start(queue, now)]
            assert job.lease.job in could, f"{job.lease.job} was started; it could be {could}"
            assert job.lease.job == could[0] or self.is_unsettled(queue), f"{could[0]} was passed over"
            self.model.take(job.lease.job, worker, now)
            assert job.lease.attempt == self.model.rows[job.lease.job].attempt
        # One that looked at no more rows than were wanted may bring fewer; the next one brings the others.
        left = [row.id for row in self.model.could_start(queue, now)]
        assert jobs or not left or self.is_unsettled(queue), f"{left} were left"

    def is_unsettled(self, queue: str) -> bool:
        """Whether a rule has changed so lately that starts from before may count."""
        keys = ["l", "m", f"queue {queue}"]
        return any(self.clock.now() - self.model.changed.get(key, -LEASE) < LONGEST_WINDOW for key in keys)

    @precondition(lambda self: any(row.state == "running" for row in self.model.rows.values()))
    @rule(handle=HANDLES, pick=PICK, kind=st.integers(0, 7), delay=SECONDS)
    def settle(self, handle: int, pick: int, kind: int, delay: float) -> None:
        running = sorted(row.id for row in self.model.rows.values() if row.state == "running")
        id = running[pick % len(running)]
        lease = Lease(id, self.model.rows[id].attempt - (pick % 13 == 0))
        later = self.clock.now() + round(delay * SECOND)
        kinds: list[Settlement] = [
            Complete(lease, "1", "json"),
            Complete(lease),
            Fail(lease, FAILURE),
            Fail(lease, FAILURE, later),
            Crash(lease, Failure("crashed", "C", "gone")),
            Snoozed(lease, later),
            Release(lease),
            Cancelled(lease, "enough"),
        ]
        expected = self.model.settle(kinds[kind], self.clock.now())
        try:
            self.engines[handle].store.settle(kinds[kind])
        except LeaseLost:
            assert not expected
        else:
            assert expected

    @rule(handle=HANDLES)
    def reap(self, handle: int) -> None:
        now = self.clock.now()
        dead = [worker for worker, until in self.model.workers.items() if until <= self.clock.monotonic()]
        lost = sum(self.model.lose(worker, now) for worker in dead)
        assert self.engines[handle].workers.reap() == lost

    # --- operators and time ----------------------------------------------------------------------------

    @rule(handle=HANDLES, pick=PICK)
    def cancel(self, handle: int, pick: int) -> None:
        id, now = self.job(pick), self.clock.now()
        self.check(lambda: self.engines[handle].store.cancel(id) and None, lambda: self.model.cancel(id, now))

    @rule(handle=HANDLES, pick=PICK)
    def cancel_tree(self, handle: int, pick: int) -> None:
        id, now = self.job(pick), self.clock.now()
        self.check(
            lambda: self.engines[handle].store.cancel_tree(id), lambda: self.model.cancel_tree(id, now)
        )

    @rule(handle=HANDLES, pick=PICK, is_sensible=st.booleans())
    def retry(self, handle: int, pick: int, is_sensible: bool) -> None:
        ended = sorted(row.id for row in self.model.rows.values() if row.state in ("failed", "cancelled"))
        id = ended[pick % len(ended)] if ended and is_sensible else self.job(pick)
        now = self.clock.now()
        self.check(lambda: self.engines[handle].store.retry(id), lambda: self.model.retry(id, now))

    @rule(handle=HANDLES, pick=PICK)
    def delete(self, handle: int, pick: int) -> None:
        id, now = self.job(pick), self.clock.now()
        self.check(lambda: self.engines[handle].store.delete(id), lambda: self.model.delete(id, now))

    @rule(handle=HANDLES)
    def prune(self, handle: int) -> None:
        assert self.engines[handle].store.prune() == self.model.prune(self.clock.now())

    @rule(handle=HANDLES, queue=QUEUES, rule=RULES)
    def limit(self, handle: int, queue: str, rule: Rule) -> None:
        self.engines[handle].store.limit(queue, rule)
        self.model.define(f"queue {queue}", rule, self.clock.now())

    @rule(handle=HANDLES, queue=QUEUES, stop=st.booleans())
    def pause(self, handle: int, queue: str, stop: bool) -> None:
        store = self.engines[handle].store
        (store.pause if stop else store.resume)(queue)
        (self.model.paused.add if stop else self.model.paused.discard)(queue)

    @rule(seconds=SECONDS)
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(handle=HANDLES)
    def reopen(self, handle: int) -> None:
        """A process ends, and another begins."""
        self.engines[handle].store.database.close()
        self.engines[handle] = sqlite_engine(self.path, self.clock)

    # --- after every step ------------------------------------------------------------------------------

    @invariant()
    def the_file_is_as_the_model_says(self) -> None:
        found = self.query(
            """SELECT id, CASE WHEN state = 'blocked' AND pending > 0 THEN 'waiting'
                               WHEN state IN ('scheduled', 'ready', 'blocked') THEN 'free' ELSE state END,
                      reason, iif(state = 'blocked', pending, 0), attempt, crashes, finished_at,
                      iif(finished_at IS NULL, run_at, 0), iif(finished_at IS NULL, expires_at, 0), retention,
                      worker, cancelling
               FROM litequeue_job ORDER BY id"""
        )
        wanted = [
            (
                *(row.id, row.state, row.reason, row.pending if row.state == "waiting" else 0),
                *(row.attempt, row.crashes, row.finished_at),
                *((0, 0) if row.is_final else (row.run_at, row.expires_at)),
                *(row.retention, row.worker, row.cancelling),
            )
            for _, row in sorted(self.model.rows.items())
        ]
        for row, expected in zip(found, wanted, strict=False):
            assert row == expected, (row, expected)
        assert len(found) == len(wanted)
        edges = self.query("SELECT child, parent, runs_on, passes FROM litequeue_edge ORDER BY child, number")
        assert edges == [
            (row.id, edge.parent, edge.runs_on, edge.passes)
            for _, row in sorted(self.model.rows.items())
            for edge in row.edges
        ]
        assert broken(self.look) == []

    @invariant()
    def nobody_waits_for_what_can_not_come(self) -> None:
        """Said in words of its own, from the file alone."""
        assert not self.query(
            """SELECT child.id FROM litequeue_job AS child WHERE state = 'blocked' AND pending > 0
               AND NOT EXISTS (SELECT 1 FROM litequeue_edge JOIN litequeue_job AS parent ON parent.id = parent
                               WHERE child = child.id AND parent.finished_at IS NULL)"""
        )
        early = "SELECT id FROM litequeue_job WHERE state = 'ready' AND run_at > ?"
        assert not self.look.execute(early, (self.clock.now(),)).fetchall()

    @invariant()
    def no_limit_is_passed(self) -> None:
        for key, starts in self.model.starts.items():
            for count, period in windows(self.model.rules.get(key, Rule())):
                for first, after in zip(starts, starts[count:], strict=False):
                    assert after - first >= period, (key, starts)

    def query(self, text: str) -> list[Any]:
        return self.look.execute(text).fetchall()

    # --- at the end ------------------------------------------------------------------------------------

    def bring_to_an_end(self) -> None:
        """With every pause undone, a worker that completes what it gets leaves nothing behind."""
        for queue in "ab":
            self.pause(0, queue, stop=False)
        self.sign_on(0)
        for turn in range(300):
            if all(row.is_final for row in self.model.rows.values()):
                break
            worker = len(self.model.workers) - 1
            for queue in "ab":
                self.claim(turn % 2, worker, queue, 4)
            for row in list(self.model.rows.values()):
                if row.state == "running" and row.worker == self.worker(worker):
                    self.settle_well(Lease(row.id, row.attempt))
            self.the_file_is_as_the_model_says()
            self.clock.advance(1)
            if turn % 25 == 24:
                self.reap(0)
                self.sign_on(0)
        assert [row for row in self.model.rows.values() if not row.is_final] == []

    def settle_well(self, lease: Lease) -> None:
        assert self.model.settle(Complete(lease), self.clock.now())
        self.engines[0].store.settle(Complete(lease))


TestFlowMachine = FlowMachine.TestCase
TestFlowMachine.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # add Phase.shrink when a failure is found: it takes minutes
    suppress_health_check=list(HealthCheck),
)
