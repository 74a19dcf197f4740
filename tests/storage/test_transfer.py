"""Jobs of every kind, in every state, taken out of one file and into another."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from litequeue.clock import SECOND
from litequeue.errors import LiteQueueError, NotAllowed
from litequeue.job import (
    WAITING,
    Complete,
    Fail,
    Failure,
    Filter,
    Flow,
    NewJobs,
    NewWorker,
    Note,
    Parent,
    Rule,
    Settlement,
    Start,
    State,
    StoredResult,
    Want,
)
from litequeue.portable import Portable, from_line, to_line
from litequeue.storage import checks
from litequeue.storage.database import Database
from litequeue.storage.gate import Durability
from litequeue.storage.steps import Steps
from litequeue.storage.store import Store
from litequeue.storage.transfer import Numbered, Taken, Transfer, lacks
from litequeue.storage.workers import Workers
from litequeue.testing import HandClock
from tests.support import folder_for
from tests.worker.case import QuietCase

FAILURE = Failure("error", "OSError", "no route", "Traceback …")
LARGE = '"' + "x" * 5000 + '"'
EVERY = Filter()
OPEN = {*WAITING, State.RUNNING}


class Place:
    """One file, and the verbs to fill it with."""

    def __init__(self, path: Path, clock: HandClock) -> None:
        self.database = Database(str(path), Durability.NORMAL)
        self.clock = clock
        self.store = Store(self.database, clock)
        self.workers = Workers(self.database, clock)
        self.steps = Steps(self.database, clock)
        self.transfer = Transfer(self.database, clock)
        self.worker = self.workers.sign_on(NewWorker("w", 1))

    def jobs(self, chosen: Filter = EVERY) -> list[Portable]:
        """What is exported, by way of its lines."""
        return [from_line(to_line(one)) for one in self.transfer.jobs(chosen)]

    def take(
        self, jobs: Sequence[Portable], *, keep_ids: bool = False, at_once: int = 1000
    ) -> dict[int, int]:
        """Import; where each of them is now."""
        taken = Taken()
        numbered = [Numbered(line, one) for line, one in enumerate(jobs, 2)]
        for start in range(0, len(numbered), at_once):
            self.transfer.store(numbered[start : start + at_once], taken, keep_ids=keep_ids)
        return dict(taken.ids)

    def add(self, **values: Any) -> int:
        flow = {name: values.pop(name) for name in list(values) if name in Flow._fields}
        new = NewJobs("app:task", "default", (values.pop("payload", "[[],{}]"),), **values, flow=Flow(**flow))
        return self.store.enqueue_flow([new])[0].id

    def claim(self) -> Any:
        return next(iter(self.store.claim(self.worker, [Want("default", 1, 1)]).jobs), None)


ENDS = st.sampled_from(["success", "failure", "end"])
NAMES = [
    *[*["add"] * 4, *["claim"] * 6, "complete", "large", "fail", "try again", "note", "step", "later"],
    *["cancel", "retry", "delete"],
]
ADDS = st.fixed_dictionaries(
    {
        "payload": st.sampled_from(["[[],{}]", f"[[{LARGE}],{{}}]", '[["ä"],{"a":1.5}]']),
        "priority": st.integers(0, 1),
        "run_at": st.sampled_from([None, None, None, 5]),
        "expires_at": st.sampled_from([None, None, None, 2, 50]),
        "retention": st.sampled_from([None, 0, 7 * SECOND]),
        "tags": st.sampled_from([None, '["a", "ü"]']),
        "meta": st.sampled_from([None, '{"by":"me"}']),
        "options": st.sampled_from([None, '{"timeout":1000000}']),
        "unique_key": st.sampled_from([None, None, "u"]),
        "on_duplicate": st.sampled_from(["return", "replace"]),
        "limit_key": st.sampled_from([None, None, "l"]),
        "rule": st.just(Rule(max_running=1)),
        "takes": st.sampled_from([None, "one"]),
        "parents": st.lists(
            st.tuples(st.integers(0, 9), st.sampled_from(["success", "failure", "end"]), st.booleans()),
            max_size=2,
        ),
    }
)
DEEDS = st.sampled_from(NAMES).flatmap(
    lambda name: st.tuples(st.just(name), ADDS if name == "add" else st.integers(0, 9))
)


def added(**values: Any) -> tuple[str, dict[str, Any]]:
    """A deed that adds a job which is plain but for these values."""
    plain: dict[str, Any] = dict.fromkeys(("run_at", "expires_at", "retention", "tags", "meta", "options"))
    plain |= {"unique_key": None, "on_duplicate": "return", "limit_key": None, "rule": Rule(max_running=1)}
    return "add", {"payload": "[[],{}]", "priority": 0, "takes": None, "parents": [], **plain, **values}


CHILD_OF_A_REPLACED_ONE = [
    added(unique_key="u", on_duplicate="replace"),
    added(parents=[(0, "success", False)]),
    ("claim", 0),
    added(unique_key="u"),
]


class History:
    """Anything that may become of jobs; running ones are not asked to stop, since they end on the way."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.ids: list[int] = []
        self.held: list[Any] = []

    def do(self, name: str, what: Any) -> None:
        place, now = self.place, self.place.clock.now()
        if name == "add":
            parents = [
                Parent(self.ids[number % len(self.ids)], runs_on=runs_on, passes=passes)
                for number, runs_on, passes in what["parents"]
                if self.ids
            ]
            dues = {key: what[key] and now + what[key] * SECOND for key in ("run_at", "expires_at")}
            self.ids.append(place.add(**{**what, **dues, "parents": tuple(parents)}))
        elif name == "later":
            place.clock.advance(3)
        elif name == "claim":
            job = place.claim()
            self.held += [] if job is None else [job.lease]
        elif name in ("cancel", "retry", "delete") and self.ids:
            id = self.ids[what % len(self.ids)]
            if id not in [lease.job for lease in self.held]:
                getattr(place.store, name)(id)
        elif self.held:
            self.end(name)

    def end(self, name: str) -> None:
        lease, place = self.held[0], self.place
        if name == "note":
            place.store.note(Note(lease, 0.5, "half", '{"a":1}', ((place.clock.now(), "a line"),)))
        elif name == "step":
            place.steps.keep(lease, f"step {place.clock.now()}", StoredResult('{"r":1}', "json"))
        else:
            settlement: dict[str, Settlement] = {
                "complete": Complete(lease, '{"b":1}', "json"),
                "large": Complete(lease, LARGE, "json"),
                "fail": Fail(lease, FAILURE),
                "try again": Fail(lease, FAILURE, retry_at=place.clock.now()),
            }
            place.store.settle(settlement[name])
            self.held.pop(0)


