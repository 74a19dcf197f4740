"""What is shipped works: a wheel is built, installed where nothing else is, and used there."""

import shutil
import subprocess
import sys
import tempfile
import unittest
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from tests.repository import ROOT, run

NO_CHECKOUT: Mapping[str, str] = MappingProxyType({"PYTHONPATH": ""})
APP = """
from litequeue import Queue

queue = Queue("jobs.db")

@queue.task
def double(number: int) -> int:
    return 2 * number

if __name__ == "__main__":
    jobs = [double.enqueue(number) for number in range(3)]
    queue.drain()
    print([job.result(timeout=5) for job in jobs])
    double.enqueue(3)
"""


class TestWheel(unittest.TestCase):
    scratch: ClassVar[Path]
    wheel: ClassVar[Path]
    programs: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        cls.scratch = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.wheel = build_wheel(copy_sources(cls.scratch / "source"), cls.scratch / "wheels")
        cls.programs = install(cls.wheel, cls.scratch / "environment")

    def assert_prints(self, expected: str, program: str, *arguments: str) -> None:
        finished = run([self.programs / program, *arguments], self.scratch, environment=NO_CHECKOUT)
        self.assertEqual(finished.returncode, 0, finished.stdout)
        self.assertIn(expected, finished.stdout)

    def test_it_holds_the_package_and_nothing_else(self) -> None:
        files = set(zipfile.ZipFile(self.wheel).namelist())
        self.assertLessEqual({"litequeue/py.typed", "litequeue/storage/schema.sql"}, files)
        for name in ("index.html", "app.js", "elements.js", "pages.js", "plots.js", "style.css", "icon.svg"):
            self.assertIn(f"litequeue/web/static/{name}", files)
        roots = {file.partition("/")[0] for file in files}
        self.assertEqual(roots, {"litequeue", "litequeue-0.1.0.dist-info"})

    def test_it_needs_nothing_else(self) -> None:
        metadata = zipfile.ZipFile(self.wheel).read("litequeue-0.1.0.dist-info/METADATA").decode()
        needs = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:")]
        self.assertEqual([need for need in needs if "extra ==" not in need], [])

    def test_its_command_says_its_version(self) -> None:
        self.assert_prints("0.1.0", "litequeue", "--version")
        self.assert_prints("usage: ", "litequeue", "demo", "--help")

    def test_it_runs_jobs(self) -> None:
        (self.scratch / "app.py").write_text(APP)
        self.assert_prints("[0, 2, 4]", "python", "app.py")
        self.assert_prints("ready", "litequeue", "info", "jobs.db")
        self.assert_prints("", "litequeue", "worker", "jobs.db", "--app", "app", "--burst")
        self.assert_prints("completed", "python", "-m", "litequeue", "show", "jobs.db", "4")


def copy_sources(target: Path) -> Path:
    """A build writes beside its sources, so it gets its own."""
    target.mkdir()
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, target)
    shutil.copytree(ROOT / "litequeue", target / "litequeue", ignore=shutil.ignore_patterns("__pycache__"))
    return target


def build_wheel(source: Path, target: Path) -> Path:
    """Build with the setuptools at hand where it can; else pip fetches one."""
    for isolation in (["--no-build-isolation"], []):
        built = pip("wheel", "--no-deps", "--wheel-dir", target, *isolation, source)
        if built.returncode == 0:
            return next(target.glob("*.whl"))
    if "No matching distribution found for setuptools" in built.stdout:
        raise unittest.SkipTest("no setuptools here that builds a wheel, and no network to fetch one")
    raise AssertionError(built.stdout)


def install(wheel: Path, environment: Path) -> Path:
    """Install a wheel into a new environment that has no pip, and return the folder of its programs."""
    venv.create(environment)
    programs = environment / ("Scripts" if sys.platform == "win32" else "bin")
    installed = pip("--python", programs / "python", "install", "--no-index", wheel)
    if installed.returncode:
        raise AssertionError(installed.stdout)
    return programs


def pip(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "pip", *arguments], ROOT, environment=NO_CHECKOUT)
