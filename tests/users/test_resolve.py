"""Which code may a worker run? What the file names is somebody else's word, and every way around is tried.

Each attempt runs in a process of its own whose audit hook reports the modules that were imported for it.
"""

from __future__ import annotations

import json
import os
import sys
import types
from pathlib import Path
from typing import Any
from unittest.mock import patch

from litequeue import InvalidTask, State, Task
from litequeue.errors import WorkerError
from litequeue.resolve import Resolver, import_apps, tasks_of
from litequeue.tasks import by_name
from tests.users.case import QueueCase, run_python
from tests.users.things import add
from tests.worker.case import until

# Resolves names in a fresh process. Prints, for each, whether there is a task for it, and whether any file of
# the folder, or any module that was not there before, was imported or executed meanwhile.
JUDGE = """
import json, sys
given = json.loads(sys.argv[1])
sys.path[:0] = given.get("path", [])
from litequeue import Queue
from litequeue.resolve import Resolver, import_apps
for name in given.get("before", []):
    __import__(name)
queue = Queue(":memory:")
apps = given.get("apps")
resolver = Resolver({}, queue, None if apps is None else import_apps(apps), given.get("root"))
executed = []
def audit(event, details):
    if event == "exec":
        executed.append(str(details[0].co_filename))
    elif event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn"):
        executed.append(event)
sys.addaudithook(audit)
answers = {}
for name in given["names"]:
    del executed[:]
    task = resolver.task(name)
    answers[name] = [None if task is None else task.name, sorted(set(executed))]
print(json.dumps(answers))
"""
TASKS = """
import os, subprocess, shutil, functools
from os import system
from subprocess import run
from shutil import rmtree
from litequeue import Queue
queue = Queue("jobs.db")
other = Queue("jobs.db", "other")

@queue.task
def fetch(): ...

@other.task(name="send-mail")
def send(): ...

@queue.task
async def later(): ...

def plain(): ...

class Holder:
    @queue.task
    def inside(): ...
    @property
    def trap(self): raise SystemExit("a property ran")
    task = fetch
    module = os
    def method(self): ...
    @staticmethod
    def static(): ...
    @staticmethod
    @queue.task
    def static_task(): ...

class Meta(type):
    def __getattr__(cls, name): raise SystemExit("a metaclass was asked")
class Magic(metaclass=Meta): ...
def __getattr__(name):
    if name.startswith("__"): raise AttributeError(name)  # Python itself asks for such
    raise SystemExit("the module was asked")
holder = Holder()
wrapped = functools.partial(system, "true")
alias = fetch
call = fetch.call()
"""
MARK = "raise SystemExit('this module must not run')\n"


class ResolveCase(QueueCase):
    def setUp(self) -> None:
        super().setUp()
        self.write("app.py", TASKS)

    def judge(self, *names: str, **given: Any) -> dict[str, tuple[str | None, list[str]]]:
        """For each name the task that was found, and the files that were executed to find it."""
        cwd = given.pop("cwd", self.folder)
        said = run_python("-c", JUDGE, json.dumps({"names": names, **given}), cwd=cwd)
        found: dict[str, tuple[str | None, list[str]]] = json.loads(said)
        return found

    def assert_refused(self, *names: str, **given: Any) -> None:
        """None of these is found, and no code at all is executed to see that."""
        for name, (task, executed) in self.judge(*names, **given).items():
            with self.subTest(ascii(name)):
                self.assertEqual((task, executed), (None, []))

    def assert_found(self, *names: str, **given: Any) -> None:
        self.assertEqual([task for task, _ in self.judge(*names, **given).values()], list(names))


