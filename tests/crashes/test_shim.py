"""The shim itself: what it counts, and what it does to the n-th call."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.crashes import shim
from tests.crashes.case import ShimCase
from tests.crashes.disk import read_record
from tests.crashes.programs import LONGEST

PRELUDE = """
import errno, fcntl, json, mmap, os, sys
from pathlib import Path
from tests.crashes.shim import ALL, Deed, Kind, Shim
folder = Path(sys.argv[1])
shim = Shim()
shim.watch(folder)
path = folder / "a"
file = os.open(path, os.O_RDWR | os.O_CREAT)
def attempt(action):
    try:
        return action()
    except OSError as error:
        return errno.errorcode[error.errno]
"""
ONE_OF_EACH = """
def all_of_them():
    other = os.open(folder / "b", os.O_RDWR | os.O_CREAT)
    os.pwrite(other, b"1234", 0)
    os.pread(other, 4, 0)
    os.fdatasync(other)
    os.ftruncate(other, 3)
    fcntl.lockf(other, fcntl.LOCK_EX)
    mmap.mmap(other, 3).close()
    os.stat(folder / "b")
    os.close(other)
    os.unlink(folder / "b")
counts = {}
for kind in Kind:
    shim.arm(kind)
    all_of_them()
    os.stat(folder.parent)
    counts[kind.name] = shim.disarm()
print(json.dumps(counts))
"""
DEEDS = """
def write(): return attempt(lambda: os.pwrite(file, b"1234", 0))
def answers(deed):
    shim.arm(Kind.WRITE, deed, 2, errno.ENOSPC)
    try:
        return [write() for _ in range(4)]
    finally:
        shim.disarm()
print(json.dumps([answers(deed) for deed in (Deed.FAIL, Deed.FAIL_EVER, Deed.FAIL_SHORT)]))
"""
DEADLY = """
shim.arm(Kind.WRITE, Deed[sys.argv[2]], 2)
os.pwrite(file, b"1234", 0)
os.pwrite(file, b"5678", 4)
"""
RECORDED = """
shim.record(os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND))
with open(folder / "new", "wb", buffering=0) as new:
    new.write(b"12")
    os.pwrite(new.fileno(), b"345", 7)
    os.fsync(new.fileno())
    os.ftruncate(new.fileno(), 1)
shim.note("ready")
os.fsync(os.open(folder, os.O_RDONLY))
shim.arm(Kind.SYNC, Deed.FAIL, 1, errno.EIO)
attempt(lambda: os.fsync(file))
os.unlink(folder / "new")
"""


class TestShim(ShimCase):
    def run_code(self, code: str, *arguments: object) -> tuple[int, str]:
        program = shim.start(self.library, "-c", PRELUDE + code, self.folder, *arguments)
        said, _ = program.communicate(timeout=LONGEST)
        return program.returncode, said

    def test_it_counts_the_calls_of_the_folder_by_what_they_do(self) -> None:
        code, said = self.run_code(ONE_OF_EACH)
        self.assertEqual(code, 0, said)
        counts = json.loads(said)
        self.assertLessEqual({kind.name for kind in shim.Kind}, set(counts))
        for kind, count in counts.items():
            # Python looks at a file that it opens or maps; all else is one call.
            self.assertEqual(count if kind != "STAT" else min(count, 1), 1, kind)

    def test_the_nth_call_fails_once_or_from_then_on_or_after_half_a_write(self) -> None:
        code, said = self.run_code(DEEDS)
        self.assertEqual(code, 0, said)
        once, ever, short = json.loads(said)
        self.assertEqual(once, [4, "ENOSPC", 4, 4])
        self.assertEqual(ever, [4, "ENOSPC", "ENOSPC", "ENOSPC"])
        self.assertEqual(short, [4, 2, "ENOSPC", "ENOSPC"])

    def test_the_process_dies_before_the_nth_call_or_in_the_middle_of_a_write(self) -> None:
        for deed, left in (("KILL", b"1234"), ("TEAR", b"123456")):
            (self.folder / "a").write_bytes(b"")
            code, said = self.run_code(DEADLY, deed)
            self.assertEqual(code, -signal.SIGKILL, said)
            self.assertEqual((self.folder / "a").read_bytes(), left)

    def test_it_records_what_is_written_and_synced_in_order(self) -> None:
        record = Path(f"{self.folder}.record")
        self.addCleanup(record.unlink)
        code, said = self.run_code(RECORDED, record)
        self.assertEqual(code, 0, said)
        told = [(what, name, error, data) for what, name, error, _, _, data in read_record(record)]
        self.assertEqual(
            told,
            [
                ("C", "new", 0, b""),
                ("W", "new", 0, b"12"),
                ("W", "new", 0, b"345"),
                ("S", "new", 0, b""),
                ("T", "new", 0, b""),
                ("N", "", 0, b"ready"),
                ("S", ".", 0, b""),
                ("S", "a", 5, b""),
                ("U", "new", 0, b""),
            ],
        )
        places = [(offset, size) for what, _, _, offset, size, _ in read_record(record) if what in "WT"]
        self.assertEqual(places, [(0, 2), (7, 3), (0, 1)])
