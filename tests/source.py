"""A module of the package as its syntax tree: what it imports, which names it uses, and where."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = Function | ast.ClassDef


@dataclass(frozen=True)
class Import:
    """One imported module or name, `litequeue.storage.database` or `time.sleep`, and how it is imported."""

    target: str
    line: int
    typing_only: bool
    in_function: bool


@dataclass(frozen=True)
class Use:
    """A name in use, with imports resolved (`from time import sleep as nap` makes `nap` `time.sleep`)."""

    name: str
    line: int
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class Module:
    """A source file; `name` is dotted below the package, `storage.database`, and `__init__` for its root."""

    name: str
    text: str
    is_package: bool = False

    @classmethod
    def read(cls, path: Path, package: Path) -> "Module":
        parts = path.relative_to(package).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        return cls(
            ".".join(parts[:-1] if len(parts) > 1 and is_package else parts), path.read_text(), is_package
        )

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def file(self) -> str:
        path = self.name.replace(".", "/")
        return (
            f"litequeue/{path}/__init__.py"
            if self.is_package and path != "__init__"
            else f"litequeue/{path}.py"
        )

    def at(self, line: int, message: str) -> str:
        return f"{self.file}:{line}: {message}"

    def nodes(self) -> Iterator[tuple[ast.AST, tuple[ast.AST, ...]]]:
        """Every node with its ancestors, outermost first."""
        pending: list[tuple[ast.AST, tuple[ast.AST, ...]]] = [(self.tree, ())]
        while pending:
            node, ancestors = pending.pop()
            yield node, ancestors
            pending.extend((child, (*ancestors, node)) for child in ast.iter_child_nodes(node))

    def imports(self) -> Iterator[Import]:
        for node, ancestors in self.nodes():
            if isinstance(node, ast.Import | ast.ImportFrom):
                typing_only = any(map(_is_typing_guard, ancestors))
                in_function = any(isinstance(each, Function) for each in ancestors)
                for _, target in self._bindings(node):
                    yield Import(target, node.lineno, typing_only, in_function)

    def uses(self) -> Iterator[Use]:
        for node, ancestors in self.nodes():
            if isinstance(node, ast.Name | ast.Attribute) and (name := self.resolve(node)):
                scopes = tuple(each.name for each in ancestors if isinstance(each, Scope))
                yield Use(name, node.lineno, scopes)

    def resolve(self, node: ast.expr) -> str | None:
        """The dotted name that an expression such as `t.sleep` stands for, or None for anything else."""
        if isinstance(node, ast.Name):
            return self._imported.get(node.id, node.id)
        if isinstance(node, ast.Attribute) and (owner := self.resolve(node.value)):
            return f"{owner}.{node.attr}"
        return None

    def functions(self) -> list[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    def classes(self) -> list[ast.ClassDef]:
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)]

    def strings(self) -> Iterator[ast.Constant]:
        """Every string that is not a docstring."""
        for node, ancestors in self.nodes():
            is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
            if is_text and not isinstance(ancestors[-1], ast.Expr):
                assert isinstance(node, ast.Constant)
                yield node

    @cached_property
    def _imported(self) -> dict[str, str]:
        statements = [node for node in ast.walk(self.tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        return {local: target for node in statements for local, target in self._bindings(node)}

    def _bindings(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
        for alias in node.names:
            if isinstance(node, ast.Import):
                yield alias.asname or alias.name.partition(".")[0], alias.name
            else:
                yield alias.asname or alias.name, f"{self._base(node)}.{alias.name}"

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        here = ["litequeue", *(self.name.split(".") if self.name != "__init__" else [])]
        above = node.level - (1 if self.is_package else 0)
        return ".".join(here[: len(here) - above] + ([node.module] if node.module else []))


def _is_typing_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