def as_taken(one: Portable, known: dict[int, int]) -> Portable:
    """The job as it is in the other file."""
    job = {**one.job, "id": known[one.job["id"]]}
    if job["state"] == "running":
        job |= {"state": "ready", "started_at": None}
    elif job["state"] == "blocked" and not any(edge["state"] in OPEN for edge in one.parents):
        job["state"] = "ready"
    parents = []
    for edge in one.parents:
        parent = known.get(edge["parent"], -abs(edge["parent"]))
        parents.append({**edge, "parent": parent})
    return Portable(job, one.attempts, one.log, one.steps, tuple(parents), one.rule)


def comparable(one: Portable) -> tuple[Any, ...]:
    """Without the states of parents, which are compared as jobs; edges that say nothing more may be gone."""
    edges = [
        (edge["parent"], edge["runs_on"], edge["passes"])
        for edge in one.parents
        if edge["parent"] > 0 or edge["passes"] or edge["state"] is None
    ]
    return dict(one.job), one.attempts, one.log, one.steps, edges, one.rule


class TestRoundTrip(QuietCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = folder_for(self, in_memory=True)

    @settings(max_examples=30, deadline=None)
    @given(st.lists(DEEDS, min_size=15, max_size=40), st.booleans(), st.sampled_from([1, 3, 1000]))
    @example(deeds=CHILD_OF_A_REPLACED_ONE, keep_ids=False, at_once=1)
    def test_whatever_became_of_them(self, deeds: list[Any], keep_ids: bool, at_once: int) -> None:
        clock = HandClock()
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            here, there = Place(Path(folder, "a.db"), clock), Place(Path(folder, "b.db"), clock)
            try:
                history = History(here)
                for name, what in deeds:
                    with suppress(LiteQueueError):  # it is not allowed in this state
                        history.do(name, what)
                if not keep_ids:
                    there.add()
                self.compare(here, there, keep_ids=keep_ids, at_once=at_once)
            finally:
                here.database.close()
                there.database.close()

    def compare(self, here: Place, there: Place, *, keep_ids: bool, at_once: int) -> None:
        jobs = here.jobs()
        seen: set[int] = set()
        for one in jobs:
            self.assertIsNone(lacks(one, seen))
            seen.add(one.job["id"])
        known = there.take(jobs, keep_ids=keep_ids, at_once=at_once)
        if keep_ids:
            self.assertEqual(list(known), list(known.values()))
        found = {one.job["id"]: one for one in there.jobs()}
        ran = {one.job["unique_key"] for one in jobs if one.job["state"] == "running"} - {None}
        replaced: set[int] = set()
        for one in jobs:
            expected = as_taken(one, known)
            if one.job["state"] == "running" and found[expected.job["id"]].job["reason"] == "replaced":
                self.assertIn(one.job["unique_key"], ran)  # another waits in its place
                replaced.add(expected.job["id"])
                continue
            if one.job["state"] == "blocked" and replaced & {edge["parent"] for edge in expected.parents}:
                continue  # that was an end it waited for; what it may be now is for the checks to say
            self.assertEqual(comparable(found[expected.job["id"]]), comparable(expected))
        self.assertEqual(there.database.read(checks.broken), [])


class TestTake(QuietCase):
    def setUp(self) -> None:
        super().setUp()
        folder, self.clock = folder_for(self, in_memory=True), HandClock()
        self.here, self.there = (Place(folder / name, self.clock) for name in ("a.db", "b.db"))
        self.addCleanup(self.here.database.close)
        self.addCleanup(self.there.database.close)

    def states(self, place: Place) -> dict[int, tuple[str, str | None]]:
        return {one.job["id"]: (one.job["state"], one.job["reason"]) for one in place.jobs()}

    def test_what_may_run_once_and_ran_does_not_run_again_here(self) -> None:
        self.here.add(ack="early")
        lease = self.here.claim().lease
        self.here.store.start(Start(lease, ack="early"))
        self.here.add(parents=(Parent(lease.job),))
        self.there.take(self.here.jobs())
        self.assertEqual(self.states(self.there)[1], ("failed", "lost"))
        self.there.claim()
        self.assertEqual(self.states(self.there)[2], ("cancelled", "parent"))
        self.assertEqual(self.there.database.read(checks.broken), [])

    def test_one_that_was_asked_to_stop_is_cancelled(self) -> None:
        self.here.add()
        self.here.store.cancel(self.here.claim().lease.job)
        self.there.take(self.here.jobs())
        self.assertEqual(self.states(self.there), {1: ("cancelled", "cancelled")})

    def test_a_child_runs_after_its_parent_with_its_result(self) -> None:
        parent = self.here.add()
        self.here.add(parents=(Parent(parent, passes=True),), takes="one")
        self.there.add(priority=-1)
        known = self.there.take(self.here.jobs())
        self.assertEqual(known, {1: 2, 2: 3})
        self.there.store.settle(Complete(self.there.claim().lease, "42", "json"))
        child = self.there.claim()
        self.assertEqual((child.lease.job, child.received.results), (3, (("42", "json"),)))

    def test_a_parent_that_ended_before_its_child_came(self) -> None:
        self.here.add()
        for runs_on in ("success", "failure", "end"):
            self.here.add(parents=(Parent(1, runs_on=runs_on),))
        jobs = self.here.jobs()
        taken = Taken()
        self.there.transfer.store([Numbered(2, jobs[0])], taken, keep_ids=False)
        self.there.store.settle(Complete(self.there.claim().lease))
        self.there.transfer.store([Numbered(3, one) for one in jobs[1:]], taken, keep_ids=False)
        self.there.claim()
        states = [state for state, _ in self.states(self.there).values()]
        self.assertEqual(sorted(states), ["cancelled", "completed", "ready", "running"])

    def test_a_younger_parent_is_written_before_its_child(self) -> None:
        self.here.add(unique_key="u", run_at=self.clock.now() + SECOND)
        parent = self.here.add()
        self.here.add(unique_key="u", on_duplicate="replace", parents=(Parent(parent),))
        self.assertEqual([one.job["id"] for one in self.here.jobs()], [2, 1])

    def test_parents_that_are_left_out(self) -> None:
        done, waits = self.here.add(), self.here.add(priority=-5)
        self.here.store.settle(Complete(self.here.claim().lease, "1", "json"))
        for parent, passes, expected in (
            (waits, False, "it waits for job 2, which does not stand before it"),
            (done, True, "it takes the result of job 1, which does not stand before it"),
            (done, False, None),
        ):
            child = self.here.add(parents=(Parent(parent, passes=passes),))
            (one,) = self.here.jobs(Filter(ids=(child,)))
            self.assertEqual(lacks(one, set()), expected)
            if expected is None:
                self.there.take([one])
        self.assertEqual(self.states(self.there), {1: ("ready", None)})

    def test_a_batch_is_stored_whole_or_not_at_all(self) -> None:
        self.there.add(unique_key="u")
        for key in (None, None, "u"):
            self.here.add(unique_key=key)
        with self.assertRaisesRegex(NotAllowed, "line 4: a job that is here has its unique key 'u'"):
            self.there.take(self.here.jobs())
        self.assertEqual(len(self.there.jobs()), 1)
        with self.assertRaisesRegex(NotAllowed, "line 2: there is a job 1 here already"):
            self.there.take(self.here.jobs(), keep_ids=True)

    def test_a_limit_comes_along(self) -> None:
        for _ in range(2):
            self.here.add(limit_key="l", rule=Rule(max_running=1))
        self.there.take(self.here.jobs())
        self.assertIsNotNone(self.there.claim())
        self.assertIsNone(self.there.claim())
