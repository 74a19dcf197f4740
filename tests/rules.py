"""The rules of the house: each is a function from a module of the package to its findings.

The tables come first: the floors, the one door, who owns which power, and the measures of size.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.source import Function, Module

# Imports go down this list, never up; a room is a module or a folder of the package.
FLOORS = (
    {
        "errors",
        "directives",
        "clock",
        "retry",
        "cron",
        "crontab",
        "dialects",
        "timing",
        "codec",
        "job",
        "traffic",
        "keys",
        "headers",
        "rates",
        "retention",
        "portable",
        "names",
        "options",
        "mold",
        "log",
        "tags",
    },
    {"storage"},
    {
        "casting",
        "declaring",
        "hooks",
        "graphs",
        "context",
        "desk",
        "handle",
        "tasks",
        "schedules",
        "steps",
        "resolve",
        "doctor",
        "explain",
        "health",
        "metrics",
        "doors",
        "queue",
        "workflow",
    },
    {"worker"},
    {"messages", "aio", "executor", "futures", "raised", "scheduler", "spawned", "testing"},
    {"__init__"},
    {"cli", "web", "contrib", "__main__"},
)
# The doors upwards, by an import inside a function or for annotations: a queue makes its own faces.
DOORS = {
    ("queue", "messages"),
    ("doors", "worker"),
    ("doors", "executor"),
    ("doors", "messages"),
    ("doors", "aio"),
}
# Rooms that may name `sqlite3.Connection`, and no more of sqlite3: a user hands them one or is handed one.
NAME_CONNECTIONS = {
    "casting",
    "graphs",
    "options",
    "mold",
    "context",
    "handle",
    "queue",
    "steps",
    "worker.inmate",
    "worker.keeper",
    "worker.outcome",
    "worker.transaction",
    "contrib.django.sharing",
}
# Rooms for the users of a framework import that too; nobody else imports anything but the standard library.
FRAMEWORKS = {"contrib.django": {"asgiref", "django", "django_tasks"}}
# A job's outcome is decided without the store; only the loop settles.
WITHOUT_STORE = {"worker.execution", "worker.sandbox"}

MODULE_LINES = 400
FUNCTION_LINES = 40
USUAL_FUNCTION_LINES = 20
PUBLIC_METHODS = 25


@dataclass(frozen=True)
class Power:
    """Something that only its owners may do: `names` are what it is done with."""

    verb: str
    names: re.Pattern[str]
    owners: tuple[str, ...]

    def is_held_by(self, module: str) -> bool:
        return any(is_in(module, owner) for owner in self.owners)


def is_in(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


POWERS = (
    Power(
        "reads the time or sleeps",
        re.compile(
            r"time\.(time|monotonic|perf_counter|process_time|thread_time|clock_gettime)(_ns)?|time\.sleep"
            r"|asyncio\.sleep|(datetime\.)?(datetime|date)\.(now|utcnow|today)"
        ),
        ("clock",),
    ),
    Power("opens a connection", re.compile(r"sqlite3(\.dbapi2)?\.connect"), ("storage.connecting",)),
    Power("prints", re.compile(r"print|input|sys\.(__)?(stdout|stderr)(__)?(\..*)?"), ("cli", "__main__")),
    Power(
        "runs data as code",
        re.compile(
            r"eval|exec|compile|__import__|(marshal|shelve|runpy|code|codeop|yaml|dill|cloudpickle)\..*"
            r"|os\.(system|popen|exec\w+|spawn\w+|posix_spawnp?)"
        ),
        (),
    ),
    Power(
        "imports by name",
        re.compile(
            r"importlib\.(import_module|reload|__import__|util\.module_from_spec|machinery\.Source.*)"
        ),
        ("resolve", "worker.process", "worker.inmate", "contrib.django.finding"),
    ),
    Power(
        "starts a program",
        re.compile(
            r"subprocess\.(Popen|run|call|check_\w+|get\w*output)|pty\.\w+|asyncio\.create_subprocess_\w+"
        ),
        ("worker.supervisor", "worker.sandbox", "cli.demo"),
    ),
)

SQL = re.compile(
    r"\bSELECT\s.*\bFROM\b|\bINSERT\s+(OR\s+\w+\s+)?INTO\b|\bUPDATE\s+\S+\s+SET\b|\bDELETE\s+FROM\b"
    r"|\b(CREATE|DROP|ALTER)\s+(UNIQUE\s+)?(TABLE|INDEX|VIEW|TRIGGER)\b|\bPRAGMA\s+\w|\bBEGIN\s+IMMEDIATE\b",
    re.DOTALL,
)

# Parts of statements that are no constants, and come from nobody but us.
SQL_PARTS = {"durability.name", "step + 1"}

# What may be called while a module is imported: it makes a constant, and touches nothing outside.
CONSTANT_MAKERS = re.compile(
    r"frozenset|set|tuple|list|dict|object|type|range|len|max|min|sum|sorted|float|int|str|bytes|zip|enumerate"
    r"|property|staticmethod|classmethod|functools\.partial|operator\.\w+|dataclasses\.field|enum\.auto"
    r"|typing\.(TypeVar|ParamSpec|NewType|cast|get_args)|types\.MappingProxyType|collections\.namedtuple"
    r"|contextvars\.ContextVar|logging\.getLogger|log\.Log|re\.compile|struct\.Struct|json\.JSON\w+coder"
    r"|datetime\.(date|time|datetime|timedelta)|decimal\.Decimal|pathlib\.(Path|PurePath)"
    r"|[A-Z_]+\.(format|join|replace|split|items|keys|values)"
)

Rule = Callable[[Module], Iterator[str]]


def room_of(target: str) -> str | None:
    """The room an import leads to, `storage` for `litequeue.storage.database`; None outside the package."""
    package, _, rest = target.partition(".")
    if package != "litequeue":
        return None
    room = rest.partition(".")[0]
    return room if any(room in floor for floor in FLOORS) else "__init__"


def floor_of(room: str) -> int | None:
    return next((number for number, floor in enumerate(FLOORS) if room in floor), None)


def imports_go_down(module: Module) -> Iterator[str]:
    room = module.name.partition(".")[0]
    here = floor_of(room)
    if here is None:
        yield module.at(1, f"{room} stands on no floor: give it a place in FLOORS")
        return
    for each in module.imports():
        target = room_of(each.target)
        is_door = (room, target) in DOORS and (each.in_function or each.typing_only)
        if target and (floor_of(target) or 0) > here and not is_door:
            yield module.at(each.line, f"{room} imports {each.target}, which lies above it")


def imports_only_the_standard_library(module: Module) -> Iterator[str]:
    framework = {name for room, names in FRAMEWORKS.items() if is_in(module.name, room) for name in names}
    for each in module.imports():
        if each.target.partition(".")[0] not in sys.stdlib_module_names | {"litequeue"} | framework:
            yield module.at(each.line, f"{each.target} is not in the standard library")


def execution_does_not_see_the_store(module: Module) -> Iterator[str]:
    for each in module.imports():
        if module.name in WITHOUT_STORE and room_of(each.target) == "storage":
            yield module.at(each.line, f"{module.name} decides outcomes and must not import {each.target}")


def sqlite_stays_in_storage(module: Module) -> Iterator[str]:
    for each in module.imports():
        is_named = each.target == "sqlite3.Connection" and module.name in NAME_CONNECTIONS
        if each.target.partition(".")[0] == "sqlite3" and not in_storage(module) and not is_named:
            yield module.at(each.line, f"{each.target} is imported, but only storage/ speaks to SQLite")


def sql_stays_in_storage(module: Module) -> Iterator[str]:
    for text in module.strings():
        if SQL.search(str(text.value)) and not in_storage(module):
            yield module.at(text.lineno, "only storage/ speaks SQL")


def sql_is_made_of_constants(module: Module) -> Iterator[str]:
    """What comes from outside goes into a statement as a parameter, never as a part of its text."""
    for node, ancestors in module.nodes():
        if isinstance(node, ast.JoinedStr) and any(isinstance(each, Function) for each in ancestors):
            parts = [ast.unparse(each.value) for each in node.values if isinstance(each, ast.FormattedValue)]
            for part in parts if SQL.search(ast.unparse(node)) else ():
                if not is_constant(part):
                    yield module.at(node.lineno, f"{part} becomes a part of a statement")
        elif is_pasted(node):
            yield module.at(getattr(node, "lineno", 0), "a statement is pasted together; give it parameters")


def is_constant(expression: str) -> bool:
    return expression.isupper() or expression in SQL_PARTS


def is_pasted(node: ast.AST) -> bool:
    """Whether a text with SQL in it is added to, or filled in by % or `format`, with more than constants."""
    match node:
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Add() | ast.Mod(), right=other):
            return bool(SQL.search(text)) and not is_constant(ast.unparse(other)) and not is_text(other)
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
            return bool(SQL.search(text))
    return False


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def in_storage(module: Module) -> bool:
    return module.name.partition(".")[0] == "storage"


def powers_have_one_owner(module: Module) -> Iterator[str]:
    for use in module.uses():
        for power in POWERS:
            if power.names.fullmatch(use.name) and not power.is_held_by(module.name):
                owners = ", ".join(power.owners) or "nobody"
                yield module.at(use.line, f"{use.name} {power.verb}, which is left to {owners}")


def pickle_stays_in_its_codec(module: Module) -> Iterator[str]:
    for use in module.uses():
        is_codec = module.name == "codec" and any("pickle" in scope.lower() for scope in use.scopes)
        if use.name.partition(".")[0] == "pickle" and not is_codec:
            yield module.at(use.line, "only the codec that has pickle in its name may use it")


def nothing_is_swallowed(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = module.resolve(node.type) if node.type else None
            is_broad = node.type is None or caught in {"Exception", "BaseException"}
            if node.type is None or (is_broad and all(map(does_nothing, node.body))):
                yield module.at(node.lineno, "an error of any kind is caught, and nothing is done about it")
        elif isinstance(node, ast.Call) and module.resolve(node.func) == "contextlib.suppress":
            for each in node.args:
                if module.resolve(each) in {"Exception", "BaseException"}:
                    yield module.at(node.lineno, "an error of any kind is suppressed")


def does_nothing(statement: ast.stmt) -> bool:
    is_constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_constant or isinstance(statement, ast.Pass)


def nothing_happens_at_import(module: Module) -> Iterator[str]:
    yield from effects(module, module.tree.body)


def effects(module: Module, statements: list[ast.stmt]) -> Iterator[str]:
    for each in statements:
        match each:
            case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
                pass  # a program's entry does not run when the module is imported
            case ast.If() | ast.ClassDef() | ast.Try():
                yield from effects(module, inner(each))
            case ast.Assign(value=value) | ast.AnnAssign(value=value):
                yield from calls(module, value)
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.AsyncFunctionDef():
                pass
            case _:
                yield module.at(each.lineno, "a module only defines; this statement acts when it is imported")


def inner(block: ast.If | ast.ClassDef | ast.Try) -> list[ast.stmt]:
    if isinstance(block, ast.ClassDef):
        return block.body
    handlers = block.handlers if isinstance(block, ast.Try) else []
    return [*block.body, *block.orelse, *(statement for each in handlers for statement in each.body)]


def calls(module: Module, value: ast.AST | None) -> Iterator[str]:
    if value is None or isinstance(value, ast.Lambda):
        return
    if isinstance(value, ast.Call) and not makes_a_constant(module, value):
        yield module.at(value.lineno, f"{ast.unparse(value.func)}() is called when the module is imported")
    for child in ast.iter_child_nodes(value):
        yield from calls(module, child)


def makes_a_constant(module: Module, call: ast.Call) -> bool:
    name = module.resolve(call.func)
    if name is None:
        return isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Constant)
    ours = name in {each.name for each in module.classes()} or name.startswith("litequeue.")
    return bool(CONSTANT_MAKERS.fullmatch(name)) or (
        ours and name.rpartition(".")[2].lstrip("_")[:1].isupper()
    )


def nothing_is_global(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Global):
            yield module.at(node.lineno, f"global {', '.join(node.names)}: hand it over instead")


def modules_are_short(module: Module) -> Iterator[str]:
    lines = len(module.text.splitlines())
    if lines > MODULE_LINES:
        yield module.at(lines, f"{lines} lines; {MODULE_LINES} is the most, so split it by idea")


def functions_are_short(module: Module) -> Iterator[str]:
    for function in module.functions():
        if length(function) > FUNCTION_LINES:
            message = f"{function.name} has {length(function)} lines; {FUNCTION_LINES} is the most"
            yield module.at(function.lineno, message)


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def classes_are_narrow(module: Module) -> Iterator[str]:
    for each in module.classes():
        methods = {node.name for node in each.body if isinstance(node, Function) and not is_property(node)}
        public = [name for name in methods if not name.startswith("_")]
        if len(public) > PUBLIC_METHODS:
            message = f"{each.name} has {len(public)} public methods; {PUBLIC_METHODS} is the most"
            yield module.at(each.lineno, message)


def is_property(function: Function) -> bool:
    """A property is an attribute: a record may have as many as it has facts."""
    return any(ast.unparse(each).endswith("property") for each in function.decorator_list)


def cycles(modules: list[Module]) -> list[str]:
    """The modules that import each other in a ring at import time, within a floor or across."""
    names = {module.name for module in modules}
    needs = {module.name: set(needed(module, names)) - {module.name} for module in modules}
    while free := [name for name, wanted in needs.items() if not wanted & needs.keys()]:
        for name in free:
            del needs[name]
    return sorted(needs)


def needed(module: Module, names: set[str]) -> Iterator[str]:
    for each in module.imports():
        target = each.target.removeprefix("litequeue.")
        if each.target != target and not (each.in_function or each.typing_only):
            yield target if target in names else target.rpartition(".")[0]
