"""One storm by hand: python -m tests.kills --kills 1000 --seed 7. Exit 1 when a rule was broken."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from litequeue.storage.gate import Durability
from tests.kills.folder import folder_in_memory
from tests.repository import ROOT


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--durability", choices=[each.value for each in Durability], default="normal")
    parser.add_argument("--folder", type=Path, help="where everything is kept; else it is removed")
    options = parser.parse_args()
    with _folder(options.folder) as folder:
        os.environ["LITEQUEUE_STORM"] = str(folder / "jobs.db")  # read when the tasks are imported
        os.chdir(ROOT)
        from .evidence import Evidence, look
        from .history import read_all
        from .storm import Plan, Storm
        from .verdict import counts, findings

        gc.freeze()  # what was imported need not be copied by every child's first collection
        plan = Plan(
            folder / "jobs.db", options.seed, options.kills, durability=Durability(options.durability)
        )
        storm = Storm(plan)
        begun = time.monotonic()
        storm.run()
        raged = time.monotonic()
        evidence = Evidence(read_all(folder), look(plan.path))
        broken = findings(evidence)
        report = {
            "seed": options.seed,
            "kills": storm.kills,
            "fused": storm.fused,
            "stops": storm.stops,
            "seconds": round(raged - begun, 1),
            **counts(evidence),
            "judged": round(time.monotonic() - raged, 1),
            "findings": broken,
        }
    print(json.dumps(report, indent=1))
    return 1 if broken else 0


@contextlib.contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    if wanted is not None:
        wanted.mkdir(parents=True)
        yield wanted.resolve()
        return
    with folder_in_memory() as folder:
        yield folder


if __name__ == "__main__":
    sys.exit(main())
