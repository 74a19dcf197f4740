"""The processes of a driver: run one to its end, or keep one beside us and be sure that it ends."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

BENCHMARKS = Path(__file__).resolve().parent  # on the drivers' path: no module here may bear a peer's name
PROJECT = BENCHMARKS.parent
ANSWER_SECONDS = 600.0


class BenchmarkFailed(Exception):
    """A measurement that did not do what it measures; no figure may be made of it."""


def environment(directory: Path, settings: Mapping[str, object], extra: dict[str, str]) -> dict[str, str]:
    """Return the environment of a driver in that directory."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    own = {"BENCH_DIRECTORY": str(directory), "BENCH_SETTINGS": json.dumps(settings)}
    return kept | {"PYTHONPATH": str(BENCHMARKS), "PYTHONWARNINGS": "ignore"} | own | extra


def answer(command: Sequence[str], directory: Path, variables: Mapping[str, str]) -> Any:
    """Run a driver to its end and return what it answered: its last line, which is JSON."""
    ended = subprocess.run(
        command,
        cwd=directory,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=ANSWER_SECONDS,
        check=False,
    )
    if ended.returncode != 0 or not ended.stdout.strip():
        raise BenchmarkFailed(f"{_shown(command)} ended with {ended.returncode}:\n{ended.stderr[-2000:]}")
    return json.loads(ended.stdout.splitlines()[-1])


@contextlib.contextmanager
def beside(
    command: Sequence[str], directory: Path, variables: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """Keep a process (and whatever it starts) running beside us for as long as the block lasts."""
    with open(
        directory / f"output-{time.monotonic_ns()}", "w+", encoding="utf-8", errors="replace"
    ) as output:
        process = _start(command, directory, variables, output)
        try:
            yield process
        except BaseException:
            output.seek(0)
            sys.stderr.write(output.read()[-2000:])
            raise
        finally:
            _end(process)


def _start(
    command: Sequence[str], directory: Path, variables: Mapping[str, str], output: IO[str]
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=directory,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def alive(process: subprocess.Popen[str], command: Sequence[str]) -> None:
    """Raise BenchmarkFailed if a process that should run beside us has ended."""
    if process.poll() is not None:
        raise BenchmarkFailed(f"{_shown(command)} ended with {process.returncode} while it was needed")


def processor_seconds(group: int) -> float | None:
    """Return the processor time used so far by all threads of a process group, or None where unknown."""
    if not Path("/proc/self/schedstat").exists():
        return None
    used = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            after_name = (process / "stat").read_text().rpartition(")")[2].split()
            if int(after_name[2]) == group:
                used += sum(int(task.read_text().split()[0]) for task in process.glob("task/*/schedstat"))
    return used / 1e9


def _shown(command: Sequence[str]) -> str:
    return " ".join(Path(word).name if os.sep in word else word for word in command)
