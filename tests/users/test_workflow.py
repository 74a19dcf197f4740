"""Workflows as a person writes them: `then`, `|`, `group`, `after`, what runs on success and on failure."""

from __future__ import annotations

import asyncio
from typing import Any

from litequeue import (
    BadArguments,
    InvalidOption,
    InvalidTask,
    Job,
    JobCancelled,
    JobFailed,
    JobNotFound,
    NotAllowed,
    QueueFull,
    State,
    Task,
    group,
)
from tests.users.case import QueueCase
from tests.users.things import Color, Point


class WorkflowCase(QueueCase):
    """A few tasks, and what they were called with."""

    def setUp(self) -> None:
        super().setUp()
        self.calls: list[tuple[object, ...]] = []
        self.add: Any = self.declare("add", lambda a, b=1: a + b)
        self.double: Any = self.declare("double", lambda number: 2 * number)
        self.total: Any = self.declare("total", sum)
        self.note: Any = self.declare("note", lambda *args: args[0] if args else None)
        self.broken: Any = self.declare("broken", self.raise_error)

    def declare(self, name: str, work: Any, **options: Any) -> Any:
        def function(*args: Any) -> Any:
            self.calls.append((name, *args))
            return work(*args)

        return self.queue.task(name=name, **options)(function)

    def raise_error(self, *_: object) -> None:
        raise OSError("no route")

    def run_all(self) -> list[tuple[object, ...]]:
        self.queue.drain()
        return self.calls

    def states(self) -> list[str]:
        return [str(job.state) for job in reversed(self.queue.jobs())]


class TestChains(WorkflowCase):
    def test_the_result_becomes_the_first_argument(self) -> None:
        job = self.add.call(1, 2).then(self.add.call(10)).then(self.double.call()).enqueue()
        self.assertEqual(self.states(), ["ready", "blocked", "blocked"])
        self.assertEqual(self.run_all(), [("add", 1, 2), ("add", 3, 10), ("double", 13)])
        self.assertEqual(job.result(0), 26)

    def test_a_bar_says_the_same(self) -> None:
        job = (self.add.call(1, 2) | self.add.call(10) | self.double).enqueue()
        self.run_all()
        self.assertEqual(job.result(0), 26)

    def test_a_bare_task_takes_the_result_alone(self) -> None:
        self.assertEqual((self.add.call(1) | self.double).enqueue().id, 2)
        self.assertEqual(self.run_all(), [("add", 1), ("double", 2)])

    def test_without_the_result(self) -> None:
        self.add.call(1).then(self.note.call("x"), pass_result=False).enqueue()
        self.assertEqual(self.run_all(), [("add", 1), ("note", "x")])

    def test_a_chain_goes_on_as_a_whole(self) -> None:
        line = self.add.call(1) | self.double
        other = self.double.call() | self.double
        self.assertEqual(line.then(other).enqueue().parents[0].parents[0].parents[0].id, 1)
        self.assertEqual(self.run_all()[-1], ("double", 8))

    def test_a_chain_is_enqueued_as_often_as_one_likes(self) -> None:
        line = self.add.call(1) | self.double
        jobs = [line.enqueue() for _ in range(3)]
        self.run_all()
        self.assertEqual([job.result(0) for job in jobs], [4] * 3)

    def test_what_returns_nothing_passes_nothing(self) -> None:
        (self.note.call() | self.note).enqueue()
        self.assertEqual(self.run_all(), [("note",), ("note", None)])

    def test_large_results_and_rich_types_pass(self) -> None:
        large = {"text": "x" * 50_000, "pair": (1, 2)}
        give = self.declare("give", lambda: large)
        (give.call() | self.note).enqueue()
        self.assertEqual(self.run_all()[-1], ("note", large))

    def test_a_dataclass_passes_to_whoever_names_it_too(self) -> None:
        def make() -> Point:
            return Point(1, 2, Color.BLUE)

        def take(point: Point) -> int:
            return point.x + point.y

        first, then = self.queue.task(name="make")(make), self.queue.task(name="take")(take)
        job = (first.call() | then).enqueue()
        self.queue.drain()
        self.assertEqual(job.result(0), 3)

    def test_one_that_fails_ends_the_chain(self) -> None:
        job = (self.add.call(1) | self.broken | self.double | self.double).enqueue()
        self.run_all()
        self.assertEqual(self.states(), ["completed", "failed", "cancelled", "cancelled"])
        with self.assertRaisesRegex(JobCancelled, "job 3 was cancelled"):
            job.result(0)
        with self.assertRaisesRegex(JobCancelled, "job 2 failed"):
            job.parents[0].result(0)

    def test_the_job_of_the_end_knows_those_before(self) -> None:
        job = (self.add.call(1) | self.double | self.double).enqueue()
        self.assertEqual([each.id for each in job.parents], [2])
        self.assertEqual([each.id for each in job.parents[0].children], [3])

    def test_three_thousand_links(self) -> None:
        chain: Any = self.broken.call()
        for _ in range(2999):
            chain = chain | self.note
        job = chain.enqueue()
        self.assertEqual(job.id, 3000)
        self.queue.drain()
        self.queue.drain()
        while self.queue.counts()["blocked"]:
            self.queue.drain()
        self.assertEqual((self.queue.counts()["failed"], self.queue.counts()["cancelled"]), (1, 2999))

    def test_three_thousand_links_from_the_other_end(self) -> None:
        chain: Any = self.note.call()
        for _ in range(2999):
            chain = self.note.call(1).then(chain)
        self.assertEqual(chain.using(priority=5).enqueue().id, 3000)

    def test_using_is_for_each_call_of_it(self) -> None:
        (self.add.call(1) | self.double).using(priority=7, tags="x").enqueue()
        self.assertEqual([(job.priority, job.tags) for job in self.queue.jobs()], [(7, ("x",))] * 2)

    def test_awaited(self) -> None:
        async def program() -> int:
            job = await (self.add.call(1) | self.double).aenqueue()
            await asyncio.to_thread(self.queue.drain)
            return int(await job.aresult(0))

        self.assertEqual(asyncio.run(program()), 4)


