"""The shape of the house, read from its source: a broken rule names the file and line that breaks it.

Each rule is run over the package, and over a snippet that breaks it, so that none passes by seeing nothing.
"""

import re
import subprocess
import textwrap
import unittest

from tests import rules
from tests.repository import PACKAGE, ROOT
from tests.source import Module

TOP_LEVEL = {"pyproject.toml", "README.md", "litequeue", "tests", "benchmarks", "examples"}

MODULES = [Module.read(path, PACKAGE) for path in sorted(PACKAGE.rglob("*.py"))]
NAMES = {module.name for module in MODULES}


class TestArchitecture(unittest.TestCase):
    def assert_holds(self, rule: rules.Rule) -> None:
        findings = [finding for module in MODULES for finding in rule(module)]
        if findings:
            self.fail("\n".join(findings))

    def test_the_gate_runs_every_module_of_tests_in_one_of_its_halves(self) -> None:
        script = (ROOT / ".ci" / "run").read_text()
        halves = [path for glob in re.findall(r"tests/\S*test_\*\.py", script) for path in ROOT.glob(glob)]
        elsewhere = [*ROOT.glob("tests/contrib/*/test_*.py")]  # which need the frameworks' environment
        self.assertEqual(sorted(halves + elsewhere), sorted(ROOT.glob("tests/**/test_*.py")))

    def test_the_package_is_seen(self) -> None:
        self.assertLessEqual({"__init__", "job", "queue", "storage.database", "worker.loop"}, NAMES)

    def test_imports_go_down(self) -> None:
        self.assert_holds(rules.imports_go_down)

    def test_imports_make_no_ring(self) -> None:
        self.assertEqual(rules.cycles(MODULES), [])

    def test_imports_only_the_standard_library(self) -> None:
        self.assert_holds(rules.imports_only_the_standard_library)

    def test_execution_does_not_see_the_store(self) -> None:
        self.assert_holds(rules.execution_does_not_see_the_store)

    def test_sqlite_stays_in_storage(self) -> None:
        self.assert_holds(rules.sqlite_stays_in_storage)

    def test_sql_stays_in_storage(self) -> None:
        self.assert_holds(rules.sql_stays_in_storage)

    def test_sql_is_made_of_constants(self) -> None:
        self.assert_holds(rules.sql_is_made_of_constants)

    def test_powers_have_one_owner(self) -> None:
        self.assert_holds(rules.powers_have_one_owner)

    def test_pickle_stays_in_its_codec(self) -> None:
        self.assert_holds(rules.pickle_stays_in_its_codec)

    def test_nothing_is_swallowed(self) -> None:
        self.assert_holds(rules.nothing_is_swallowed)

    def test_nothing_happens_at_import(self) -> None:
        self.assert_holds(rules.nothing_happens_at_import)

    def test_nothing_is_global(self) -> None:
        self.assert_holds(rules.nothing_is_global)

    def test_modules_are_short(self) -> None:
        self.assert_holds(rules.modules_are_short)

    def test_functions_are_short(self) -> None:
        self.assert_holds(rules.functions_are_short)

    def test_nine_functions_in_ten_are_very_short(self) -> None:
        lengths = [
            (rules.length(each), module.at(each.lineno, each.name))
            for module in MODULES
            for each in module.functions()
        ]
        long = [where for lines, where in lengths if lines > rules.USUAL_FUNCTION_LINES]
        self.assertLessEqual(len(long) * 10, len(lengths), "\n" + "\n".join(long))

    def test_classes_are_narrow(self) -> None:
        self.assert_holds(rules.classes_are_narrow)

    def test_the_top_level_is_fixed(self) -> None:
        listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        try:
            files = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            self.skipTest(f"git can not list the files here: {error}")
        entries = {line.partition("/")[0] for line in files.splitlines()}
        self.assertEqual({entry for entry in entries if not entry.startswith(".")} - TOP_LEVEL, set())

    def test_every_test_is_found(self) -> None:
        folders = {file.parent for file in (ROOT / "tests").rglob("test_*.py")}
        lost = [folder.name for folder in folders if not (folder / "__init__.py").exists()]
        self.assertEqual(lost, [], "unittest looks only into packages")


