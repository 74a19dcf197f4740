"""`worker` and `demo`, as real processes."""

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import unittest
from pathlib import Path

from litequeue.cli import demo
from litequeue.cli.demo_tasks import survey
from litequeue.clock import SystemClock
from litequeue.job import Filter, State
from litequeue.storage.database import Database
from litequeue.storage.reports import Reports
from tests.cli.case import CommandCase
from tests.repository import CHECKOUT, run, run_python

APP = """
import litequeue
queue = litequeue.Queue("jobs.db")

@queue.task
def double(number):
    return 2 * number

@queue.task(retry=1)
def stumble():
    raise ValueError("over \\x1b[31m a stone")

def plain():
    return "plain"
"""


class TestWorker(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        (self.place / "app.py").write_text(APP)
        self.open()

    def work(self, *options: str) -> str:
        """What a worker logs until it has nothing to do any more."""
        ended = run_python(["-m", "litequeue", "worker", "jobs.db", "--burst", *options], self.place)
        self.assertEqual(ended.returncode, 0, ended.stdout)
        return ended.stdout

    def state_of(self, id: int) -> State:
        return self.reports.job(id).state

    def test_runs_the_tasks_of_an_app(self) -> None:
        self.enqueue("app:double", payload="[[21],{}]")
        self.enqueue("app:stumble")
        self.enqueue("app:plain")
        said = self.work("--app", "app", "--threads", "2")
        self.assertRegex(said, r"claim job=1 task=app:double attempt=1")
        self.assertRegex(said, r"complete job=1 task=app:double attempt=1")
        self.assertRegex(said, r"fail job=2 task=app:stumble attempt=1")
        self.assertNotIn("\x1b", said)
        self.assertEqual([self.state_of(id) for id in (1, 2, 3)], ["completed", "failed", "completed"])
        self.assertEqual(self.reports.result(1).body, "42")

    def test_logs_json(self) -> None:
        self.enqueue("app:double", payload="[[21],{}]")
        lines = [json.loads(line) for line in self.work("--app", "app", "--log-json").splitlines()]
        self.assertTrue(any("complete job=1 task=app:double" in line["message"] for line in lines))

    def test_runs_processes(self) -> None:
        for number in range(20):
            self.enqueue("app:double", payload=f"[[{number}],{{}}]")
        self.work("--app", "app", "--processes", "2")
        self.assertEqual(self.reports.count(Filter(state=State.COMPLETED)), 20)

    def test_serves_the_queues_it_is_told(self) -> None:
        for queue in ("mail", "web", "default"):
            self.enqueue("app:plain", queue)
        self.work("--app", "app", "--queues", "web,mail")
        self.assertEqual([self.state_of(id) for id in (1, 2, 3)], ["completed", "completed", "ready"])

    def test_stops_after_so_many_jobs(self) -> None:
        for _ in range(3):
            self.enqueue("app:plain")
        self.work("--app", "app", "--max-jobs", "2")
        self.assertEqual(self.reports.count(Filter(state=State.READY)), 1)

    def test_without_an_app_plain_functions_stay_where_they_are(self) -> None:
        self.enqueue("app:double", payload="[[1],{}]")
        self.enqueue("app:plain")
        self.enqueue("os:getcwd")
        self.work()
        self.assertEqual([self.state_of(id) for id in (1, 2, 3)], ["completed", "ready", "ready"])
        self.assertTrue(self.reports.job(3).parked)

    def test_an_app_that_can_not_be_imported(self) -> None:
        for more in ([], ["--processes", "2"]):
            ended = run_python(["-m", "litequeue", "worker", "jobs.db", "--app", "gone", *more], self.place)
            self.assertEqual(ended.returncode, 2)
            self.assertIn("gone", ended.stdout)
            self.assertNotIn("Traceback", ended.stdout)

    def test_a_signal_ends_it(self) -> None:
        with subprocess.Popen(
            [sys.executable, "-m", "litequeue", "worker", "jobs.db", "--app", "app"],
            cwd=self.place,
            env=os.environ | CHECKOUT,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            self.assertIn("jobs.db", process.stderr.readline())
            self.enqueue("app:plain")
            self.store.hint(["default"])
            for line in process.stderr:
                if "complete job=1" in line:
                    break
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(30), 0)
        self.assertEqual(self.cli("workers", self.file).code, 1)


class TestDemo(CommandCase):
    def test_it_surveys_the_standard_library(self) -> None:
        ended = run_python(["-m", "litequeue", "demo", "--file", "jobs.db"], self.place)
        self.assertEqual(ended.returncode, 0, ended.stdout)
        files = demo.source_files(Path(sysconfig.get_path("stdlib")))
        self.assertGreater(len(files), 500)
        self.open()
        counts = self.reports.counts("default")
        failed = self.reports.jobs(Filter(state=State.FAILED), limit=1000)
        broken = [json.loads(self.reports.payload(job.id)[0])[0][0] for job in failed]
        self.assertEqual(counts[State.COMPLETED] + len(broken), len(files))
        self.assertEqual([file for file in broken if parses(file)], [])
        self.assertIn(f"{len(files):,} source files", ended.stdout)
        self.assertRegex(
            ended.stdout, rf"(?m)^completed +{counts[State.COMPLETED]:,} +[\d,]+ +[\d,]+ +[\d,]+$"
        )
        for file in broken:
            self.assertRegex(ended.stdout, rf"(?m)^ *\d+  {re.escape(file)} +\w*Error: ")
        self.assertNotIn("\x1b", ended.stdout)
        self.try_what_it_says(ended.stdout)

    def try_what_it_says(self, said: str) -> None:
        """The three commands at its end do work."""
        commands = re.findall(r"(?m)^  \S+ -m litequeue (.*)$", said)
        self.assertEqual([command.split()[0] for command in commands], ["info", "list", "show"])
        for command in commands:
            self.assertIn(run_python(["-m", "litequeue", *command.split()], self.place).returncode, (0, 1))

    def test_it_says_so_when_its_workers_can_not_start(self) -> None:
        nested = {**CHECKOUT, "LITEQUEUE_CHILD": "1"}  # in which a worker refuses to start others
        command = [sys.executable, "-m", "litequeue", "demo"]
        ended = run(command, self.place, environment=nested)
        self.assertEqual(ended.returncode, 2)
        self.assertIn(
            "the demo's worker ended with code 2: litequeue: a worker process may not", ended.stdout
        )
        self.assertNotIn("Traceback", ended.stdout)

    @unittest.skipUnless(hasattr(os, "killpg"), "needs process groups")
    def test_an_interrupted_demo_can_go_on(self) -> None:
        self.open()
        with subprocess.Popen(
            [sys.executable, "-m", "litequeue", "demo"],
            cwd=self.place,
            env=os.environ | CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            said = "".join(itertools.takewhile(lambda line: "Running them" not in line, process.stdout))
            self.wait_for_a_result(self.place / "litequeue-demo.db")
            os.killpg(process.pid, signal.SIGINT)
            said += process.stdout.read()
        self.assertEqual(process.returncode, 1, said)
        self.assertRegex(
            said, r"Stopped\. To go on: .* worker litequeue-demo\.db --app litequeue\.cli\.demo_tasks"
        )
        ended = run_python(["-m", "litequeue", "workers", "litequeue-demo.db"], self.place)
        self.assertEqual(ended.stdout, "no worker has signed on\n")

    def wait_for_a_result(self, file: Path) -> None:
        database = Database(str(file), read_only=True)
        self.addCleanup(database.close)
        while not Reports(database).count(Filter(state=State.COMPLETED)):
            SystemClock().sleep(0.01)

    def test_it_takes_a_free_name(self) -> None:
        self.enterContext(contextlib.chdir(self.place))
        self.assertEqual(demo.new_file(None), "litequeue-demo.db")
        Path("litequeue-demo.db").touch()
        Path("litequeue-demo-2.db").touch()
        self.assertEqual(demo.new_file(None), "litequeue-demo-3.db")

    def test_what_a_job_counts(self) -> None:
        file = self.place / "some.py"
        file.write_text("class A:\n    def f(self): ...\n    async def g(self): ...\n\n\nlambda: 1\n")
        self.assertEqual(survey(str(file)), {"functions": 2, "classes": 1, "lines": 6})
        file.write_text("def f(:")
        with self.assertRaises(SyntaxError):
            survey(str(file))


def parses(file: str) -> bool:
    try:
        survey(file)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