class TestSeveralQueues(WorkflowCase):
    """A graph of calls that were declared with different queues."""

    def setUp(self) -> None:
        super().setUp()
        self.mails = self.make_queue("mails")
        self.mail: Any = self.mails.task(name="mail")(self.sent)

    def sent(self, *args: object) -> str:
        self.calls.append(("mail", *args))
        return "sent"

    def test_each_call_goes_to_its_own_queue(self) -> None:
        for node in (
            self.add.call(1) | self.mail | self.double.call(),
            group([self.add.call(1), self.mail.call("x")]) | self.note,
            self.add.using(on_success=self.mail.call()).call(1),
        ):
            self.queue.delete()
            self.mails.delete()
            self.queue.enqueue_many([node])
            with self.subTest(node):
                (mail,) = self.mails.jobs()
                self.assertEqual(mail.task, "mail")
                self.assertNotIn("mail", {job.task for job in self.queue.jobs()})

    def test_they_run_one_after_the_other(self) -> None:
        job = (self.add.call(1) | self.mail | self.note).enqueue()
        self.queue.drain(queues=["default", "mails"])
        self.assertEqual(job.result(0), "sent")
        self.assertEqual(self.calls, [("add", 1), ("mail", 2), ("note", "sent")])

    def test_the_queue_that_is_asked_to_store_takes_those_of_one_other(self) -> None:
        fast = self.make_queue("fast")
        for node in (self.add.call(1) | self.double, self.add.using(on_failure=self.note.call()).call(1)):
            fast.enqueue_many([node])
        self.assertEqual(([job.queue for job in fast.jobs()], self.queue.jobs()), (["fast"] * 4, []))

    def test_an_option_of_the_call_goes_first(self) -> None:
        job = (self.add.call(1) | self.mail.using(queue="slow").call()).enqueue()
        self.assertEqual(job.queue, "slow")

    def test_a_call_that_belongs_to_another_file_is_refused(self) -> None:
        elsewhere = self.make_queue(path=self.folder / "other.db")
        theirs: Any = elsewhere.task(name="theirs")(self.sent)
        for node in (
            self.add.call(1) | theirs,
            group([self.add.call(1), theirs.call()]),
            self.add.using(on_failure=theirs.call()).call(1),
        ):
            with self.subTest(node), self.assertRaisesRegex(InvalidOption, "theirs belongs to .*other.db"):
                node.enqueue()
        self.assertEqual((self.queue.jobs(), elsewhere.jobs()), ([], []))