class TestWithoutApp(ResolveCase):
    def test_tasks_under_the_root_are_found(self) -> None:
        self.write("shop/__init__.py", "")
        self.write("shop/orders.py", TASKS)
        self.write("bare/deep/orders.py", TASKS)
        self.write("my-script.py", TASKS)
        self.assert_found("app:fetch", "app:later", "shop.orders:fetch", "my-script:fetch")
        self.assert_found("bare.deep.orders:fetch", "app:Holder.static_task")
        found = self.judge("app:Holder.inside", "app:Holder.task", "app:alias")
        self.assertEqual(
            [task for task, _ in found.values()], ["app:Holder.inside", "app:fetch", "app:fetch"]
        )

    def test_the_standard_library_and_what_python_itself_holds_are_refused_unimported(self) -> None:
        self.assert_refused(
            *("os:system", "builtins:eval", "builtins:exec", "subprocess:run", "subprocess:Popen"),
            *("posix:system", "nt:system", "pickle:loads", "importlib:import_module", "shutil:rmtree"),
            *(
                "antigravity:x",
                "this:x",
                "turtle:done",
                "idlelib.idle:x",
                "lib2to3.pgen2:x",
                "test.support:x",
            ),
            *(
                "os.path:join",
                "xml.etree.ElementTree:parse",
                "_frozen_importlib:x",
                "sys:exit",
                "ctypes:CDLL",
            ),
        )

    def test_litequeue_itself_and_installed_packages_are_refused(self) -> None:
        self.assert_refused("litequeue:Queue", "litequeue.queue:Queue", "pip:main", "pip._internal:main")
        self.assert_refused("hypothesis:given", "mypy.api:run", "setuptools:setup")

    def test_names_that_are_no_modules_are_refused(self) -> None:
        self.write("folder/inner.py", MARK)
        self.assert_refused(
            *(
                "../app:fetch",
                "./app:fetch",
                "folder/inner:x",
                "folder\\inner:x",
                "/etc/passwd:x",
                ".app:fetch",
            ),
            *(
                "app.:fetch",
                "..app:fetch",
                "app..x:fetch",
                "app.py:fetch",
                "app\0:fetch",
                "app\n:fetch",
                " app:fetch",
            ),
            *(
                "app :fetch",
                "app:fetch ",
                "app:fetch\n",
                "app:",
                ":fetch",
                "app",
                "",
                ":",
                "::",
                "app::fetch",
            ),
            *(
                "app:fetch:x",
                "http://x:y",
                f"{self.folder}/app:fetch",
                "~/app:fetch",
                "$HOME:x",
                "app;os:system",
            ),
            *(
                "send-mail",
                "app:.fetch",
                "app:fetch.",
                "app:fetch()",
                "app:Holder..inside",
                "app:1",
                "\ud800:x",
            ),
        )

    def test_what_is_no_task_is_refused_though_its_module_may_be_imported(self) -> None:
        names = (
            *("system", "run", "rmtree", "os", "os.system", "subprocess.run", "plain", "queue", "queue.task"),
            *("queue.declared", "queue.enqueue", "Holder", "Holder.method", "Holder.static", "Holder.trap"),
            *(
                "Holder.module",
                "Holder.module.system",
                "holder",
                "holder.trap",
                "holder.task",
                "holder.inside",
            ),
            *(
                "wrapped",
                "call",
                "call.task",
                "fetch.function",
                "fetch.__call__",
                "fetch.enqueue",
                "fetch.__wrapped__",
            ),
            *(
                "Magic",
                "Magic.anything",
                "nothing",
                "__getattr__",
                "__builtins__",
                "__builtins__.eval",
                "__loader__",
            ),
            *(
                "__dict__",
                "__class__",
                "Holder.__dict__",
                "Holder.__class__",
                "Holder.__init__.__globals__",
                "send-mail",
            ),
            *("fetch.__globals__", "plain.__globals__", "plain.__globals__.system", "Queue", "Queue.task"),
        )
        for name, (task, executed) in self.judge(*(f"app:{name}" for name in names)).items():
            with self.subTest(name):
                self.assertIsNone(task)
                self.assertFalse({"os.system", "subprocess.Popen"} & set(executed))

    def test_a_module_without_the_part_that_is_named_is_not_imported_and_nor_is_its_package(self) -> None:
        self.write("shop/__init__.py", MARK)
        self.assert_refused("shop.missing:x", "app.missing:x", "missing:x", "missing.app:x")

    def test_a_namesake_of_the_standard_library_is_refused(self) -> None:
        for name in ("antigravity", "turtle", "mailbox", "wave"):
            self.write(f"{name}.py", MARK)
        self.write("xml/evil.py", MARK)
        self.assert_refused("antigravity:x", "turtle:x", "mailbox:x", "wave:x", "xml.evil:x")

    def test_packages_installed_inside_the_root_are_refused(self) -> None:
        for place in ("site-packages", "env/lib/python3/site-packages", "dist-packages"):
            self.write(f"{place}/installed.py", MARK)
        path = [str(self.folder / "site-packages"), str(self.folder / "dist-packages")]
        self.assert_refused(
            "installed:x", "site-packages.installed:x", "env.lib.python3.site-packages.installed:x"
        )
        self.assert_refused(
            "installed:x", "site-packages.installed:x", "dist-packages.installed:x", path=path
        )
        self.assert_refused("installed:x", root=path[0], path=path)

    def test_links_that_lead_out_of_the_root_are_refused(self) -> None:
        elsewhere = self.write("elsewhere/outside.py", MARK)
        self.write("elsewhere/pack/__init__.py", MARK)
        self.write("root/half/real.py", MARK)
        root = self.folder / "root"
        (root / "linked.py").symlink_to(elsewhere)
        (root / "pack").symlink_to(elsewhere.parent / "pack")
        (root / "folder").symlink_to(elsewhere.parent)
        (root / "half" / "__init__.py").symlink_to(elsewhere)
        self.assert_refused(
            "linked:x", "pack:x", "folder.outside:x", "folder.pack:x", "half.real:x", cwd=root
        )

    def test_the_root_itself_may_be_a_link(self) -> None:
        link = self.folder / "link"
        link.symlink_to(self.folder)
        self.assert_found("app:fetch", root=str(link))

    def test_a_folder_beside_the_root_is_not_under_it(self) -> None:
        self.write("root/here.py", TASKS)
        self.write("root-too/there.py", MARK)
        self.write("above.py", MARK)
        root = self.folder / "root"
        path = [str(self.folder / "root-too"), str(self.folder)]
        self.assert_refused("there:x", "above:x", "root-too.there:x", "root.here:fetch", cwd=root, path=path)
        self.assert_found("here:fetch", cwd=root, path=path)

    def test_a_namesake_that_python_would_take_from_elsewhere_is_refused_unimported(self) -> None:
        self.write("root/app.py", TASKS)
        self.write("root/pack/mod.py", TASKS)
        self.write("first/app.py", MARK)
        self.write("first/pack/__init__.py", MARK)
        root, first = self.folder / "root", str(self.folder / "first")
        self.assert_refused("app:fetch", "pack.mod:fetch", cwd=root, path=[first, str(root)])

    def test_a_namesake_that_was_imported_before_from_elsewhere_is_refused(self) -> None:
        self.write("root/app.py", TASKS)
        self.write("root/pack/__init__.py", "")
        self.write("root/pack/mod.py", TASKS)
        self.write("first/app.py", TASKS)
        self.write("first/pack/__init__.py", "")
        self.write("first/pack/mod.py", MARK)
        given: dict[str, Any] = {"before": ["app", "pack"], "path": [str(self.folder / "first")]}
        self.assert_refused("app:fetch", "pack.mod:fetch", cwd=self.folder / "root", **given)

    def test_a_module_that_fails_or_exits_when_imported_costs_no_more_than_its_own_jobs(self) -> None:
        for name, text in (("broken", "1 / 0"), ("leaves", "raise SystemExit(3)"), ("wrong", "def")):
            self.write(f"{name}.py", text)
        found = self.judge("broken:x", "leaves:x", "wrong:x", "app:fetch")
        self.assertEqual([task for task, _ in found.values()], [None, None, None, "app:fetch"])

    def test_the_path_is_changed_only_for_a_module_that_is_found(self) -> None:
        before = list(sys.path)
        resolver = Resolver({}, self.queue, None, str(self.folder))
        self.assertIsNone(resolver.task("nothing_of_this_name:x"))
        self.assertEqual(sys.path, before)


