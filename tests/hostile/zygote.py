"""Children of one process examine damaged files: a crash or a hang costs a child, and none has to be started.

python -m tests.hostile.zygote KIND FIRST COUNT: a line of JSON for each finding, and one with the count.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.hostile.damage import cut, flipped, littered, shuffled
from tests.hostile.edits import edited
from tests.hostile.exam import examine
from tests.hostile.forge import forged, untyped
from tests.hostile.images import Image, make_logged, make_settled

Damage = Callable[[tuple[Image, Image], int], Image]
Finding = tuple[int, str]
PATIENCE_SECONDS = 20
KINDS: dict[str, Damage] = {
    "flip": flipped,
    "cut": cut,
    "edit": edited,
    "shuffle": shuffled,
    "litter": littered,
    "forge": forged,
    "untype": untyped,
}
FILES_PER_CHILD = 25


def main(kind: str, first: str, count: str) -> None:
    """Examine so many damaged files, from this number on."""
    logging.disable()  # what is said about damage is said often
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="litequeue-", dir=memory) as folder:
        numbers = range(int(first), int(first) + int(count))
        for number, finding in Zygote(Path(folder), KINDS[kind]).examine(numbers):
            print(json.dumps([number, finding]), flush=True)
    print(json.dumps([len(numbers), None]), flush=True)


class Zygote:
    """Forks the children, and goes on behind the file that one of them died of."""

    def __init__(self, folder: Path, damage: Damage) -> None:
        self._folder = folder
        self._damage = damage
        self._images = make_settled(folder), make_logged(folder)
        for number in range(20):  # so that no child has to import or parse anything
            image = damage(self._images, number)
            examine(self._write(image), number, is_usable=image.is_usable)
        gc.freeze()

    def examine(self, numbers: range) -> Iterator[Finding]:
        """What was found, with the number of the file."""
        while numbers:
            done = 0
            for number, found in self._fork(numbers[:FILES_PER_CHILD]):
                done = number - numbers[0] + 1
                yield from ((number, finding) for finding in found)
            numbers = numbers[done:]

    def _fork(self, numbers: range) -> Iterator[tuple[int, list[str]]]:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._be_child(numbers, write)
        os.close(write)
        last, words = numbers[0] - 1, ""
        with open(read, encoding="utf-8", errors="replace") as pipe:
            for line in pipe:
                if line.startswith("["):
                    last, found = json.loads(line)
                    yield last, found
                else:
                    words += line
        _, status = os.waitpid(pid, 0)
        if status:
            code = os.waitstatus_to_exitcode(status)
            yield last + 1, [f"{'it hangs' if code == -signal.SIGALRM else f'exit code {code}'}\n{words}"]

    def _be_child(self, numbers: range, pipe: int) -> None:
        os.dup2(pipe, 2)
        for number in numbers:
            signal.alarm(PATIENCE_SECONDS)
            image = self._damage(self._images, number)
            found = examine(self._write(image), number, image.history, is_usable=image.is_usable)
            os.write(pipe, f"{json.dumps([number, found])}\n".encode())
        os._exit(0)

    def _write(self, image: Image) -> Path:
        path = self._folder / "jobs.db"
        image.write(path)
        return path


if __name__ == "__main__":
    main(*sys.argv[1:])