class TestRules(unittest.TestCase):
    """Each rule finds the lines marked `# bad` in a snippet, and no other."""

    def assert_finds(self, rule: rules.Rule, name: str, text: str) -> None:
        marked = {n for n, line in enumerate(text.splitlines(), 1) if line.endswith("# bad")}
        self.assertTrue(marked, "a snippet without a bad line proves nothing")
        self.assertEqual(self.found(rule, name, text), marked)

    def assert_allows(self, rule: rules.Rule, name: str, text: str) -> None:
        self.assertEqual(self.found(rule, name, text), set())

    def found(self, rule: rules.Rule, name: str, text: str) -> set[int]:
        return {int(finding.split(":")[1]) for finding in rule(Module(name, textwrap.dedent(text)))}

    def test_imports_go_down(self) -> None:
        text = """\
            import json
            import litequeue.queue  # bad
            from litequeue import storage, Queue  # bad
            from .. import worker  # bad
            from litequeue import errors
        """
        self.assert_finds(rules.imports_go_down, "storage.store", text)
        self.assert_allows(rules.imports_go_down, "cli.show", text)
        self.assert_finds(rules.imports_go_down, "attic", "# bad")

    def test_the_door_is_inside_a_function(self) -> None:
        text = """\
            from litequeue.worker import loop  # bad
            def worker():
                from litequeue.worker import loop
        """
        self.assert_finds(rules.imports_go_down, "doors", text)
        self.assert_finds(rules.imports_go_down, "tasks", text.replace("loop\n", "loop  # bad\n"))

    def test_imports_make_no_ring(self) -> None:
        ring = [Module("a", "from litequeue.b import x"), Module("b", "from litequeue import a")]
        line = [Module("c", "import litequeue.d"), Module("d", "def f():\n    import litequeue.c")]
        self.assertEqual(rules.cycles(ring + line), ["a", "b"])

    def test_imports_only_the_standard_library(self) -> None:
        text = "import json\nimport requests  # bad\nfrom litequeue import job"
        self.assert_finds(rules.imports_only_the_standard_library, "cli", text)

    def test_a_face_for_a_framework_imports_that(self) -> None:
        text = "import django.db\nfrom django_tasks import task\nimport celery  # bad"
        self.assert_finds(rules.imports_only_the_standard_library, "contrib.django.backend", text)
        everywhere = text.replace("db\n", "db  # bad\n").replace("task\n", "task  # bad\n")
        self.assert_finds(rules.imports_only_the_standard_library, "contrib.djangos", everywhere)

    def test_execution_does_not_see_the_store(self) -> None:
        text = "from litequeue.storage import store  # bad"
        self.assert_finds(rules.execution_does_not_see_the_store, "worker.execution", text)
        self.assert_allows(rules.execution_does_not_see_the_store, "worker.loop", text)

    def test_sqlite_stays_in_storage(self) -> None:
        text = """\
            from sqlite3 import Connection
            from sqlite3 import Row  # bad
            import sqlite3  # bad
        """
        self.assert_finds(rules.sqlite_stays_in_storage, "queue", text)
        self.assert_finds(rules.sqlite_stays_in_storage, "job", text.replace("tion\n", "tion  # bad\n"))
        self.assert_allows(rules.sqlite_stays_in_storage, "storage.database", text)

    def test_sql_stays_in_storage(self) -> None:
        text = """\
            'SELECT id FROM litequeue_jobs'
            a = 'SELECT the job of the list'
            b = f'DELETE FROM {table}'  # bad
            c = 'PRAGMA user_version'  # bad
            d = b.execute('UPDATE jobs SET state = 1')  # bad
        """
        self.assert_finds(rules.sql_stays_in_storage, "queue", text)
        self.assert_allows(rules.sql_stays_in_storage, "storage.store", text)

    def test_sql_is_made_of_constants(self) -> None:
        text = """\
            A = f'SELECT id FROM {B}'
            def f(name):
                a = f'SELECT id FROM {TABLE} WHERE {RULE}'
                b = f'SELECT id FROM jobs WHERE name = {name!r}'  # bad
                c = f'DELETE FROM {name}'  # bad
                d = 'SELECT id FROM jobs WHERE name = ' + name  # bad
                e = 'SELECT id FROM %s' % name  # bad
                g = 'DELETE FROM {}'.format(name)  # bad
                h = f'{name} was not found'
                i = f'PRAGMA synchronous = {durability.name}'
        """
        self.assert_finds(rules.sql_is_made_of_constants, "storage.store", text)

    def test_powers_have_one_owner(self) -> None:
        text = """\
            import time as t
            from datetime import datetime
            from time import sleep
            t.monotonic()  # bad
            datetime.now()  # bad
            call_later(sleep)  # bad
            clock.now()
            t.strftime('')
        """
        self.assert_finds(rules.powers_have_one_owner, "queue", text)
        self.assert_allows(rules.powers_have_one_owner, "clock", text)

    def test_powers_are_told_apart(self) -> None:
        text = """\
            import importlib, os, sqlite3, subprocess, sys, yaml
            print()  # bad
            sys.stderr.write('')  # bad
            eval('1')  # bad
            __import__('os')  # bad
            os.system('true')  # bad
            yaml.load('x')  # bad
            importlib.import_module('os')  # bad
            subprocess.run('true')  # bad
            job.print()
            sqlite3.connect('x')
        """
        self.assert_finds(rules.powers_have_one_owner, "storage.connecting", text)
        self.assert_finds(rules.powers_have_one_owner, "cli.show", "print(exec('1'))  # bad")
        self.assert_finds(
            rules.powers_have_one_owner, "storage.store", "import sqlite3\nsqlite3.connect # bad"
        )

    def test_pickle_stays_in_its_codec(self) -> None:
        text = """\
            import pickle
            class PickleCodec:
                def decode(self): return pickle.loads
            def decode():
                return pickle.loads  # bad
        """
        self.assert_finds(rules.pickle_stays_in_its_codec, "codec", text)
        self.assert_finds(rules.pickle_stays_in_its_codec, "job", text.replace("loads\n", "loads  # bad\n"))

    def test_nothing_is_swallowed(self) -> None:
        text = """\
            import contextlib
            try: f()
            except Exception: pass  # bad
            try: f()
            except OSError: pass
            try: f()
            except: raise  # bad
            with contextlib.suppress(Exception): f()  # bad
            with contextlib.suppress(OSError): f()
            try: f()
            except Exception: log()
        """
        self.assert_finds(rules.nothing_is_swallowed, "queue", text)

    def test_nothing_happens_at_import(self) -> None:
        text = """\
            'Docstring.'
            import re
            A = re.compile(' '.join('ab'))
            B = open('x')  # bad
            C = lambda: open('x')
            SQL = TEXT.replace('a', 'b')
            print()  # bad
            for x in A: pass  # bad
            class D:
                e = read()  # bad
            E = D()
            if A:
                D.register()  # bad
            def f(): open('x')
            if __name__ == '__main__':
                f()
        """
        self.assert_finds(rules.nothing_happens_at_import, "queue", text)

    def test_nothing_is_global(self) -> None:
        self.assert_finds(rules.nothing_is_global, "queue", "def f():\n    global x  # bad\n    x = 1")

    def test_modules_are_short(self) -> None:
        self.assert_finds(rules.modules_are_short, "queue", "\n" * 400 + "# bad")
        self.assert_allows(rules.modules_are_short, "queue", "\n" * 400)

    def test_functions_are_short(self) -> None:
        self.assert_finds(rules.functions_are_short, "queue", "\ndef f():  # bad\n" + "    x\n" * 40)
        self.assert_allows(rules.functions_are_short, "queue", "def f():\n" + "    x\n" * 39)

    def test_classes_are_narrow(self) -> None:
        methods = [f"    def m{number}(self): pass\n" for number in range(26)]
        attribute = "    @property\n    def a(self): pass\n"
        self.assert_finds(rules.classes_are_narrow, "queue", "class A:  # bad\n" + "".join(methods))
        self.assert_allows(rules.classes_are_narrow, "queue", "class A:\n" + attribute + "".join(methods[1:]))