class TestWithApp(ResolveCase):
    def test_its_tasks_and_plain_functions_run_and_nothing_else(self) -> None:
        self.write("aside.py", MARK)
        found = self.judge(
            *("app:fetch", "send-mail", "app:Holder.inside", "app:later", "app:plain", "app:Holder.static"),
            apps=["app"],
        )
        self.assertEqual([task for task, _ in found.values()], list(found))
        self.assert_refused(
            *("aside:x", "os:system", "subprocess:run", "shutil:rmtree", "builtins:eval", "litequeue:Queue"),
            *(
                "app:system",
                "app:run",
                "app:rmtree",
                "app:os",
                "app:os.system",
                "app:subprocess.run",
                "app:queue",
            ),
            *(
                "app:queue.task",
                "app:queue.enqueue",
                "app:Holder",
                "app:Holder.module.system",
                "app:Holder.trap",
            ),
            *(
                "app:holder.trap",
                "app:holder.method",
                "app:Magic.x",
                "app:wrapped",
                "app:missing",
                "app:call",
            ),
            *(
                "app:fetch.function",
                "app:plain.__globals__",
                "app:__builtins__.eval",
                "app:__getattr__.__globals__",
            ),
            *(
                "app:",
                "app",
                ":plain",
                "",
                "app.plain",
                "app.app:plain",
                "other:plain",
                "app:plain ",
                "app:plain\n",
            ),
            apps=["app"],
        )

    def test_a_module_beside_it_is_not_imported_though_it_holds_tasks(self) -> None:
        self.write("aside.py", TASKS)
        self.assert_refused("aside:fetch", "aside:plain", apps=["app"])

    def test_tasks_that_other_modules_declared_on_its_queues_belong_to_it(self) -> None:
        self.write("parts.py", "from app import queue\n@queue.task\ndef part(): ...\ndef plain(): ...\n")
        self.write("whole.py", "from app import queue\nimport parts\n")
        self.assert_found("parts:part", "app:fetch", apps=["whole"])
        self.assert_refused("parts:plain", "app:plain", apps=["whole"])

    def test_a_task_of_this_process_does_not_pass_for_one_of_the_app(self) -> None:
        self.queue.task(name="mine")(add)
        queue = self.queue
        worker = queue.worker(burst=True)
        worker._apps = ()
        queue.enqueue("mine", 1)
        worker.start().join()
        self.assertEqual(queue.counts()[State.READY], 1)

    def test_an_app_that_can_not_be_imported_ends_the_worker_with_a_message(self) -> None:
        for name in ("no_such_module", "no_such.module", "os.no_such"):
            with self.assertRaisesRegex(WorkerError, f"--app {name}: it can not be imported from"):
                import_apps([name])

    def test_objects_that_only_look_like_queues_and_tasks(self) -> None:
        module = types.ModuleType("looks")
        task = self.queue.task(add)

        class NoQueue:
            declared = {"os:system": os.system, "other": task}  # noqa: RUF012

            def submit(self) -> None: ...

        class Asked:
            def __getattr__(self, name: str) -> Any:
                raise AssertionError("looking must not run code")

        looks: dict[str, object] = {
            "a": NoQueue(),
            "b": Asked(),
            "c": task,
            "d": {"declared": {"x": task}},
            "e": 5,
        }
        vars(module).update(looks)
        self.assertEqual([found.name for found in tasks_of(module)], [task.name])


