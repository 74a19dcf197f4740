"""Which code a worker may run for the name that a job carries. See "Which code may run" in the README."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import FunctionType, ModuleType
from typing import Any

from .errors import WorkerError
from .log import log
from .names import INTERACTIVE, module_name
from .options import NO_OPTIONS
from .tasks import Producer, Task, make_task

AnyTask = Task[..., Any]


class Resolver:
    """Finds the task of a name, or says that this worker may not run it.

    `declared` are the tasks of this very process. With `apps` the tasks of those modules may run, and nothing
    else; without, tasks in modules under `root` may.
    """

    def __init__(
        self,
        declared: Mapping[str, AnyTask],
        producer: Producer,
        apps: Sequence[ModuleType] | None = None,
        root: str | None = None,
    ) -> None:
        self._declared = declared
        self.producer = producer
        self._apps = None if apps is None else {app.__name__: app for app in apps}
        self._root = os.path.realpath(root or os.getcwd())
        self._found: dict[str, AnyTask | None] = {}

    def declared(self) -> list[AnyTask]:
        """The tasks that this worker knows before it meets their jobs."""
        if self._apps is None:
            return list(self._declared.values())
        return [task for app in self._apps.values() for task in tasks_of(app)]

    def task(self, name: str) -> AnyTask | None:
        """The task to run for this name, or None. May import a module, so never ask inside a transaction."""
        if name in self._declared:
            return self._declared[name]
        if name not in self._found:
            self._found[name] = self._search(name)
        return self._found[name]

    def _search(self, name: str) -> AnyTask | None:
        if self._apps is not None:
            return self._in_apps(name, self._apps)
        module_name, _, dotted = name.partition(":")
        if not (_is_module_name(module_name) and all(part.isidentifier() for part in dotted.split("."))):
            return None
        try:
            module = self.imported(module_name)
        except (Exception, SystemExit):  # the module's own code may do anything; the job waits for a worker
            log.exception("import of %r, for the task %r, failed", module_name, name)
            return None
        return None if module is None else self.accepted(name, attribute(module, dotted))

    def _in_apps(self, name: str, apps: Mapping[str, ModuleType]) -> AnyTask | None:
        for app in apps.values():
            for task in tasks_of(app):
                if task.name == name:
                    return task
        module_name, _, dotted = name.partition(":")
        function = attribute(apps[module_name], dotted) if module_name in apps else None
        if isinstance(function, FunctionType) and function.__module__ == module_name:
            return make_task(function, name, self.producer, NO_OPTIONS)
        return None

    def accepted(self, name: str, found: object) -> AnyTask | None:
        """The task that this is, found under its name; a face for a framework knows other kinds."""
        return found if isinstance(found, Task) else None

    def imported(self, name: str) -> ModuleType | None:
        """The module of this name, imported only if it lies under the root."""
        spec = self._spec_under_root(name)
        if spec is None:
            return None
        main = sys.modules["__main__"]
        if _is_same_file(getattr(main, "__file__", None), spec.origin):
            return main  # the script that runs: to import it would be to run it once more
        if self._root not in sys.path:
            sys.path.insert(0, self._root)
        parts = name.split(".")
        names = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
        return sys.modules[name] if all(map(self._import_if_ours, names)) else None

    def _import_if_ours(self, name: str) -> bool:
        """Import one module, after its parents, unless Python would take it from elsewhere.

        Another module of the same name may come first on the path, or have been imported before.
        """
        module = sys.modules.get(name)
        if module is not None:
            held = vars(module)  # without asking its own __getattr__
            place, is_folder = held.get("__file__"), "__path__" in held
        else:
            spec = importlib.util.find_spec(name)
            if spec is None:
                return False
            place = spec.origin if spec.has_location else None
            is_folder = spec.submodule_search_locations is not None
        if not (is_folder if place is None else self._is_ours(place)):
            return False
        importlib.import_module(name)
        return True

    def _spec_under_root(self, name: str) -> ModuleSpec | None:
        """Where the module lies, if that and its parents are found under the root; nothing is imported."""
        if name.partition(".")[0] in sys.stdlib_module_names:
            return None
        places: Sequence[str] | None = [self._root]
        spec: ModuleSpec | None = None
        for part in name.split("."):
            # By its own name alone: for a dotted one the parent would have to be imported.
            spec = None if places is None else PathFinder.find_spec(part, places)
            if spec is None or (spec.origin is not None and not self._is_ours(spec.origin)):
                return None
            locations = spec.submodule_search_locations
            places = None if locations is None else list(locations)
        return spec if spec is not None and spec.origin is not None else None

    def _is_ours(self, path: str) -> bool:
        real = os.path.realpath(path)
        if not real.startswith(self._root.rstrip(os.sep) + os.sep):
            return False
        return not {"site-packages", "dist-packages"} & set(real.split(os.sep)) and not _is_library(real)


def resolver_by(maker: str, queue: Producer) -> Resolver:
    """The resolver that `module:function` makes for a queue; named by the program, never by a file."""
    module, _, function = maker.partition(":")
    resolver: Resolver = getattr(importlib.import_module(module), function)(queue)
    return resolver


def import_apps(names: Iterable[str]) -> list[ModuleType]:
    """The modules that `--app` names. Raises `WorkerError` when one can not be imported."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    return [_import_app(name) for name in names]


def _import_app(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # the module's own code may raise anything
        raise WorkerError(
            f"--app {name}: it can not be imported from {os.getcwd()}: {type(error).__name__}: {error}"
        ) from error


def tasks_of(module: ModuleType) -> list[AnyTask]:
    """The tasks a module declares: those in its namespace, and those of the queues in it."""
    found: list[AnyTask] = []
    for value in list(vars(module).values()):
        if isinstance(value, Task):
            found.append(value)
        declared = vars(value).get("declared") if hasattr(value, "__dict__") else None
        if isinstance(declared, dict) and hasattr(type(value), "submit"):
            found.extend(task for task in declared.values() if isinstance(task, Task))
    return found


def modules_of(tasks: Iterable[AnyTask]) -> dict[str, ModuleType]:
    """The modules that hold these tasks and are loaded whole, under the names that their tasks bear.

    None for tasks of a queue that only a function knows, which may know more of them; nor for a prompt.
    """
    found: dict[str, ModuleType] = {}
    for task in tasks:
        module = sys.modules.get(getattr(task.function, "__module__", None) or "")
        name = module_name(task.function)
        if module is None or name in found or name == INTERACTIVE or _is_loading(module):
            continue
        if any(each is task for each in tasks_of(module)):
            found[name] = module
    return found


def _is_loading(module: ModuleType) -> bool:
    """Whether its import has not ended, as Python's own importer notes it."""
    return bool(getattr(vars(module).get("__spec__"), "_initializing", False))


def attribute(module: ModuleType, dotted: str) -> object:
    """What a module holds under a dotted name, through classes only and without running descriptors.

    Of a staticmethod it is the function, or the task, that was made one.
    """
    found: object = module
    for part in dotted.split("."):
        if not isinstance(found, (ModuleType, type)) or (
            found is not module and isinstance(found, ModuleType)
        ):
            return None
        found = vars(found).get(part)
    return found.__func__ if type(found) is staticmethod else found


def _is_library(path: str) -> bool:
    places = (sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib"))
    return any(path.startswith(os.path.realpath(place) + os.sep) for place in places if place)


def _is_module_name(name: str) -> bool:
    """Whether each part names a file beside others; a script may well be called `my-app.py`."""
    return all(part.replace("-", "_").isidentifier() for part in name.split("."))


def _is_same_file(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and os.path.realpath(one) == os.path.realpath(other)
