"""`metrics`: Prometheus' text format."""

import re
import shutil
import subprocess
import unittest

from hypothesis import given, settings
from hypothesis import strategies as st

from litequeue import metrics
from litequeue.clock import SECOND
from litequeue.storage.minutes import Minutes
from litequeue.traffic import Times, Traffic, measured
from tests.cli.case import HOUR, MINUTE, NOON, CommandCase
from tests.repository import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
HOSTILE = ['say "no"\\', "two\nlines\r", "\x1b[2J\x07", "{}=,# ünï 漢字 \U0001f600", "\u2028\u202e", " "]
INSERT = "INSERT INTO litequeue_job (task, queue) VALUES ('app:task', ?)"
LABEL = re.compile(r'(\w+)="((?:[^"\\\n]|\\[\\n"])*)"')
LINE = re.compile(rf"(\w+)(?:\{{({LABEL.pattern}(?:,{LABEL.pattern})*)\}})? (\S+)")

READINGS = metrics.Readings(
    at=NOON,
    queues=[],
    totals={"mail": Traffic(2, 1, 0, measured([5_000_000]), measured([1500, 3000, 2**40]))},
    workers={"alive": 2, "dead": 1},
    threads=8,
    alarms={"dead worker": 1, "stuck schedule": 2},
    file_bytes=40960,
    free_bytes=4096,
    log_bytes=0,
)


class TestExposition(unittest.TestCase):
    maxDiff = None

    def test_is_this_text(self) -> None:
        text = metrics.exposition(READINGS)
        buckets = [line for line in text.splitlines() if "_bucket" in line and "run" in line]
        self.assertEqual(
            "\n".join(line for line in text.splitlines() if "_bucket" not in line),
            """\
# HELP litequeue_jobs Jobs in the file.
# TYPE litequeue_jobs gauge
# HELP litequeue_oldest_ready_age_seconds How long the oldest ready job has been due; 0 if none is.
# TYPE litequeue_oldest_ready_age_seconds gauge
# HELP litequeue_queue_paused Whether the queue is paused.
# TYPE litequeue_queue_paused gauge
# HELP litequeue_attempts_total Attempts that ended, by what became of their job.
# TYPE litequeue_attempts_total counter
litequeue_attempts_total{queue="mail",outcome="completed"} 2
litequeue_attempts_total{queue="mail",outcome="failed"} 1
litequeue_attempts_total{queue="mail",outcome="retried"} 0
# HELP litequeue_wait_seconds From when a job was due to its start; the sum is right to 9 %.
# TYPE litequeue_wait_seconds histogram
litequeue_wait_seconds_sum{queue="mail"} 5.439339
litequeue_wait_seconds_count{queue="mail"} 1
# HELP litequeue_run_seconds From the start of an attempt to its end; the sum is right to 9 %.
# TYPE litequeue_run_seconds histogram
litequeue_run_seconds_sum{queue="mail"} 1199025.936982
litequeue_run_seconds_count{queue="mail"} 3
# HELP litequeue_workers Workers that signed on and did not sign off.
# TYPE litequeue_workers gauge
litequeue_workers{state="alive"} 2
litequeue_workers{state="stopping"} 0
litequeue_workers{state="dead"} 1
# HELP litequeue_worker_threads Jobs that the live workers can run at once.
# TYPE litequeue_worker_threads gauge
litequeue_worker_threads 8
# HELP litequeue_schedules_overdue Schedules due for over a minute that nobody fires.
# TYPE litequeue_schedules_overdue gauge
litequeue_schedules_overdue 2
# HELP litequeue_alarms What `info` calls unhealthy.
# TYPE litequeue_alarms gauge
litequeue_alarms{kind="dead worker"} 1
litequeue_alarms{kind="stuck schedule"} 2
# HELP litequeue_file_bytes The file, as SQLite counts its pages.
# TYPE litequeue_file_bytes gauge
litequeue_file_bytes 40960
# HELP litequeue_file_free_bytes The part of it that holds nothing.
# TYPE litequeue_file_free_bytes gauge
litequeue_file_free_bytes 4096
# HELP litequeue_log_bytes The file's write-ahead log.
# TYPE litequeue_log_bytes gauge
litequeue_log_bytes 0""",
        )
        self.assertEqual(len(buckets), 24)
        self.assertEqual(
            [*buckets[:4], *buckets[-2:]],
            [
                'litequeue_run_seconds_bucket{queue="mail",le="0.001024"} 0',
                'litequeue_run_seconds_bucket{queue="mail",le="0.002048"} 1',
                'litequeue_run_seconds_bucket{queue="mail",le="0.004096"} 2',
                'litequeue_run_seconds_bucket{queue="mail",le="0.008192"} 2',
                'litequeue_run_seconds_bucket{queue="mail",le="4294.967296"} 2',
                'litequeue_run_seconds_bucket{queue="mail",le="+Inf"} 3',
            ],
        )

    def test_the_readme_names_each_of_them(self) -> None:
        told = README.partition("\n## Metrics\n")[2].partition("\n## ")[0]
        shown = re.findall(r"(?m)^# TYPE (\w+)", metrics.exposition(READINGS))
        self.assertEqual(re.findall(r"`(litequeue_\w+)`", told), shown)

    @given(st.lists(st.integers(0, 2**50), max_size=50))
    @settings(max_examples=50, deadline=None)
    def test_a_bucket_holds_what_is_shorter_than_its_edge(self, lengths: list[int]) -> None:
        times = measured(lengths)
        for edge in metrics.EDGES:
            self.assertEqual(times.below(edge), sum(length < edge for length in lengths))

    @given(st.lists(st.integers(1000, 2**50), max_size=50))
    @settings(max_examples=50, deadline=None)
    def test_the_sum_is_as_right_as_it_says(self, lengths: list[int]) -> None:
        self.assertAlmostEqual(measured(lengths).sum, sum(lengths), delta=0.1 * sum(lengths))
        self.assertEqual(Times().sum, 0)


