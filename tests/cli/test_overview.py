"""`info` and `workers`."""

import io
from unittest import mock

from litequeue.cli.terminal import Terminal, wants_color
from litequeue.cli.watch import watch
from litequeue.clock import SECOND
from litequeue.job import Filter
from litequeue.storage.minutes import Minutes
from tests.cli.case import HOUR, MINUTE, NOON, CommandCase

CROWD = """
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000)
INSERT INTO litequeue_job (task, queue, state, reason, run_at, finished_at)
SELECT 'app:task', 'a queue with a rather long name',
       CASE n % 3 WHEN 0 THEN 'ready' WHEN 1 THEN 'blocked' ELSE 'cancelled' END,
       iif(n % 3 = 2, 'cancelled', NULL), :now - 10000000000, iif(n % 3 = 2, 1, NULL)
FROM n
"""


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

            queue    ready  scheduled  running  failed  completed  cancelled  oldest ready
            default      0          0        1       1          1          1             -
            mail         1          1        0       0          0          0        65 min  paused

            worker  state  name   queues         running  jobs
                 1  alive  box:7  default, mail        1  3 app:fetch 5 min
            """,
        )

    def pass_through(self, queue: str = "default") -> None:
        """What a worker would have counted."""
        minutes = Minutes(self.database, self.clock)
        for end, count in (("completed", 1200), ("failed", 3)):
            for _ in range(count):
                minutes.count(queue, end, self.clock.at - 3 * SECOND, self.clock.at - SECOND, 20_000)
        minutes.write()

    def test_shows_the_last_hour(self) -> None:
        self.open()
        self.pass_through()
        self.clock.pass_time(30 * MINUTE)
        self.pass_through("mail")
        self.assert_prints(
            ["info", self.file],
            f"""
            {self.file}: 0 jobs, 0 workers alive

            queue    ready  running  failed  completed  oldest ready
            default      0        0       0          0             -
            mail         0        0       0          0             -

            last hour  completed  failed  wait p50  wait p95  run p50  run p95
            default        1,200       3     1.9 s     1.9 s    21 ms    21 ms
            mail           1,200       3     1.9 s     1.9 s    21 ms    21 ms
            """,
        )
        passed = self.cli("info", self.file, "--json").json["queues"][0]["last_hour"]
        self.assertEqual((passed["completed"], passed["failed"], passed["retried"]), (1200, 3, 0))
        self.assertAlmostEqual(passed["wait_p50_seconds"], 2, delta=0.2)
        self.assertAlmostEqual(passed["run_p95_seconds"], 0.02, delta=0.002)
        self.clock.pass_time(31 * MINUTE)
        self.assertEqual(self.cli("info", self.file, "--json").json["queues"][0]["queue"], "mail")

    def test_fits_eighty_columns(self) -> None:
        self.fill()
        self.database.write(lambda c: c.execute(CROWD, {"now": NOON}))
        self.pass_through("a queue with a rather long name")
        for line in self.cli("info", self.file, is_terminal=True, width=80).out.splitlines():
            self.assertLessEqual(len(line), 80, line)

    def test_says_what_is_unhealthy(self) -> None:
        self.open()
        self.enqueue()
        self.assert_prints(
            ["info", self.file],
            f"""
            {self.file}: 1 job, 0 workers alive

            ! queue 'default': 1 ready, and no live worker serves it

            queue    ready  running  failed  completed  oldest ready
            default      1        0       0          0           0 s
            """,
        )
        (alarm,) = self.cli("info", self.file, "--json").json["alarms"]
        self.assertEqual((alarm["kind"], alarm["about"]), ("no worker", "default"))

    def test_a_worker_with_more_jobs_than_are_shown(self) -> None:
        self.open()
        worker = self.sign_on()
        for _ in range(6):
            self.enqueue()
            self.claim(worker)
            self.clock.pass_time(10 * SECOND)
        self.assertIn(
            "1 app:fetch 60 s, 2 app:fetch 50 s, 3 app:fetch 40 s, and 3 more",
            self.cli("info", self.file).out,
        )
        found = self.cli("info", self.file, "--json").json["workers"][0]
        self.assertEqual([job["id"] for job in found["jobs"]], [1, 2, 3, 4, 5, 6])

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
                "last_hour": {
                    "completed": 0,
                    "failed": 0,
                    "retried": 0,
                    "wait_p50_seconds": None,
                    "wait_p95_seconds": None,
                    "run_p50_seconds": None,
                    "run_p95_seconds": None,
                },
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

    def test_watch_draws_over_what_it_drew(self) -> None:
        self.open()
        self.clock.last_nap = 2
        ended = self.cli("info", self.file, "--watch", is_terminal=True, width=80)
        begin, *frames = ended.out.split("\x1b[H")
        self.assertEqual(begin, "\x1b[?25l\x1b[?7l\x1b[2J")
        self.assertEqual(frames[0], f"{self.file}: 0 jobs, 0 workers alive\x1b[K\n\x1b[J")
        self.assertEqual(frames[1], f"{frames[0]}\x1b[?7h\x1b[?25h")  # the cursor is given back

    def test_watch_keeps_within_the_window_however_it_changes(self) -> None:
        self.open()
        for number in range(30):
            self.enqueue(queue=f"a queue with quite a long name, {number}")
        sizes = [(80, 10), (60, 24), (200, 100)]
        self.clock.last_nap = len(sizes)
        ended = self.cli("info", self.file, "--watch", width=80, sizes=sizes[:])
        for (columns, lines), frame in zip(sizes, ended.out.split("\x1b[H")[1:], strict=True):
            drawn = frame.partition("\x1b[J")[0].replace("\x1b[K", "").splitlines()
            self.assertLess(len(drawn), lines)
            self.assertLessEqual(max(map(len, drawn[2:])), columns)
        self.assertIn("… and 86 more lines", ended.out)

    def test_watch_gives_the_cursor_back_when_it_ends_by_an_error(self) -> None:
        self.open()
        out, measure = io.StringIO(), mock.Mock(side_effect=OSError)
        terminal = Terminal(out, out, out, self.clock, width=80, measure=measure)
        with self.assertRaises(OSError):
            watch(terminal, 1, lambda _: [])
        self.assertTrue(out.getvalue().endswith("\x1b[?7h\x1b[?25h"))

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
            for code in ("0", "1", "2", "31", "32", "33"):
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
            id  state  task                      queue    when  tags
             1  ready  a.package.o…_some_length  default  now   a long tag, …
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
        for argv in (["info"], ["list"], ["show", "1"], ["explain", "1"], ["workers"], ["errors"], ["logs"]):
            for json in ([], ["--json"]):
                with self.subTest(argv + json):
                    ended = self.cli(argv[0], self.file, *argv[1:], *json)
                    unsafe = {c for c in ended.out + ended.err if not c.isprintable()} - {"\n"}
                    self.assertEqual(unsafe, set())
                    self.assertNotIn("\nlitequeue: all is well", ended.out)
        self.assertEqual(self.reports.count(Filter()), 1)