class TestMistakes(WorkflowCase):
    def setUp(self) -> None:
        super().setUp()
        self.strict: Any = self.queue.task(name="strict")(lambda a, b: a + b)

    def assert_nothing(self) -> None:
        self.assertEqual(self.queue.jobs(), [])

    def test_arguments_that_do_not_fit_are_refused_at_once(self) -> None:
        with self.assertRaisesRegex(BadArguments, "strict"):
            self.strict.call(1, 2, 3)
        with self.assertRaisesRegex(BadArguments, "missing a required argument"):
            self.strict.call(1).enqueue()
        with self.assertRaisesRegex(BadArguments, "missing a required argument"):
            self.strict.call(1).then(self.note.call()).enqueue()
        with self.assertRaisesRegex(BadArguments, "too many"):
            self.add.call(1).then(self.strict.call(1, 2)).enqueue()
        with self.assertRaisesRegex(BadArguments, "missing a required argument"):
            self.add.call(1).then(self.strict.call(1), pass_result=False).enqueue()
        with self.assertRaises(BadArguments):
            self.add.call(1).using(on_success=self.strict.call(1)).enqueue()
        self.assert_nothing()

    def test_what_is_no_call_is_refused(self) -> None:
        wrongs: tuple[Any, ...] = (None, 5, "add", lambda: 1, [self.add.call(1)])
        for wrong in wrongs:
            with self.assertRaisesRegex(InvalidTask, "not a call"):
                self.add.call(1).then(wrong)
            with self.assertRaisesRegex(InvalidTask, "not a call"):
                group([wrong])
        for option in ("on_success", "on_failure"):
            for wrong in (None, 5, self.note, lambda: 1):
                with self.assertRaisesRegex(InvalidOption, "give a call"):
                    self.add.using(**{option: wrong})

    def test_one_call_is_no_group(self) -> None:
        with self.assertRaisesRegex(InvalidTask, "not a call"):
            group(self.add.call(1))

    def test_parents_that_are_none(self) -> None:
        for wrong in (None, "1", 0, -1, 1.5, True, [None], ["1"], b"1", {"a": 1}):
            with self.assertRaisesRegex(InvalidOption, "after"):
                self.add.using(after=wrong)
        with self.assertRaisesRegex(InvalidOption, "belongs to one call"):
            self.queue.task(name="x", after=[1])  # type: ignore[call-overload]

    def test_an_unknown_parent_is_refused_and_nothing_is_stored(self) -> None:
        with self.assertRaisesRegex(JobNotFound, "no job 77"):
            (self.add.call(1) | self.double.call().using(after=77)).enqueue()
        self.assert_nothing()

    def test_a_chain_over_the_bound_is_refused_as_a_whole(self) -> None:
        queue = self.make_queue("small", maxsize=2)
        task = queue.task(name="small")(lambda value=None: value)
        with self.assertRaises(QueueFull):
            (task.call() | task | task).enqueue()
        self.assertEqual(queue.jobs(), [])


