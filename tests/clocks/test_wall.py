"""The wall clock is set an hour forward, an hour back, stands still, or jumps while everybody works."""

from __future__ import annotations

import random
import signal
import threading
import time

from litequeue import State
from tests.clocks.case import HOUR, ClockCase
from tests.support import PATIENCE_SECONDS, Program
from tests.worker.case import until

# What four ways of asking for the wall time say, and the monotonic clock.
TELL = """
import datetime, sqlite3, time
ask = sqlite3.connect(":memory:").execute
while input() == "tell":
    said = ask("SELECT (julianday('now') - 2440587.5) * 86400").fetchone()[0]
    read = time.clock_gettime(time.CLOCK_REALTIME)
    print(time.time(), datetime.datetime.now().timestamp(), read, said, time.monotonic(), flush=True)
"""
ADD_HOURLY = """
from tests.clocks.tasks import queue, tell
queue.schedules.add("hourly", tell.call(), every=3600)
print("added")
"""


class TestShim(ClockCase):
    """The tests below prove something only if the clock of the workers is set, and no other."""

    def test_it_shifts_the_wall_clock_of_all_and_no_other_clock(self) -> None:
        program = Program(self, TELL)

        def offsets() -> list[int]:
            program.tell("tell")
            *walls, monotonic = map(float, program.hear().split())
            return [round((each - time.time()) / 60) for each in walls] + [
                round((monotonic - time.monotonic()) / 60)
            ]

        self.assertEqual(offsets(), [0, 0, 0, 0, 0])
        self.wall.shift(HOUR)
        self.assertEqual(offsets(), [60, 60, 60, 60, 0])
        self.wall.freeze(-HOUR)
        self.assertEqual(offsets(), [-60, -60, -60, -60, 0])

    def test_a_worker_lives_by_it(self) -> None:
        self.wall.shift(-HOUR)
        self.worker()
        told = self.produce("tell").result(PATIENCE_SECONDS)
        self.assertAlmostEqual(told, time.time() - HOUR, delta=60)


class TestLeases(ClockCase):
    def test_none_ends_early_in_a_worker_that_lives(self) -> None:
        job = self.produce("until", str(self.mark))
        first = self.worker()
        self.assertEqual(first.hear(), "began 1")
        self.worker()  # which would take the job over
        wall = self.wall
        settings = ((wall.shift, HOUR), (wall.shift, -HOUR), (wall.freeze, -HOUR))
        for place, (setting, seconds) in enumerate(settings):
            with self.subTest(place):
                setting(seconds)
                self.outlive_a_lease()
                self.assertEqual((job.refresh().state, job.attempt), (State.RUNNING, 1))
        self.mark.touch()
        self.assertEqual(job.result(PATIENCE_SECONDS), 1)

    def test_the_job_of_a_killed_worker_is_taken_over_though_the_clock_went_back(self) -> None:
        job = self.produce("until", str(self.mark))
        first = self.worker()
        self.assertEqual(first.hear(), "began 1")
        self.wall.shift(-HOUR)
        second = self.worker()
        until(lambda: len(self.queue.workers()) == 2, "the second worker")
        first.kill()
        self.assertEqual(second.hear(), "began 2")
        self.mark.touch()
        self.assertEqual((job.result(PATIENCE_SECONDS), job.snapshot.crashes), (2, 1))

    def test_the_lease_of_a_stopped_worker_ends_though_the_clock_went_back(self) -> None:
        job = self.produce("until", str(self.mark))
        first = self.worker()
        self.assertEqual(first.hear(), "began 1")
        self.wall.freeze(-HOUR)
        first.kill(signal.SIGSTOP)
        second = self.worker()
        self.assertEqual(second.hear(), "began 2")
        self.mark.touch()
        self.assertEqual(job.result(PATIENCE_SECONDS), 2)
        first.kill(signal.SIGCONT)
        until(lambda: len(self.queue.workers()) == 2, "the first worker signing on anew")
        self.assertEqual((job.refresh().state, job.attempt), (State.COMPLETED, 2))


