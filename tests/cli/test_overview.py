"""`info` and `workers`."""

from litequeue.cli.terminal import wants_color
from litequeue.job import Filter
from tests.cli.case import HOUR, MINUTE, NOON, CommandCase


class TestInfo(CommandCase):
    def fill(self) -> None:
        """Two queues with something in every state but `blocked`."""
        self.open()
        worker = self.sign_on("default", "mail")
        self.enqueue()
        self.complete_next(worker)
        self.enqueue()
        self.fail_next(worker)
        self.enqueue()
        self.claim(worker)
        self.enqueue()
        self.store.cancel(4)
        self.clock.pass_time(5 * MINUTE)
        self.enqueue("app:mail", "mail", run_at=NOON - HOUR)
        self.enqueue("app:mail", "mail", run_at=NOON + HOUR)
        self.store.pause("mail")

    def test_counts_jobs_by_queue_and_state(self) -> None:
        self.fill()
        self.assert_prints(
            ["info", self.file],
            f"""
            {self.file}: 6 jobs, 1 worker alive

            queue    scheduled  ready  running  completed  failed  cancelled  waiting
            default          0      0        1          1       1          1        -
            mail             1      1        0          0       0          0   65 min  paused
            """,
        )

    def test_as_json(self) -> None:
        self.fill()
        found = self.cli("info", self.file, "--json").json
        self.assertEqual(found["workers_alive"], 1)
        self.assertEqual([queue["queue"] for queue in found["queues"]], ["default", "mail"])
        self.assertEqual(
            found["queues"][1],
            {
                "queue": "mail",
                "paused": True,
                "counts": {
                    "scheduled": 1,
                    "blocked": 0,
                    "ready": 1,
                    "running": 0,
                    "completed": 0,
                    "failed": 0,
                    "cancelled": 0,
                },
                "oldest_ready_seconds": 3900.0,
            },
        )

    def test_of_an_empty_queue(self) -> None:
        self.open()
        self.assert_prints(
            ["info", self.file],
            f"""
            {self.file}: 0 jobs, 0 workers alive
            """,
        )

    def test_watch_shows_it_until_interrupted(self) -> None:
        self.open()
        self.clock.last_nap = 3
        ended = self.cli("info", self.file, "--watch", "--every", "2s")
        self.assertEqual((ended.code, ended.out.count(": 0 jobs")), (0, 3))
        self.assertEqual(self.clock.naps, [2.0, 2.0, 2.0])
        self.assertNotIn("\x1b", ended.out)

    def test_watch_clears_a_terminal(self) -> None:
        self.open()
        self.clock.last_nap = 2
        ended = self.cli("info", self.file, "--watch", is_terminal=True, width=80)
        self.assertEqual(ended.out.count("\x1b[H\x1b[2J"), 2)

    def test_watch_as_json_prints_a_line_each_time(self) -> None:
        self.open()
        self.clock.last_nap = 2
        ended = self.cli("info", self.file, "--watch", "--json", is_terminal=True, width=80)
        self.assertEqual([line[0] for line in ended.out.splitlines()], ["{", "{"])


class TestWorkers(CommandCase):
    def test_lists_the_living_and_the_dead(self) -> None:
        self.open()
        self.sign_on("default", "mail")
        second = self.sign_on("mail")
        self.workers.announce_stop(second)
        third = self.sign_on()
        assert self.database.side is not None
        self.database.side.release(third)
        self.enqueue()
        self.claim(1)
        self.clock.pass_time(5_000_000)
        self.assert_prints(
            ["workers", self.file],
            """
            id  state     name   process  threads  running  queues         started  seen
             1  alive     box:7        7        2        1  default, mail  5 s ago  5 s ago
             2  stopping  box:7        7        2        0  mail           5 s ago  5 s ago
             3  dead      box:7        7        2        0  default        5 s ago  5 s ago
            """,
        )
        self.assertEqual(
            [row["alive"] for row in self.cli("workers", self.file, "--json").json], [True, True, False]
        )

    def test_a_lease_that_ended_is_a_death(self) -> None:
        self.open()
        self.sign_on()
        self.clock.pass_time(HOUR)
        ended = self.cli("workers", self.file)
        self.assertIn("dead", ended.out)
        self.assertEqual(ended.code, 1)

    def test_says_no_when_there_are_none(self) -> None:
        self.open()
        self.assert_prints(
            ["workers", self.file],
            """
            no worker has signed on
            """,
            code=1,
        )
        self.assertEqual(self.cli("workers", self.file, "--json").json, [])


class TestLooks(CommandCase):
    """What a person sees: colours, widths, and nothing that a stored text could do to the terminal."""

    def test_colours_only_where_they_are_wanted(self) -> None:
        self.open()
        worker = self.sign_on()
        self.enqueue()
        self.fail_next(worker)
        self.assertIn("\x1b[31m", self.cli("info", self.file, color=True).out)
        self.assertNotIn("\x1b", self.cli("info", self.file, is_terminal=True, width=80).out)

    def test_a_colour_moves_no_column(self) -> None:
        self.open()
        worker = self.sign_on()
        self.enqueue()
        self.fail_next(worker)
        self.enqueue()
        for argv in (["list", self.file], ["info", self.file], ["show", self.file, "1"]):
            painted = self.cli(*argv, color=True).out
            for code in ("0", "1", "2", "31", "33"):
                painted = painted.replace(f"\x1b[{code}m", "")
            self.assertEqual(painted, self.cli(*argv).out)

    def test_the_environment_may_forbid_colours(self) -> None:
        self.assertTrue(wants_color({"TERM": "xterm"}))
        self.assertTrue(wants_color({"NO_COLOR": ""}))
        self.assertFalse(wants_color({"NO_COLOR": "1", "TERM": "xterm"}))
        self.assertFalse(wants_color({"TERM": "dumb"}))

    def test_columns_give_way_to_the_width(self) -> None:
        self.open()
        self.enqueue(
            "a.package.of.some.length:a_function_of_some_length", tags='["a long tag", "and another one"]'
        )
        self.assert_prints(
            ["list", self.file],
            """
            id  state  task                queue    when  tags
             1  ready  a.packag…me_length  default  now   a long tag, and an…
            """,
            width=65,
        )

    def test_wide_characters_keep_the_columns(self) -> None:
        self.open()
        self.enqueue("app:fetch", "漢字")
        self.enqueue("app:fetch", "cafe\u0301")
        self.assert_prints(
            ["list", self.file],
            """
            id  state  task       queue  when
             2  ready  app:fetch  cafe\u0301   now
             1  ready  app:fetch  漢字   now
            """,
        )

    def test_stored_text_can_not_act_on_the_terminal(self) -> None:
        self.open()
        evil = "\x1b]0;owned\x07\x9b31m\u202egnp\r\nlitequeue: all is well\u2028"
        worker = self.sign_on(evil)
        self.enqueue(evil, evil, tags=f'["{chr(0x202E)}"]', payload="[[\x1b[2J],{}]", meta="\x1b[H")
        self.store.pause(evil)
        self.store.resume(evil)
        self.fail_next(worker, queue=evil)
        for argv in (["info"], ["list"], ["show", "1"], ["explain", "1"], ["workers"]):
            for json in ([], ["--json"]):
                with self.subTest(argv + json):
                    ended = self.cli(argv[0], self.file, *argv[1:], *json)
                    unsafe = {c for c in ended.out + ended.err if not c.isprintable()} - {"\n"}
                    self.assertEqual(unsafe, set())
                    self.assertNotIn("\nlitequeue: all is well", ended.out)
        self.assertEqual(self.reports.count(Filter()), 1)