class TestGroups(WorkflowCase):
    def test_the_callback_gets_the_results_in_order(self) -> None:
        job = group(self.double.call(number) for number in (3, 1, 2)).then(self.total).enqueue()
        self.run_all()
        self.assertEqual((self.calls[-1], job.result(0)), (("total", [6, 2, 4]), 12))

    def test_with_a_bar(self) -> None:
        job = (group([self.double.call(1)]) | self.total).enqueue()
        self.run_all()
        self.assertEqual(job.result(0), 2)

    def test_without_a_callback_it_gives_its_jobs(self) -> None:
        jobs = group([self.double.call(1), self.add.call(5)]).enqueue()
        self.assertEqual((len(jobs), [job.id for job in jobs], jobs[1].id), (2, [1, 2], 2))
        self.queue.drain()
        self.assertEqual((jobs.result(0), jobs.result()), ([2, 6], [2, 6]))

    def test_one_that_fails_takes_the_callback_along(self) -> None:
        job = group([self.double.call(1), self.broken.call(), self.double.call(2)]).then(self.total).enqueue()
        self.run_all()
        self.assertEqual(self.states(), ["completed", "failed", "completed", "cancelled"])
        with self.assertRaises(JobCancelled):
            job.result(0)

    def test_unless_it_wants_to_run_anyway_with_nothing_in_place_of_a_result(self) -> None:
        callback = self.note.call().using(on_parent_failure="run")
        group([self.double.call(1), self.broken.call(), self.double.call(2)]).then(callback).enqueue()
        self.assertEqual(self.run_all()[-1], ("note", [2, None, 4]))

    def test_however_its_members_end(self) -> None:
        callback = self.note.call().using(on_parent_failure="run")
        calls = [self.double.call(number).using(delay=60) for number in range(4)]
        late = self.double.call(9).using(expires=5, delay=60)
        group([*calls, late, self.double.call(5)]).then(callback).enqueue()
        jobs = {job.args[0]: job for job in self.queue.jobs(task="double")}
        jobs[0].cancel()
        jobs[1].delete()
        self.clock.advance(10)
        self.queue.drain()
        self.assertEqual(self.queue.jobs(task="note")[0].state, State.BLOCKED)
        jobs[2].cancel("enough")
        jobs[3].delete()
        self.assertEqual(self.run_all(), [("double", 5), ("note", [None, None, None, None, None, 10])])

    def test_a_call_then_a_group(self) -> None:
        job = self.add.call(1).then(group([self.double.call(), self.add.call(5)])).then(self.total).enqueue()
        self.run_all()
        self.assertEqual(
            (sorted(map(str, self.calls[1:3])), job.result(0)), (["('add', 2, 5)", "('double', 2)"], 11)
        )

    def test_chains_in_a_group(self) -> None:
        job = (
            group([self.add.call(1) | self.double, self.add.call(2) | self.double]).then(self.total).enqueue()
        )
        self.run_all()
        self.assertEqual(job.result(0), 10)

    def test_an_empty_group(self) -> None:
        job = group([]).then(self.total).enqueue()
        self.assertEqual((self.run_all(), job.result(0)), ([("total", [])], 0))
        with self.assertRaisesRegex(InvalidTask, "empty group"):
            group([]).enqueue()

    def test_an_empty_group_in_the_middle_keeps_the_order(self) -> None:
        job = self.add.call(1).then(group([])).then(self.total).enqueue()
        self.assertEqual(self.run_all(), [("add", 1), ("total", [])])
        self.assertEqual(job.result(0), 0)
        job = self.broken.call().then(group([])).then(self.total).enqueue()
        self.queue.drain()
        self.assertEqual(job.refresh().state, State.CANCELLED)

    def test_an_empty_group_in_another_gives_nothing_and_is_waited_for(self) -> None:
        x, a, last = self.double.call("x"), self.note.using(delay=60).call(), self.note
        nothing: Any = group([])
        inners: tuple[Any, ...] = (nothing, group([nothing, nothing]), nothing | nothing)
        for inner in inners:
            with self.subTest(inner):
                job = (x | group([a, inner]) | last).enqueue()
                self.queue.drain()
                self.clock.advance(60)
                self.queue.drain()
                self.assertEqual((job.args, job.result(0)), ((), ["xx"]))

    def test_what_stands_before_an_empty_group_in_another_is_waited_for(self) -> None:
        late = self.double.using(delay=60).call() | group([])
        job = (self.double.call(1) | group([group([]), late]) | self.total).enqueue()  # type: ignore[list-item]
        self.assertEqual(self.run_all(), [("double", 1)])
        self.clock.advance(60)
        self.assertEqual(self.run_all(), [("double", 1), ("double", 2), ("total", [])])
        self.assertEqual(job.result(0), 0)

    def test_an_empty_group_within_an_outcome(self) -> None:
        alone = group([]) | self.note.using(on_parent_failure="run").call("b")
        beside = group([group([]), self.note.call("a")]) | self.note.call("b")  # type: ignore[list-item]
        for after in (alone, beside):
            self.add.using(on_failure=after).enqueue(1)
            self.broken.using(on_failure=after).enqueue()
        self.assertEqual(
            [call for call in self.run_all() if call[0] == "note"],
            [("note", [], "b"), ("note", "a"), ("note", ["a"], "b")],
        )

    def test_a_group_of_hundreds(self) -> None:
        job = self.double.map(range(300)).then(self.total).enqueue()
        self.queue.drain()
        self.assertEqual(job.result(0), 2 * sum(range(300)))

    def test_map_and_chunks(self) -> None:
        self.add.map([1, 2, 3], [10, 20]).enqueue()
        self.total.chunks(range(5), 2).enqueue()
        expected = [("add", 1, 10), ("add", 2, 20), ("total", [0, 1]), ("total", [2, 3]), ("total", [4])]
        self.assertEqual(self.run_all(), expected)
        for wrong in (0, -1, 1.5, None, "2"):
            with self.assertRaisesRegex(InvalidOption, "size"):
                self.total.chunks([1], wrong)

    def test_many_groups_at_once(self) -> None:
        one, two = self.queue.enqueue_many(
            [self.double.map([1, 2]).then(self.total), self.add.call(5) | self.double]
        )
        self.run_all()
        self.assertEqual((one.result(0), two.result(0)), (6, 12))

    def test_cancelling_it_cancels_what_is_left(self) -> None:
        jobs = self.double.map([1, 2, 3]).enqueue()
        self.queue.drain(limit=1)
        jobs.cancel("enough")
        self.assertEqual(self.states(), ["completed", "cancelled", "cancelled"])
        jobs.cancel()

    def test_members_that_are_gone_do_not_keep_the_others_from_being_cancelled(self) -> None:
        jobs = self.double.map([1, 2, 3]).enqueue()
        jobs[0].delete()
        self.queue.desk.store.cancel(jobs[1].id)
        jobs.cancel("enough")
        self.assertEqual(self.states(), ["cancelled", "cancelled"])

    def test_a_member_that_fails_is_told_by_the_result(self) -> None:
        jobs = group([self.double.call(1), self.broken.call()]).enqueue()
        self.queue.drain()
        with self.assertRaisesRegex(JobFailed, "no route"):
            jobs.result(0)