class TestTimes(ClockCase):
    lease_seconds = 30.0

    def test_a_time_limit_is_no_matter_of_the_wall(self) -> None:
        worker = self.worker("threads=2")
        long = self.produce("within", str(self.mark))
        self.assertEqual(worker.hear(), "began 1")
        self.wall.shift(HOUR)  # beyond the limit of the long one
        short = self.produce("overrun")
        self.assertEqual(worker.hear(), "began 1")
        self.wall.freeze(-HOUR)  # before the short one began
        self.assertEqual((short.wait(PATIENCE_SECONDS), short.reason), (State.FAILED, "timeout"))
        self.assertEqual(long.refresh().state, State.RUNNING)
        self.mark.touch()
        self.assertEqual(long.result(PATIENCE_SECONDS), 1)

    def test_due_times_and_waits_between_tries_are_wall_time(self) -> None:
        self.worker()
        later = self.produce("tell", delay=HOUR)
        failing = self.produce("stumble")
        until(lambda: failing.refresh().failures == 1, "the first try")
        for setting, seconds in ((self.wall.shift, -HOUR), (self.wall.freeze, -60), (self.wall.shift, 0)):
            setting(seconds)
            self.assertIsNotNone(self.produce("tell").result(PATIENCE_SECONDS))
            self.assertEqual(
                (later.refresh().state, failing.refresh().state), (State.SCHEDULED, State.SCHEDULED)
            )
        self.wall.shift(HOUR + 60)
        self.assertEqual(failing.result(PATIENCE_SECONDS), 2)
        self.assertIsNotNone(later.result(PATIENCE_SECONDS))
        self.assertEqual((later.attempt, failing.attempt), (1, 2))

    def test_a_schedule_fires_once_for_each_of_its_instants_whatever_way_the_clock_goes(self) -> None:
        half_past = time.time() // HOUR * HOUR + HOUR / 2
        self.wall.stand_at(half_past)
        Program(self, ADD_HOURLY).hear()
        self.worker()
        for hours, fired in ((1, 1), (0, 1), (-1, 1), (1, 1), (3, 2), (1, 2), (4, 3)):
            self.wall.stand_at(half_past + hours * HOUR)
            self.assertIsNotNone(self.produce("tell").result(PATIENCE_SECONDS))
            with self.subTest(hours):
                self.assert_fired(fired)

    def assert_fired(self, times: int) -> None:
        """So often, each for an instant of its own."""
        asked = "SELECT count(*), count(DISTINCT scheduled_for) FROM litequeue_job WHERE schedule = 'hourly'"
        until(lambda: self.value(asked) >= times, "the firing")
        row = self.queue.desk.database.read(lambda c: c.execute(asked).fetchone())
        self.assertEqual(row, (times, times))


class TestJumps(ClockCase):
    """Workers and producers at work, one worker killed, and the clock jumping all the while."""

    JOBS_EACH = 200

    def test_nothing_is_lost_and_nothing_done_twice(self) -> None:
        code = (
            "from tests.clocks.tasks import work\n"
            f"for number in range({self.JOBS_EACH}):\n"
            "    work.using(delay=number % 3 * 0.05, priority=number % 2).enqueue(number)\n"
            "print('done', flush=True)"
        )
        workers = [self.worker("threads=2") for _ in range(2)]
        producers = [Program(self, code) for _ in range(2)]
        stop, jumper = self.jump(random.Random(4))
        for producer in producers:
            self.assertEqual(producer.hear(), "done")
        workers[0].kill()
        self.worker("threads=2")
        stop.set()
        jumper.join()
        self.wall.shift(
            3 * HOUR
        )  # by which all that waits is due, whatever the clock was when it was told to
        jobs = 2 * self.JOBS_EACH
        until(lambda: self.queue.counts()[State.COMPLETED] == jobs, "the last of them")
        self.assertEqual(self.value("SELECT count(DISTINCT job) FROM ended"), jobs)
        self.assertEqual({job.result(0) for job in self.queue.jobs(limit=jobs)}, set(range(self.JOBS_EACH)))

    def jump(self, chance: random.Random) -> tuple[threading.Event, threading.Thread]:
        """Set the clock every few milliseconds until the event is set."""
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(0.01):
                move = self.wall.freeze if chance.random() < 0.2 else self.wall.shift
                move(chance.uniform(-HOUR, HOUR))

        jumper = threading.Thread(target=run, daemon=True)
        jumper.start()
        self.addCleanup(stop.set)
        return stop, jumper
