"""What the jobs of `litequeue demo` run: a plain function, named to the workers with --app."""

from __future__ import annotations

import ast
import sysconfig
import warnings
from pathlib import Path


def survey(path: str) -> dict[str, int]:
    """Parse one file of the standard library and count what is in it.

    Raises `SyntaxError` for a file that does not parse.
    """
    source = Path(sysconfig.get_path("stdlib"), path).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old escapes and the like, which are not what is counted
        tree = ast.parse(source, filename=path)
    nodes = [type(node) for node in ast.walk(tree)]
    return {
        "functions": nodes.count(ast.FunctionDef) + nodes.count(ast.AsyncFunctionDef),
        "classes": nodes.count(ast.ClassDef),
        "lines": len(source.splitlines()),
    }
