"""Jobs that wait for each other at the terminal: `show --graph`, `cancel --tree`; and `limit`."""

from __future__ import annotations

from litequeue.job import Flow, NewJobs, Parent, State
from tests.cli.case import CommandCase


class TestGraph(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.open()

    def add(self, task: str, *parents: int, runs_on: str = "success") -> int:
        """A job that waits for these."""
        flow = Flow(parents=tuple(Parent(parent, runs_on=runs_on) for parent in parents))
        return self.store.enqueue_flow([NewJobs(f"app:{task}", "default", ("[[],{}]",), flow=flow)])[0].id

    def diamond(self) -> None:
        """1 before 2 and 3, both before 4, and 5 whatever becomes of 4."""
        self.add("reserve")
        self.add("ship", 1)
        self.add("mail", 1)
        self.add("close", 2, 3)
        self.add("tell", 4, runs_on="end")

    def test_a_graph_is_drawn_from_any_of_its_jobs(self) -> None:
        self.diamond()
        for id in ("1", "4"):
            self.assert_prints(
                ["show", self.file, id, "--graph"],
                """
                1 app:reserve ready
                ├─ 2 app:ship blocked
                │  └─ 4 app:close blocked
                │     └─ 5 app:tell blocked
                └─ 3 app:mail blocked
                   └─ 4 app:close blocked (see above)
                """,
            )

    def test_a_failure_is_seen_in_it(self) -> None:
        self.diamond()
        worker = self.sign_on()
        self.fail_next(worker)
        self.claim(worker)
        self.assert_prints(
            ["show", self.file, "1", "--graph"],
            """
            1 app:reserve failed (error: no route)
            ├─ 2 app:ship cancelled (parent: job 1 failed)
            │  └─ 4 app:close cancelled (parent: job 2 was cancelled)
            │     └─ 5 app:tell running
            └─ 3 app:mail cancelled (parent: job 1 failed)
               └─ 4 app:close cancelled (parent: job 2 was cancelled) (see above)
            """,
        )

    def test_a_long_chain_is_cut(self) -> None:
        job = self.add("first")
        for _ in range(1100):
            job = self.add("next", job)
        lines = self.cli("show", self.file, "1", "--graph").out.splitlines()
        self.assertEqual((len(lines), lines[-1]), (1001, "… and more: 1,000 jobs are drawn"))

    def test_show_names_parents_and_children(self) -> None:
        self.diamond()
        shown = self.cli("show", self.file, "4").out
        self.assertRegex(shown, r"parents +2, 3\n +children +5\n")
        found = self.cli("show", self.file, "4", "--json").json
        self.assertEqual((found["parents"], found["children"]), ([2, 3], [5]))

    def test_cancel_takes_those_along_that_wait_for_success(self) -> None:
        self.diamond()
        self.assertEqual(self.cli("cancel", self.file, "1").code, 0)
        states = [self.reports.job(id).state for id in range(1, 6)]
        self.assertEqual(states, [State.CANCELLED] * 4 + [State.READY])

    def test_cancel_tree_takes_all(self) -> None:
        self.diamond()
        self.assertEqual(self.cli("cancel", self.file, "1", "--tree").code, 0)
        self.assertEqual({self.reports.job(id).state for id in range(1, 6)}, {State.CANCELLED})


class TestLimit(CommandCase):
    def test_set_show_and_lift(self) -> None:
        self.open()
        show = ["limit", self.file, "api"]
        self.assertEqual(self.cli(*show).out, "queue 'api': not limited\n")
        words = "queue 'api': at most 4 running, 10 starts in 1 s, 2 at once\n"
        self.assertEqual(self.cli(*show, "--max-running", "4", "--rate", "10/s", "--burst", "2").out, words)
        self.assertEqual(self.cli(*show).out, words)
        self.assertEqual(self.cli(*show, "--json").json["rate_period"], 1_000_000)
        self.assertEqual(self.cli(*show, "--none").out, "queue 'api': not limited\n")

    def test_it_holds(self) -> None:
        self.open()
        self.cli("limit", self.file, "default", "--max-running", "1")
        self.enqueue()
        self.enqueue()
        worker = self.sign_on()
        self.claim(worker)
        self.claim_nothing(worker)

    def test_misuse(self) -> None:
        self.open()
        self.assert_refused(["limit", self.file, "api", "--rate", "fast"], "give a text like '10/s'")
        self.assert_refused(["limit", self.file, "api", "--burst", "2"], "burst is given without rate")
        self.assert_refused(["limit", self.file, "api", "--none", "--max-running", "2"], "choose one")
