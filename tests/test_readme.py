"""The README is true: its programs run, its commands work, its links lead somewhere.

Its blocks are one story, told in one directory from top to bottom. A ```python block is a program that must
run to its end; `<!-- file: app.py -->` on the line before gives it that name for later commands, and
`<!-- not run: reason -->` has it only compiled. In a ```console block each line that begins with `$ ` is
a command. Those of litequeue are run and must say what is shown, numbers aside; those that stay (a worker
without --burst, --watch, a dashboard), the demo, which is long and has its own test, and those of other
programs are only seen to exist.
"""

import importlib.util
import os
import re
import shlex
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

from tests.markdown import Block, anchors, blocks, links
from tests.repository import ROOT, run

README = ROOT / "README.md"
DEMO = "python3 -m litequeue demo"
TEST = "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/python -m unittest"
LITEQUEUE = re.compile(r"(?:\S*python3? -m )?litequeue(?: |$)")
ONLY_SEEN = {"dashboard", "demo", "--watch"}


class TestReadme(unittest.TestCase):
    def setUp(self) -> None:
        self.text = README.read_text()
        self.place = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_it_opens_with_the_demo_then_the_tests(self) -> None:
        commands = [line for block in blocks(self.text) for line in block.text.splitlines()]
        first = [line.removeprefix("$ ") for line in commands if DEMO in line or TEST in line]
        self.assertEqual(first[:2], [DEMO, TEST])

    def test_its_links_lead_somewhere(self) -> None:
        for link in links(self.text):
            path, _, anchor = link.partition("#")
            with self.subTest(link):
                if path and "://" not in path:
                    self.assertTrue((ROOT / path).exists(), "no such file")
                elif not path:
                    self.assertIn(anchor, anchors(self.text))

    def test_its_story_runs(self) -> None:
        told = list(blocks(self.text))
        self.assertTrue({"python", "console"} <= {block.language for block in told})
        for block in told:
            with self.subTest(line=block.line):
                if block.language == "python":
                    self.check_program(block)
                elif block.language == "console":
                    self.check_commands(block)

    def check_program(self, block: Block) -> None:
        file = block.marked("file") or f"line{block.line}.py"
        (self.place / file).write_text(block.text)
        self.run_python(*(["-m", "py_compile"] if block.marked("not run") else []), file)

    def check_commands(self, block: Block) -> None:
        for command, shown in block.commands():
            with self.subTest(command):
                words = shlex.split(command, comments=True)
                if LITEQUEUE.match(command):
                    self.check_litequeue(LITEQUEUE.sub("", command, count=1), shown)
                elif words[0] == "echo":
                    self.run_shell(command)
                else:
                    self.assertTrue(exists(words), "no such program")

    def check_litequeue(self, line: str, shown: str) -> None:
        arguments = shlex.split(line, comments=True)
        if ONLY_SEEN & set(arguments) or (arguments[0] == "worker" and "--burst" not in arguments):
            self.check_options(arguments)
            return
        said = self.run_shell(f"{shlex.quote(sys.executable)} -m litequeue {line}")
        if shown:
            pattern = re.escape(shape(shown)).replace("…", ".*")
            self.assertRegex(shape(said), rf"\A{pattern}\Z")

    def check_options(self, arguments: list[str]) -> None:
        known = self.run_python("-m", "litequeue", arguments[0], "--help")
        for option in arguments[1:]:
            if option.startswith("-"):
                self.assertIn(option.partition("=")[0], known)

    def run_python(self, *arguments: str) -> str:
        return self.run_shell(shlex.join([sys.executable, *arguments]))

    def run_shell(self, command: str) -> str:
        finished = run(["sh", "-c", command], self.place)
        self.assertEqual(finished.returncode, 0, finished.stdout)
        return finished.stdout


def exists(words: list[str]) -> bool:
    """Whether the program is here: `.venv/bin/x` stands for x, and `python -m x` needs the module x."""
    program = words[0].removeprefix(".venv/bin/")
    if program.startswith("python") and words[1:2] == ["-m"]:
        return importlib.util.find_spec(words[2]) is not None
    return os.access(ROOT / program, os.X_OK) or shutil.which(program) is not None


def shape(output: str) -> str:
    """An output without what differs from run to run: numbers, widths, folders, how long ago it was."""
    output = re.sub(r"\S*/(?=jobs\.db)|[\w-]+/(?=app\.py)", "", re.sub(r"\d[\d,.:]*", "0", output))
    output = re.sub(r"\b0 (µs|ms|min)\b", "0 s", re.sub(r" +", " ", output))
    return re.sub(r"\b0 s ago", "now", output).replace(" \n", "\n").strip()
