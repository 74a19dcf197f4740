"""`demo`: real work with nothing installed. A job for every source file of the standard library."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ..clock import SECOND
from ..desk import Desk
from ..errors import InvalidOption, WorkerError
from ..job import FINAL, Filter, Snapshot, State
from ..options import checked
from ..queue import Queue
from ..tasks import make_task, task_name
from . import demo_tasks
from .arguments import DONE, NO, add_command
from .describe import parsed
from .files import making
from .human import number
from .progress import Progress
from .table import Cell, Column, Row, table
from .terminal import Terminal
from .text import clean, cut, cut_middle

_FILE = "litequeue-demo.db"
_NOT_OURS = {"site-packages", "dist-packages", "__pycache__"}
_MOST_PROCESSES = 8
_LOOK = 0.1
_SHOWN = 20
_COUNTED = ("functions", "classes", "lines")


def add(commands: Any) -> None:
    """Add the command of this module."""
    parser = add_command(
        commands,
        "demo",
        run_demo,
        "do real work: survey every source file of Python's standard library",
        "It leaves its file behind, to look at.",
    )
    parser.add_argument(
        "--file", metavar="FILE", help=f"the file to make (default: {_FILE}, or the next free name)"
    )
    parser.add_argument(
        "--processes",
        type=int,
        metavar="N",
        default=None,
        help="worker processes (default: one per processor)",
    )


def run_demo(args: argparse.Namespace, terminal: Terminal) -> int:
    """Enqueue, work, and tell what came of it."""
    processes = default_processes() if args.processes is None else args.processes
    if not 1 <= processes <= 100:
        raise InvalidOption(f"--processes is {processes}; give a number from 1 to 100")
    library = Path(sysconfig.get_path("stdlib"))
    files = source_files(library)
    if not files:
        raise InvalidOption(
            f"the standard library has no source files in {library}; there is nothing to survey"
        )
    name = new_file(args.file)
    with making(name, terminal.clock) as queue:
        enqueue(terminal, queue, library, files)
        whole = work(terminal, queue.desk, name, processes)
        tell(terminal, queue.desk, name)
    return DONE if whole else NO


# --- before --------------------------------------------------------------------------------------


def default_processes() -> int:
    """A worker process per processor, and at least two."""
    return max(2, min(os.cpu_count() or 2, _MOST_PROCESSES))


def source_files(library: Path) -> list[Path]:
    """Every source file of the standard library, tests included, in order."""
    found: list[Path] = []
    for folder, folders, files in os.walk(library):
        folders[:] = sorted(set(folders) - _NOT_OURS)
        found += [Path(folder, file) for file in sorted(files) if file.endswith(".py")]
    return found


def new_file(wanted: str | None) -> str:
    """The name of a file that is not there yet. Raises `InvalidOption` when the one asked for is."""
    if wanted is not None:
        if os.path.lexists(wanted):
            raise InvalidOption(f"{wanted} exists already; give --file a new name, or remove it")
        return wanted
    name, again = _FILE, 2
    while os.path.lexists(name):
        name, again = f"litequeue-demo-{again}.db", again + 1
    return name


def enqueue(terminal: Terminal, queue: Queue, library: Path, files: list[Path]) -> None:
    """Store a job per file, all in one transaction."""
    terminal.say(
        f"Surveying Python's standard library: {number(len(files), 'source file')} in {clean(library)}"
    )
    options = checked({"retry": 1})  # what does not parse today will not tomorrow
    task = make_task(demo_tasks.survey, task_name(demo_tasks.survey), queue, options)
    began = terminal.clock.monotonic()
    queue.enqueue_many([task.call(file.relative_to(library).as_posix()) for file in files])
    took = (terminal.clock.monotonic() - began) / SECOND
    terminal.say(
        f"Enqueued {number(len(files), 'job')} in {clean(queue.path)}, in one transaction of {took:.2f} s"
    )


# --- at work -------------------------------------------------------------------------------------


def work(terminal: Terminal, desk: Desk, name: str, processes: int) -> bool:
    """Let worker processes do all jobs while a bar shows how far they are; False when interrupted."""
    terminal.say(f"Running them on {number(processes, 'worker process').replace('processs', 'processes')}")
    terminal.flush()
    began = terminal.clock.monotonic()
    with tempfile.TemporaryFile() as complaints, started(name, processes, complaints) as worker:
        try:
            watch(terminal, desk, worker)
        except KeyboardInterrupt:  # the workers got it too, and end what they are at
            worker.wait()
            terminal.say(
                f"Stopped. To go on: {command(name, 'worker', '--app', demo_tasks.__name__, '--burst')}"
            )
            return False
        if worker.returncode:
            raise WorkerError(
                f"the demo's worker ended with code {worker.returncode}: {last_words(complaints)}"
            )
    took = max(1, terminal.clock.monotonic() - began) / SECOND
    done = sum(desk.reports.count(Filter(state=state)) for state in FINAL)
    terminal.say(f"Done in {took:.1f} s: {done / took:,.0f} jobs a second")
    return True


@contextmanager
def started(name: str, processes: int, complaints: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """`litequeue worker`, started as anybody would start it; it does not outlive the block."""
    arguments = ["worker", name, "--app", demo_tasks.__name__, "--processes", str(processes), "--burst"]
    worker = subprocess.Popen(
        [sys.executable, "-m", "litequeue", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=complaints,
    )
    try:
        yield worker
    finally:
        worker.terminate()
        worker.wait()


def watch(terminal: Terminal, desk: Desk, worker: subprocess.Popen[bytes]) -> None:
    """Show how far the workers are until they have ended."""
    total = desk.reports.count(Filter())
    with Progress(terminal, "Surveying", total) as progress:
        while worker.poll() is None:
            terminal.clock.sleep(_LOOK)
            counts = desk.reports.counts("default")
            progress.update(sum(counts[state] for state in FINAL), f"{counts[State.FAILED]} failed")


def last_words(complaints: IO[bytes]) -> str:
    """The last line that a worker wrote."""
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")


# --- after ---------------------------------------------------------------------------------------


def tell(terminal: Terminal, desk: Desk, name: str) -> None:
    """The totals, what failed, and what to try next."""
    completed = desk.reports.jobs(Filter(state=State.COMPLETED), limit=1_000_000)
    failed = desk.reports.jobs(Filter(state=State.FAILED), limit=1_000_000)[::-1]
    terminal.say()
    for line in totals(terminal, desk, completed, len(failed)):
        terminal.say(line)
    if failed:
        jobs = "its job" if len(failed) == 1 else "their jobs"
        terminal.say(f"\n{number(len(failed), 'file')} did not parse, so {jobs} failed:\n")
        for line in failures(terminal, desk, failed):
            terminal.say(line)
    terminal.say(f"\n{clean(name)} keeps all of it. Try next:")
    shown = [*failed, *completed][:1]
    listing = ["--state", "failed"] if failed else ["--limit", "5"]
    for arguments in (["info"], ["list", *listing], *(["show", str(job.id)] for job in shown)):
        terminal.say(f"  {command(name, *arguments)}")


def totals(terminal: Terminal, desk: Desk, completed: list[Snapshot], failed: int) -> Iterator[str]:
    """What the completed jobs counted, added up from their stored results."""
    results = [parsed(desk.reports.result(job.id).body) for job in completed]
    sums = [f"{sum(result[what] for result in results):,}" for what in _COUNTED]
    columns = [Column("jobs"), *(Column(name, right=True) for name in ("files", *_COUNTED))]
    rows: list[Row] = [
        [Cell("completed", "green"), f"{len(completed):,}", *sums],
        [Cell("failed", "red"), f"{failed:,}", *("" for _ in _COUNTED)],
    ]
    return table(terminal, columns, rows)


def failures(terminal: Terminal, desk: Desk, failed: list[Snapshot]) -> Iterator[str]:
    """The jobs that failed, the file of each, and its error."""
    rows: list[Row] = []
    for job in failed[:_SHOWN]:
        [path], _ = parsed(desk.reports.payload(job.id)[0])
        attempts = desk.reports.failures(job.id)
        error = f"{attempts[-1].type}: {attempts[-1].message}" if attempts else str(job.message)
        rows.append([str(job.id), path, error])
    yield from table(
        terminal, [Column("job", right=True), Column("file", cut=cut_middle), Column("error", cut=cut)], rows
    )
    if len(failed) > _SHOWN:
        yield f"and {len(failed) - _SHOWN:,} more"


def command(name: str, verb: str, *options: str) -> str:
    """A command line to copy."""
    python = os.path.basename(sys.executable) or "python3"
    return " ".join([python, "-m", "litequeue", verb, clean(name), *options])
