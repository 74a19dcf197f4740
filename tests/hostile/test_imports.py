"""A worker on a file that names code: an audit hook in its processes proves that none of it is imported.

What `tests/users/test_resolve.py` asks of names one by one is asked here of whole rows, at the front door.
"""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import sys
from contextlib import closing

from tests.repository import ROOT, run
from tests.users.case import QueueCase

APP = """
import os, subprocess
from os import system
from litequeue import Queue
queue = Queue("jobs.db")

@queue.task
def fetch(*args, **kwargs): ...

@queue.task(isolate=True)
def alone(*args, **kwargs): ...

def plain(*args): ...

class Holder:
    module = os
    def method(self): ...
"""
# Python runs this first in every process that has it on its path.
AUDIT = """
import os, sys
place = os.open(os.environ["AUDIT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
def tell(event, details):
    if event == "import":
        said = f"import {details[0]}"
    elif event == "exec":
        said = f"run {details[0].co_filename}"
    elif event in ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "pickle.find_class"):
        said = f"{event} {details}"
    elif event == "subprocess.Popen":
        said = f"start {details[1][1:3]}"
    else:
        return
    os.write(place, said.replace("\\n", " ").encode(errors="replace") + b"\\n")
sys.addaudithook(tell)
"""
MARK = (
    "import pathlib; pathlib.Path(__file__).with_suffix('.ran').touch(); raise SystemExit('must not run')\n"
)
# In a folder of the worker's own, with names of the standard library that it does not use itself.
PLANTED = ("antigravity", "wave", "mailbox", "this")
NAMES = (
    *("os:system", "posix:system", "subprocess:getoutput", "builtins:eval", "builtins:exec", "pty:spawn"),
    *("antigravity:fly", "antigravity:geohash", "this:s", "wave:open", "mailbox:Mailbox", "turtle:done"),
    *(
        "idlelib.idle:x",
        "lib2to3.main:main",
        "test.support:run",
        "ensurepip:bootstrap",
        "venv:create",
        "code:interact",
    ),
    *(
        "pip:main",
        "pip._internal:main",
        "setuptools:setup",
        "hypothesis:given",
        "outside:x",
        "pack.outside:x",
    ),
    *(
        "../outside:x",
        "/etc/passwd:x",
        "..outside:x",
        "outside.py:x",
        "elsewhere/outside:x",
        "linked:x",
        "folder.outside:x",
    ),
    *(
        "__main__:main",
        "__main__:sys.exit",
        "litequeue:Queue",
        "litequeue.worker.inmate:find_task",
        "runpy:run_path",
    ),
    *("app:system", "app:os.system", "app:subprocess.run", "app:Holder.module.system"),
    *(
        "app:fetch.function",
        "app:fetch.__globals__",
        "app:plain.__globals__",
        "app:__builtins__.eval",
        "app:queue.task",
    ),
    *(
        "app:Holder.__init__.__globals__",
        "app:queue.enqueue",
        "app.fetch:x",
        "app:",
        ":fetch",
        "app",
        "",
        "x" * 10_000,
    ),
    *(
        "app:fetch\n",
        "app\0:fetch",
        "app:fetch;os:system",
        "pickle:loads",
        "importlib:import_module",
        "ctypes:CDLL",
    ),
)


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch bomb.ran",)


class TestImports(QueueCase):
    def setUp(self) -> None:
        super().setUp()
        self.home = self.folder / "home"
        self.path = self.home / "jobs.db"
        self.write("audit/sitecustomize.py", AUDIT)
        self.write("outside.py", MARK)
        self.write("home/app.py", APP)
        for name in PLANTED:
            self.write(f"home/{name}.py", MARK)
        (self.home / "linked.py").symlink_to(self.folder / "outside.py")
        (self.home / "folder").symlink_to(self.folder)
        self.queue = self.make_queue(path=self.path)
        for task in ("app:fetch", "app:alone"):
            self.queue.enqueue(task)

    def hostile_rows(self) -> int:
        """Name code in every column that can; how many rows."""
        bomb = pickle.dumps([[Bomb()], {}])
        rows: list[dict[str, object]] = [{"task": name} for name in NAMES]
        rows += [{"task": name, "queue": "default", "payload": '[["touch x.ran"],{}]'} for name in NAMES]
        rows += [
            {"task": task, "codec": codec, "payload": bomb}
            for task in ("app:fetch", "app:alone")
            for codec in CODECS
        ]
        rows += [
            {"task": task, "options": options} for task in ("app:fetch", "app:alone") for options in OPTIONS
        ]
        rows += [{"task": "app:fetch", "payload": json.dumps([[value], {}])} for value in VALUES]
        rows += [
            {"task": "app:alone", column: "os:system"}
            for column in ("meta", "tags", "progress_text", "message")
        ]
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for row in rows:
                marks = ", ".join("?" * len(row))
                statement = f"INSERT INTO litequeue_job ({', '.join(row)}) VALUES ({marks})"
                connection.execute(statement, tuple(row.values()))
        return len(rows)

    def deeds(self, *options: str) -> set[str]:
        """What the processes of a worker did until no job was left for it."""
        said = self.folder / "said"
        said.unlink(missing_ok=True)
        command = [sys.executable, "-m", "litequeue", "worker", "jobs.db", "--burst", *options]
        path = os.pathsep.join([str(self.folder / "audit"), str(ROOT)])
        ended = run(command, self.home, environment={"PYTHONPATH": path, "AUDIT": str(said)})
        self.assertEqual(ended.returncode, 0, ended.stdout)
        return set(said.read_text().splitlines())

    def test_a_file_names_code_and_nothing_of_it_is_imported(self) -> None:
        ways: tuple[list[str], ...] = ([], ["--app", "app"], ["--app", "app", "--processes", "1"])
        harmless = []
        for options in ways:
            harmless.append(self.deeds(*options))
            for task in ("app:fetch", "app:alone"):
                self.queue.enqueue(task)
        count = self.hostile_rows()
        self.assertGreater(count, 120)
        for options, before in zip(ways, harmless, strict=True):
            with self.subTest(" ".join(options)):
                self.assertLessEqual(
                    {f"run {self.home}/app.py", "start ['-m', 'litequeue.worker.inmate']"}, before
                )
                self.assertEqual(self.deeds(*options) - before, set())
        self.assertEqual(list(self.folder.rglob("*.ran")), [])
        states = self.queue.counts()
        self.assertEqual(states["running"], 0)
        self.assertGreaterEqual(states["ready"], 2 * len(NAMES))


CODECS = ("pickle", "marshal", "yaml", "os:system", "")
OPTIONS = (
    '{"retry":{"on":["os:system","antigravity:Fly"],"give_up_on":["outside:Error"]}}',
    '{"isolate":"os:system"}',
    '{"timeout":"__import__(\'antigravity\')"}',
    '{"codec":"pickle","module":"outside"}',
)
VALUES: tuple[object, ...] = (
    {"$dataclass": ["os:system", {}]},
    {"$enum": ["antigravity.Fly", "x"]},
    {"$object": ["outside", "x"]},
    {"$datetime": ["2030-01-01", 0, "../../outside"]},
    {"__reduce__": ["os.system", ["touch x.ran"]]},
    {"$Path": "outside.py"},
)