class TestAfter(WorkflowCase):
    def test_one_or_many_by_handle_or_id(self) -> None:
        one, two = self.add.enqueue(1), self.add.enqueue(2)
        for after in (one, one.id, [one, two.id], (two,), {one.id: 1}.keys()):
            self.assertEqual(self.note.using(after=after).enqueue("x").state, State.BLOCKED)
        self.run_all()
        self.assertEqual(set(self.states()), {"completed"})

    def test_a_group_of_jobs(self) -> None:
        jobs = self.double.map([1, 2]).enqueue()
        job = self.note.using(after=jobs).enqueue("x")
        self.assertEqual([each.id for each in job.parents], [1, 2])

    def test_its_result_is_not_passed(self) -> None:
        self.note.using(after=self.add.enqueue(1)).enqueue("x")
        self.assertEqual(self.run_all()[-1], ("note", "x"))

    def test_a_job_of_another_file_is_refused(self) -> None:
        others = [self.make_queue(path=path) for path in (self.folder / "other.db", ":memory:")]
        in_memory = self.make_queue(path=":memory:")
        for queue, other in ((self.queue, others[0]), (self.queue, others[1]), (in_memory, others[1])):
            theirs = other.enqueue("app:f", args=())
            with self.subTest(other), self.assertRaisesRegex(InvalidOption, "after: <Job [12]> lies in"):
                queue.enqueue("app:g", args=(), after=[theirs])
            self.assertEqual(queue.jobs(), [])

    def test_a_job_of_another_handle_on_the_file(self) -> None:
        (self.folder / "link.db").symlink_to(self.path)
        parent = self.add.enqueue(1)
        for path in (self.path, self.folder / "link.db"):
            known = self.make_queue(path=path).job(parent.id)
            self.assertEqual(self.note.using(after=known).enqueue("x").parents, [parent])

    def test_parents_in_other_queues(self) -> None:
        parent = self.add.using(queue="other").enqueue(1)
        child = self.note.using(after=parent).enqueue("x")
        self.queue.drain()
        self.assertEqual(child.refresh().state, State.BLOCKED)
        parent.cancel()
        self.assertEqual((child.refresh().state, child.reason), ("cancelled", "parent"))

    def test_with_chains(self) -> None:
        before = self.add.enqueue(1)
        (self.note.call("x") | self.note).using(after=before).enqueue()
        self.queue.jobs()[0].cancel()
        self.assertEqual(self.run_all(), [("add", 1), ("note", "x")])

    def test_an_empty_list_waits_for_nothing(self) -> None:
        self.assertEqual(self.note.using(after=[]).enqueue("x").state, State.READY)

    def test_on_parent_failure(self) -> None:
        failed = self.broken.enqueue()
        stays = self.note.using(after=failed).enqueue("stays")
        runs = self.note.using(after=failed, on_parent_failure="run").enqueue("runs")
        self.assertEqual(self.run_all(), [("broken",), ("note", "runs")])
        self.assertEqual((stays.refresh().state, runs.refresh().state), ("cancelled", "completed"))
        with self.assertRaisesRegex(InvalidOption, "'cancel' or 'run'"):
            self.note.using(on_parent_failure="wait")

    def test_explain_tells_whom_it_waits_for(self) -> None:
        parents = [self.add.enqueue(1), self.add.enqueue(2), self.add.enqueue(3)]
        job = self.note.using(after=parents).enqueue("x")
        self.assertEqual(job.explain(), "it waits for job 1, which is ready, and for 2 other jobs")
        parents[0].cancel()
        self.assertIn("job 1 was cancelled", job.explain())

    def test_explain_tells_why_a_job_has_no_future(self) -> None:
        failed = self.broken.enqueue()
        self.queue.drain()
        job = self.note.using(after=failed).enqueue("x")
        self.assertEqual(job.explain(), f"job {failed.id} failed, so the next claim cancels it")


