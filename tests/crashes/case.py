"""What the tests under the shim share: it is built, and programs are run with it."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from typing import ClassVar

from tests.crashes import shim
from tests.crashes.programs import LONGEST
from tests.support import folder_for

PROBE = """
import sqlite3, sys
from pathlib import Path
from tests.crashes.shim import ALL, Shim
folder = Path(sys.argv[1])
shim = Shim()
shim.watch(folder)
shim.arm(ALL)
connection = sqlite3.connect(folder / "probe.db")
connection.execute("CREATE TABLE t (x)")
sys.exit(shim.disarm() == 0)
"""


class ShimCase(unittest.TestCase):
    """Skipped where the shim can not be built, or sees nothing of what SQLite does."""

    library: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        if shim.missing():
            raise unittest.SkipTest(shim.missing())
        folder = tempfile.TemporaryDirectory(prefix="litequeue-shim-")
        cls.addClassCleanup(folder.cleanup)
        cls.library = shim.build(Path(folder.name))
        probe = shim.start(cls.library, "-c", PROBE, folder.name)
        probe.communicate(timeout=LONGEST)
        if probe.returncode:
            raise unittest.SkipTest(
                "what SQLite does to files here does not pass through a preloaded library"
            )

    def setUp(self) -> None:
        self.folder = folder_for(self, in_memory=True)
