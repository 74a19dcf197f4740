"""The long form of the proofs: every part, or those that are named, with what each of them counted.

A part is a module here with `run(scale) -> str`: it raises on a finding, and tells in one line what it did.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import sqlite3
import sys
import time
import traceback
from datetime import UTC, datetime

PARTS: tuple[str, ...] = (
    "checkpoint",
    "crash_points",
    "cron",
    "flow",
    "hostile",
    "kills",
    "long_run",
    "misdeeds",
    "mutants",
    "power",
    "real_power",
    "steps",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"all of {', '.join(PARTS)} if none is named"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="1 is the full run, 0.01 a look")
    options = parser.parse_args()
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"no part {part!r}; there are {', '.join(PARTS)}")
    python, sqlite = platform.python_version(), sqlite3.sqlite_version
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, Python {python}, SQLite {sqlite}, scale {options.scale:g}", flush=True
    )
    passed = [run(part, options.scale) for part in options.parts or PARTS]
    return 0 if all(passed) else 1


def run(part: str, scale: float) -> bool:
    begun = time.monotonic()
    try:
        told = importlib.import_module(f"tests.soak.{part}").run(scale)
    except Exception:
        traceback.print_exc()
        told = "FAILED"
    print(f"{part:<14} {time.monotonic() - begun:8.1f} s  {told}", flush=True)
    return bool(told != "FAILED")


if __name__ == "__main__":
    sys.exit(main())