class TestOutcomes(WorkflowCase):
    """`on_success` and `on_failure`."""

    def watched(self, task: Task[..., Any], *args: object, **options: Any) -> Job[Any]:
        watched = task.using(on_success=self.note.call("well"), on_failure=self.note.call("ill"), **options)
        job: Job[Any] = watched.enqueue(*args)
        return job

    def test_success(self) -> None:
        job = self.watched(self.add, 1)
        self.assertEqual((job.id, self.run_all()), (1, [("add", 1), ("note", "well")]))

    def test_failure(self) -> None:
        job = self.watched(self.broken)
        self.assertEqual((job.id, self.run_all()), (1, [("broken",), ("note", "ill")]))

    def test_only_the_last_failure_counts(self) -> None:
        job = self.watched(self.broken, retry=2)
        self.assertEqual(self.run_all(), [("broken",)])
        self.assertEqual(job.refresh().state, State.SCHEDULED)
        self.clock.advance(3600)
        self.assertEqual(self.run_all(), [("broken",), ("broken",), ("note", "ill")])

    def test_neither_when_it_is_cancelled(self) -> None:
        self.watched(self.add, 1).cancel()
        self.assertEqual(self.run_all(), [])

    def test_what_was_not_needed_leaves_nothing_behind(self) -> None:
        job = self.watched(self.add, 1)
        self.run_all()
        self.queue.desk.store.prune()
        self.assertEqual([each.id for each in reversed(self.queue.jobs())], [job.id, 2])

    def test_they_run_after_that_outcome_alone_whatever_else_their_task_says(self) -> None:
        anyhow = self.note.using(on_parent_failure="run")
        self.add.using(on_failure=anyhow.call("ill")).enqueue(1)
        self.broken.using(on_success=anyhow.call("well")).enqueue()
        self.assertEqual(self.run_all(), [("add", 1), ("broken",)])

    def test_whole_graphs(self) -> None:
        after = self.note.call("clean") | self.note
        self.broken.using(on_failure=after).enqueue()
        self.assertEqual(self.run_all(), [("broken",), ("note", "clean"), ("note", "clean")])

    def test_of_a_task_for_all_its_jobs(self) -> None:
        task = self.declare("task", self.raise_error, on_failure=self.note.call("ill"))
        task.enqueue()
        task.enqueue()
        self.queue.enqueue(task)
        self.assertEqual(self.run_all().count(("note", "ill")), 3)

    def test_of_each_link_of_a_chain(self) -> None:
        (self.add.call(1) | self.broken).using(on_failure=self.note.call("ill")).enqueue()
        self.assertEqual(self.run_all().count(("note", "ill")), 1)

    def test_one_after_the_other(self) -> None:
        self.add.using(on_success=self.add.call(2).using(on_success=self.note.call("end"))).enqueue(1)
        self.assertEqual(self.run_all(), [("add", 1), ("add", 2), ("note", "end")])

    def test_an_order_with_compensation(self) -> None:
        pay = self.declare("pay", lambda: None, on_failure=self.note.call("no money"))
        ship = self.declare("ship", self.raise_error, on_failure=self.note.call("refund"))
        (pay.call().then(ship.call(), pass_result=False)).then(
            self.note.call("thanks"), pass_result=False
        ).enqueue()
        self.assertEqual(self.run_all(), [("pay",), ("ship",), ("note", "refund")])


