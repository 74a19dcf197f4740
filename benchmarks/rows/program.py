"""Rows of the program itself: how long an import and a look into a large file take."""

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks import backlog, harness
from benchmarks.goals import Line, Round, Row
from benchmarks.plan import Sizes, ours


def imports(sizes: Sizes) -> Row:
    """Return the row of importing, over the start of a bare Python."""
    line = Line("import litequeue, over bare Python", "under 60 ms", "import, ms", most=60, unit="ms")
    return Row("import litequeue", partial(_imports, sizes.starts), (line,))


def _imports(starts: int, place: Path, rounds: int) -> list[Round]:
    return [_import(starts, place) for _ in range(rounds)]


def _import(starts: int, place: Path) -> Round:
    bare, imported = [], []
    with harness.fresh_round(ours("full"), place) as here:
        for _ in range(starts):
            bare.append(_milliseconds(["-c", "pass"], here.directory, here.variables))
            imported.append(_milliseconds(["-c", "import litequeue"], here.directory, here.variables))
    alone, together = statistics.median(bare), statistics.median(imported)
    return Round({"bare Python, ms": alone, "with litequeue, ms": together, "import, ms": together - alone})


def info(sizes: Sizes) -> Row:
    """Return the row of `litequeue info` on a file of very many jobs, half of them finished."""
    name = f"litequeue info on {sizes.listed:,} jobs"
    line = Line(name, "under 1 s", "info, s", most=1, unit="s")
    return Row(name, partial(_infos, sizes.listed), (line,))


def _infos(jobs: int, place: Path, rounds: int) -> list[Round]:
    with harness.fresh_round(ours("full"), place) as here:
        backlog.fill(here.directory / "large.db", backlog.HALF, jobs)
        command = ["-m", "litequeue", "info", "large.db"]
        return [
            Round({"info, s": _milliseconds(command, here.directory, here.variables) / 1e3})
            for _ in range(rounds)
        ]


def _milliseconds(arguments: Sequence[str], directory: Path, variables: Mapping[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], cwd=directory, env=variables, check=True, stdout=subprocess.DEVNULL
    )
    return (time.perf_counter() - begun) * 1e3
