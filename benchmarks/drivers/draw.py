"""`python -m drivers.draw FOLDER < DATA`: draw the plots; needs matplotlib.

Prints the names of the files, one a line.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

SETTINGS = {"svg.hashsalt": "litequeue", "svg.fonttype": "none", "font.family": "sans-serif"}


def main() -> None:
    """Draw what the standard input holds the figures for."""
    folder = Path(sys.argv[1])
    data = json.load(sys.stdin)
    matplotlib: Any = import_module("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams.update(SETTINGS)
    pyplot: Any = import_module("matplotlib.pyplot")
    if data.get("throughput"):
        figure, axes = pyplot.subplots(figsize=(8, 4))
        rows = data["throughput"]
        axes.barh([f"{row['queue']} {row['durability']}" for row in rows], [row["run"] for row in rows])
        figure.savefig(folder / "throughput.svg", metadata={"Date": None, "Creator": None})
        print("throughput.svg")


if __name__ == "__main__":
    main()