class TestThisProcess(ResolveCase):
    def test_what_it_declared_or_enqueued_runs(self) -> None:
        self.queue.task(name="nested")(lambda: None)
        self.queue.enqueue(add, 1)
        resolver = Resolver(self.queue.runnable, self.queue)
        for name in ("nested", f"{add.__module__}:add"):
            found = resolver.task(name)
            self.assertIsInstance(found, Task)

    def test_a_name_alone_does_not_make_code_runnable(self) -> None:
        for name in ("os:system", "builtins:eval", "nested", f"{add.__module__}:add"):
            if ":" in name:
                self.queue.enqueue(name, 1)
            self.assertIsNone(Resolver(self.queue.runnable, self.queue, None, str(self.folder)).task(name))
        self.assertEqual(self.queue.drain(), 0)
        self.assertEqual(self.queue.counts()[State.READY], 3)
        with self.assertRaisesRegex(InvalidTask, "enqueued by its name"):
            by_name("os:system", self.queue, self.queue.task(add).options)("true")

    def test_what_can_not_be_resolved_waits_costs_nothing_and_is_explained(self) -> None:
        strange = self.queue.enqueue("no_such_module:x", 1)
        known = [self.queue.enqueue(add, number) for number in range(3)]
        self.assertEqual(self.queue.drain(), 3)
        self.assertEqual([job.result(0) for job in known], [1, 2, 3])
        self.assertEqual((strange.refresh().state, strange.attempt, strange.failures), ("ready", 0, 0))
        queue = self.make_queue(clock=None)
        with queue.worker():
            until(lambda: "can resolve its task 'no_such_module:x'" in queue.job(strange.id).explain())

    def test_it_runs_once_somebody_declares_it(self) -> None:
        job = self.queue.enqueue("later", 4) if "later" in self.queue.declared else None
        self.assertIsNone(job)
        job = self.queue.enqueue("mods:later", 4)
        self.assertEqual(self.queue.drain(), 0)
        self.queue.task(name="mods:later")(add)
        self.assertEqual(self.queue.drain(), 1)
        self.assertEqual(job.result(0), 5)

    def test_the_script_that_runs_is_taken_as_it_is(self) -> None:
        script = self.write("script.py", MARK)
        main = types.ModuleType("__main__")
        main.__file__ = str(script)
        main.fetch = task = self.queue.task(add)  # type: ignore[attr-defined]
        with patch.dict(sys.modules, {"__main__": main}):
            resolver = Resolver({}, self.queue, None, str(self.folder))
            self.assertIs(resolver.task("script:fetch"), task)
            self.assertIsNone(resolver.task("script:other"))


