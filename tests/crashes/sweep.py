"""One crash or fault at a time, at each file call of each operation. A program, which runs under the shim.

For every point a child prepares the operation and meets the fault; another then opens what is left, as a
fresh process would. It prints what it found, and as its last line its counts as JSON.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import logging
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.crashes import lives
from tests.crashes.lives import Course
from tests.crashes.nursery import Ended, Say, in_child
from tests.crashes.operations import CARELESS, JOB, OPERATIONS
from tests.crashes.points import MODES, Point
from tests.crashes.rig import Rig, State, files_of, lay, place
from tests.crashes.shim import Shim

# After each crash in these, also each crash in the recovery.
PAIRED = ("enqueue", "claim", "complete")


class Found(Exception):
    """Something that must not be."""


class Sweep:
    """Tries points in one folder, and counts them."""

    def __init__(self, folder: Path, shim: Shim) -> None:
        self._folder = folder
        self._shim = shim
        shim.watch(folder)
        self._files: dict[str, dict[str, bytes]] = {"none": {}}
        self._courses: dict[str, Course] = {}
        self.counts: Counter[str] = Counter()
        self.findings: list[str] = []

    def prepare(self) -> None:
        """Make the files that operations begin with."""
        self._told(in_child(lambda say: lay(self._folder)))
        self._files["laid"] = files_of(self._folder)
        in_child(lambda say: leave_a_log(self._folder))
        self._files["crashed"] = files_of(self._folder)

    def points(self, operation: str, mode: str, every: int) -> Iterator[Point]:
        """Every so-manyth call of the operation, the first of them by a stable rule; one at least."""
        self._place(operation)
        plan, fault = OPERATIONS[operation], MODES[mode]
        (calls,) = self._told(in_child(lambda say: lives.count(say, self._shim, self._folder, plan, fault)))
        first = zlib.crc32(f"{operation} {mode}".encode()) % max(1, min(every, calls))
        yield from (Point(operation, mode, at + 1) for at in range(first, calls, every))

    def attempt(self, point: Point) -> None:
        """Meet the fault, and perhaps another crash in the recovery, and judge what is left."""
        try:
            allowed = self._meet(point)
            if point.again:
                self._recover(point)
            self._judge(point, allowed)
        except Found as found:
            self.findings.append(f"{point}\n{found}")
        self.counts[point.mode] += 1

    def attempt_again(self, point: Point, every: int) -> None:
        """After this crash, crash at every so-manyth call of the recovery as well."""
        allowed = self._meet(point)
        left = files_of(self._folder)
        for again in itertools.count(1 + zlib.crc32(str(point).encode()) % every, every):
            place(self._folder, left)
            twice = replace(point, again=again)
            try:
                if not self._recover(twice):
                    return
                self._judge(twice, allowed)
            except Found as found:
                self.findings.append(f"{twice}\n{found}")
            self.counts["twice"] += 1

    def _meet(self, point: Point) -> list[State]:
        """Have a child meet the fault; what may be stored then."""
        operation, mode = OPERATIONS[point.operation], MODES[point.mode]
        course = self._course(point.operation)
        self._place(point.operation)

        def meet(say: Say) -> None:
            lives.meet(say, self._shim, self._folder, operation, mode, point.at, course)

        ended = in_child(meet)
        said = ended.said if mode.is_deadly and ended.was_killed else self._told(ended)
        self.counts["missed"] += mode.is_deadly and not ended.was_killed
        seen = [each["seen"] for each in said if each != "done"]
        return seen or course.allowed(said.count("done"))

    def _recover(self, point: Point) -> bool:
        """Open what was left, and crash in that; whether it came so far."""
        ended = in_child(lambda say: lives.recover(self._shim, self._folder, point.again))
        if not ended.was_killed:
            self._told(ended)
        return ended.was_killed

    def _judge(self, point: Point, allowed: list[State]) -> None:
        course = self._course(point.operation)
        self._told(in_child(lambda say: lives.judge(self._folder, course, allowed)))

    def _course(self, name: str) -> Course:
        if name not in self._courses:
            self._place(name)
            (told,) = self._told(in_child(lambda say: lives.follow(say, self._folder, OPERATIONS[name])))
            self._courses[name] = Course(**told)
        return self._courses[name]

    def _place(self, operation: str) -> None:
        place(self._folder, self._files[OPERATIONS[operation].files])

    def _told(self, ended: Ended) -> list[Any]:
        """What a child said that must not have died."""
        if not ended.is_well:
            raise Found(ended.how())
        return ended.said


def leave_a_log(folder: Path) -> None:
    """Enqueue two jobs, and end without closing the file."""
    rig = Rig(folder)
    rig.open()
    rig.store.enqueue([JOB, JOB])


def main() -> int:
    """Sweep as the arguments say; 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.crashes.sweep", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--operation", choices=OPERATIONS)
    parser.add_argument("--mode", choices=MODES)
    parser.add_argument("--at", type=int, metavar="N", help="only this call")
    parser.add_argument("--again", type=int, default=0, metavar="N", help="and this of the recovery")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="only each K-th call")
    parser.add_argument("--pairs", type=int, default=0, metavar="K", help="also each K-th pair of crashes")
    parser.add_argument("--part", default="0/1", metavar="I/N", help="only each N-th operation")
    options = parser.parse_args()
    logging.getLogger("litequeue").disabled = True  # it would tell of every fault
    sweep = Sweep(options.folder, Shim())
    sweep.prepare()
    if options.at is not None:
        sweep.attempt(Point(options.operation, options.mode, options.at, options.again))
    else:
        run(sweep, options)
    print("\n".join(sweep.findings))
    print(json.dumps(sweep.counts))
    return bool(sweep.findings)


def run(sweep: Sweep, options: argparse.Namespace) -> None:
    """All points that the options ask for."""
    index, parts = map(int, options.part.split("/"))
    names = [name for name in OPERATIONS if name != CARELESS]
    for name in [options.operation] if options.operation else names[index::parts]:
        for mode in [options.mode] if options.mode else MODES:
            for point in sweep.points(name, mode, options.every):
                sweep.attempt(point)
        if options.pairs and name in PAIRED:
            for point in sweep.points(name, "kill", options.pairs):
                sweep.attempt_again(point, options.pairs)


if __name__ == "__main__":
    gc.disable()  # a collection would touch all pages, and every child copies what it touches
    sys.exit(main())