class TestTrees(WorkflowCase):
    def test_cancel_with_all_below(self) -> None:
        job = (self.add.call(1) | self.double | self.note.call().using(on_parent_failure="run")).enqueue()
        job.parents[0].parents[0].cancel("enough", tree=True)
        self.assertEqual((self.states(), self.run_all()), (["cancelled"] * 3, []))
        with self.assertRaisesRegex(JobCancelled, "enough"):
            job.result(0)

    def test_cancelling_what_has_ended_is_refused_with_or_without_its_tree(self) -> None:
        job = self.add.enqueue(1)
        self.queue.drain()
        for tree in (False, True):
            with self.assertRaisesRegex(NotAllowed, "completed"):
                job.cancel(tree=tree)

    def test_a_tree_whose_top_has_ended(self) -> None:
        top = self.add.enqueue(1)
        self.queue.drain()
        below = self.note.using(after=top, delay=60).enqueue("x")
        top.cancel(tree=True)
        self.assertEqual(below.refresh().state, State.CANCELLED)

    def test_a_retry_goes_on_where_it_stopped(self) -> None:
        broken = [True]

        def work(number: int) -> int:
            if broken:
                raise OSError
            return number

        task = self.declare("work", work)
        job = (self.add.call(1) | task | self.double).enqueue()
        self.queue.drain()
        self.assertEqual(job.refresh().state, State.CANCELLED)
        broken.clear()
        self.assertEqual(self.queue.retry(), 1)
        self.queue.drain()
        self.assertEqual((job.result(0), self.calls.count(("add", 1))), (4, 1))
