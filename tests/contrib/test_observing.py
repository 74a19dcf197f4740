"""What others make of what we tell: OpenTelemetry of the headers, Prometheus of the metrics."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import unittest

from tests.cli.case import CommandCase
from tests.repository import ROOT, run_python
from tests.support import folder_for

EXAMPLE = ROOT / "examples" / "opentelemetry_tracing.py"
HOSTILE = ['say "no"\\', "two\nlines\r", "\x1b[2J\x07", "{}=,# ünï 漢字 \U0001f600", "\u2028\u202e", " "]
READ = """
import sys
from prometheus_client.parser import text_string_to_metric_families as read
samples = [sample for family in read(sys.stdin.buffer.read().decode()) for sample in family.samples]
print(ascii(sorted({each.labels["queue"] for each in samples if "queue" in each.labels})))
"""


def is_installed(module: str) -> bool:
    """Whether there is such a package here."""
    return importlib.util.find_spec(module) is not None


class TestObserving(CommandCase):
    @unittest.skipUnless(is_installed("opentelemetry"), "opentelemetry-sdk is not installed")
    def test_one_trace_from_the_request_over_the_retry_to_the_child(self) -> None:
        ended = run_python(["-W", "ignore", EXAMPLE], folder_for(self))
        told = (ROOT / "README.md").read_text(encoding="utf-8")
        printed = ended.stdout[ended.stdout.index("6 spans, 1 trace\n") :]
        self.assertIn(printed.rstrip("\n"), told)
        self.assertEqual(printed.count("\n"), 7)

    @unittest.skipUnless(is_installed("prometheus_client"), "prometheus_client is not installed")
    def test_the_reference_parser_reads_the_metrics(self) -> None:
        self.open()
        for name in HOSTILE:
            self.enqueue(queue=name)
        text = self.cli("metrics", self.file).out.encode()
        ended = subprocess.run(
            [sys.executable, "-c", READ], input=text, capture_output=True, timeout=60, check=True
        )
        self.assertEqual(ended.stdout.decode().strip(), ascii(sorted(HOSTILE)))