class TestMetrics(CommandCase):
    def numbers(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """What the command prints, read by the rules of the format."""
        ended = self.cli("metrics", self.file)
        self.assertEqual((ended.err, ended.code), ("", 0))
        found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for line in ended.out.removesuffix("\n").split("\n"):
            if not line.startswith("#"):
                match = LINE.fullmatch(line)
                assert match, line
                labels = frozenset((name, unescaped(text)) for name, text in LABEL.findall(match[2] or ""))
                self.assertNotIn((match[1], labels), found)
                found[match[1], labels] = float(match[7])
        return found

    def number(self, name: str, **labels: str) -> float:
        return self.numbers()[f"litequeue_{name}", frozenset(labels.items())]

    def test_an_empty_file_has_only_what_is_not_about_queues(self) -> None:
        self.open()
        self.assertEqual(
            {name.removeprefix("litequeue_") for name, _ in self.numbers()},
            {
                "workers",
                "worker_threads",
                "schedules_overdue",
                "file_bytes",
                "file_free_bytes",
                "log_bytes",
            },
        )
        self.assertGreater(self.number("file_bytes"), 0)

    def test_a_file_that_is_not_there_is_refused(self) -> None:
        self.assert_refused(["metrics", self.file], "no such file")

    def test_tells_what_is_in_the_file(self) -> None:
        self.open()
        worker = self.sign_on("mail")
        self.enqueue(queue="mail", run_at=NOON - HOUR)
        self.enqueue(queue="mail", run_at=NOON - MINUTE)
        self.claim(worker, "mail")
        self.store.pause("mail")
        self.assertEqual(self.number("jobs", queue="mail", state="ready"), 1)
        self.assertEqual(self.number("jobs", queue="mail", state="running"), 1)
        self.assertEqual(self.number("oldest_ready_age_seconds", queue="mail"), 60)
        self.assertEqual(self.number("queue_paused", queue="mail"), 1)
        self.assertEqual(self.number("workers", state="alive"), 1)
        self.assertEqual(self.number("worker_threads"), 2)

    def test_counters_do_not_fall_when_minutes_are_forgotten(self) -> None:
        self.open()
        minutes = Minutes(self.database, self.clock)
        for count in range(1, 8):
            minutes.count("mail", "completed", self.clock.at - SECOND, self.clock.at, 20_000)
            minutes.write()
            self.assertEqual(self.number("attempts_total", queue="mail", outcome="completed"), count)
            self.clock.pass_time(8 * HOUR)
        self.assertEqual(self.number("run_seconds_count", queue="mail"), 7)

    def test_counts_the_queue_whose_jobs_are_gone(self) -> None:
        self.open()
        minutes = Minutes(self.database, self.clock)
        minutes.count("gone", "failed")
        minutes.write()
        self.assertEqual(self.number("attempts_total", queue="gone", outcome="failed"), 1)
        self.assertNotIn(
            ("litequeue_jobs", "gone"), {(name, dict(at).get("queue")) for name, at in self.numbers()}
        )

    def test_a_hostile_name_is_a_label_like_any_other(self) -> None:
        self.open()
        self.database.write(lambda c: c.executemany(INSERT, [(name,) for name in HOSTILE]))
        for name in HOSTILE:
            self.assertEqual(self.number("jobs", queue=name, state="ready"), 1)

    def test_a_hostile_name_can_not_act_on_a_terminal(self) -> None:
        self.open()
        self.database.write(lambda c: c.executemany(INSERT, [(name,) for name in HOSTILE]))
        shown = self.cli("metrics", self.file, width=80).out
        self.assertTrue(all(line.isprintable() for line in shown.split("\n")))

    def fill(self) -> bytes:
        """What the command prints of a file with a bit of everything."""
        self.open()
        self.sign_on("default")
        self.database.write(lambda c: c.executemany(INSERT, [(name,) for name in HOSTILE]))
        minutes = Minutes(self.database, self.clock)
        for name in HOSTILE:
            minutes.count(name, "completed", self.clock.at - SECOND, self.clock.at, 20_000)
        minutes.write()
        return self.cli("metrics", self.file).out.encode()

    @unittest.skipUnless(shutil.which("promtool"), "promtool (Debian's package prometheus) is not installed")
    def test_promtool_finds_nothing_to_say(self) -> None:
        ended = subprocess.run(
            ["promtool", "check", "metrics"], input=self.fill(), capture_output=True, timeout=60, check=False
        )
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, b"", b""))


def unescaped(text: str) -> str:
    """The value of a label."""
    return re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), text)