class TestWorkers(ResolveCase):
    """The same through the front door: a worker process on a file in which somebody else has written."""

    def burst(self, *options: str, cwd: Path | None = None) -> None:
        run_python("-m", "litequeue", "worker", self.path, "--burst", *options, cwd=cwd or self.folder)

    def test_a_file_can_not_make_a_worker_do_anything(self) -> None:
        done = self.folder / "done"
        names = (
            "os:system",
            "subprocess:getoutput",
            "app:system",
            "app:os.system",
            "posix:system",
            "builtins:eval",
        )
        jobs = [self.queue.enqueue(name, f"touch {done}") for name in names]
        good = self.queue.enqueue("app:fetch")
        self.burst()
        self.assertEqual(good.refresh().state, "completed")
        self.burst("--app", "app")
        self.burst("--app", "app", "--processes", "1")
        self.assertEqual({job.refresh().state for job in jobs}, {"ready"})
        self.assertEqual({job.attempt for job in jobs}, {0})
        self.assertFalse(done.exists())

    def test_the_root_is_where_the_worker_was_started(self) -> None:
        inside = self.folder / "inside"
        inside.mkdir()
        job = self.queue.enqueue("app:fetch")
        self.burst(cwd=inside)
        self.assertEqual(job.refresh().state, "ready")
        self.burst()
        self.assertEqual(job.refresh().state, "completed")
