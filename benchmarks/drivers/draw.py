"""`python -m drivers.draw FOLDER < DATA`: draw the plots there are figures for; needs matplotlib.

DATA is one JSON object; a list that is missing or empty leaves its plot out. Prints the names of the files.

    throughput  [{queue, durability, ours, enqueue, enqueue_many or null, run}]     jobs a second
    latency     [{queue, durability, ours, waits_ms: [...]}]
    backlog     [{mix, what: "claim" or "settle", jobs: [...], microseconds: [...]}]
    processes   [{queue, processes: [...], p50_ms: [...], p99_ms: [...], worst_ms: [...]}]
    facts       {date, cores, system, python, sqlite, command}
"""

import json
import math
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

WIDTH = 600 / 72  # inches: 800 pixels of a page
OURS, OTHERS, INK, MUTED, GRID = "#c2410c", "#b4bac4", "#1f2328", "#6b7280", "#e5e7eb"
PEER_COLOURS = (  # muted, and told apart by their lightness, too
    *("#4e79a7", "#4d9245", "#a0609a", "#8c6d5a", "#2f9c96"),
    *("#7f7f7f", "#948e2e", "#cc7a94", "#3d8fc0", "#35507a"),
)
SETTINGS = {
    "svg.hashsalt": "litequeue",  # the same figures give the same bytes
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that the layout is the same everywhere
    "font.size": 8.5,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "grid.color": GRID,
}
FONTS = "Helvetica, Arial, 'DejaVu Sans', sans-serif"  # what a reader's machine may show instead
GROUPS = {True: "Synced to the disk before it is reported", False: "Not synced, or in memory only"}
Data = Mapping[str, Any]
Rows = Sequence[Mapping[str, Any]]


def main() -> None:
    """Draw what the standard input holds the figures for."""
    folder, data = Path(sys.argv[1]), json.load(sys.stdin)
    matplotlib: Any = import_module("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams.update(SETTINGS)
    pyplot: Any = import_module("matplotlib.pyplot")
    for name, draw in PLOTS.items():
        if data.get(name):
            _save(draw(pyplot, data[name]), data.get("facts", {}), folder / f"{name}.svg")
            print(f"{name}.svg")


def _save(figure: Any, facts: Data, path: Path) -> None:
    height = figure.get_figheight()
    said = (
        f"{facts.get('date', '')}, {facts.get('cores', '?')} cores, {facts.get('system', '')}, "
        f"{facts.get('python', '')}, SQLite {facts.get('sqlite', '')}; {facts.get('command', '')}"
    )
    if facts:
        figure.text(0.015, 0.09 / height, said, size=7, color=MUTED)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    path.write_text(path.read_text(encoding="utf-8").replace("'DejaVu Sans'", FONTS), encoding="utf-8")


def _figure(pyplot: Any, height: float, title: str, note: str, edges: tuple[float, float]) -> Any:
    """Return an empty figure with its title; `edges` say where plots begin and end, in parts of the width."""
    figure = pyplot.figure(figsize=(WIDTH, height))
    figure.subplots_adjust(left=edges[0], right=edges[1], top=1 - 0.82 / height, bottom=0.65 / height)
    figure.text(0.015, 1 - 0.24 / height, title, size=12, weight="bold")
    figure.text(0.015, 1 - 0.43 / height, note, color=MUTED)
    return figure


def _synced(row: Data) -> bool:
    return any(word in row["durability"] for word in ("FULL", "EXTRA", "always"))


def _grouped(rows: Rows, rank: Callable[[Data], float]) -> list[tuple[str, list[Data]]]:
    """Return the rows by durability, and in each group in the order of their rank."""
    groups = [(title, [row for row in rows if _synced(row) is synced]) for synced, title in GROUPS.items()]
    return [(title, sorted(group, key=rank)) for title, group in groups if group]


def throughput(pyplot: Any, rows: Rows) -> Any:
    """Draw a bar per queue for each of three kinds of work; the queues stand in one column of names."""
    groups = _grouped(rows, lambda row: -(row["run"] or 0))
    lines = sum(len(group) + 1.5 for _, group in groups)
    figure = _figure(
        pyplot,
        1.2 + lines * 0.185,
        "Throughput beside other queues: jobs a second",
        "One producer, one worker of one thread, jobs that do nothing. In the order of the last panel.",
        (0.34, 0.985),
    )
    figure.subplots_adjust(bottom=0.3 / figure.get_figheight())  # there is no axis below
    panels = figure.subplots(1, 3, sharey=True, gridspec_kw={"wspace": 0.08})
    works = {"enqueue": "enqueue one by one", "enqueue_many": "enqueue many", "run": "run no-op jobs"}
    for axes, (work, title) in zip(panels, works.items(), strict=True):
        _panel(axes, title, max((row[work] or 0) for row in rows))
        place = 0.0
        for _, group in groups:
            place += 1.5
            for row in group:
                _bar(axes, place, row[work], ours=row["ours"])
                place += 1
        axes.set_ylim(lines - 0.3, 0.2)
    _names(panels[0], groups)
    return figure


def _panel(axes: Any, title: str, most: float) -> None:
    axes.set_title(title, loc="left", size=9, color=INK)
    axes.set_xlim(0, most * 1.32)  # room for the figure behind the longest bar
    axes.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)
    axes.spines["bottom"].set_visible(False)


def _bar(axes: Any, place: float, value: float | None, *, ours: bool) -> None:
    if value is None:
        axes.text(0, place, " -", va="center", color=MUTED, size=8)
        return
    axes.barh(place, value, height=0.68, color=OURS if ours else OTHERS)
    bold = {"color": OURS, "weight": "bold"} if ours else {"color": INK}
    axes.text(value, place, f" {_short(value)}", va="center", size=8, **bold)


def _names(axes: Any, groups: Sequence[tuple[str, Rows]]) -> None:
    """Write the names of the queues, with their durability, to the left of the first panel."""
    width = 1 / axes.get_position().width
    left, middle = (0.015 - 0.34) * width, (0.2 - 0.34) * width
    at = axes.get_yaxis_transform()
    place = 0.0
    for title, group in groups:
        axes.text(left, place + 0.55, title, transform=at, va="center", color=MUTED, style="italic")
        place += 1.5
        for row in group:
            mark = {"color": OURS, "weight": "bold"} if row["ours"] else {"color": INK}
            axes.text(left, place, row["queue"], transform=at, va="center", **mark)
            said = row["durability"].replace(": always", "")
            axes.text(middle, place, said, transform=at, va="center", color=MUTED, size=8)
            place += 1


def _short(value: float) -> str:
    """Return a figure with three digits that mean something."""
    if value < 1000:
        return f"{value:.3g}"
    return f"{round(value, 2 - math.floor(math.log10(value))):,.0f}"


def latency(pyplot: Any, rows: Rows) -> Any:
    """Draw the share of jobs that ran within so many milliseconds, a line per queue."""
    groups = _grouped(rows, lambda row: statistics.median(row["waits_ms"]))
    figure = _figure(
        pyplot,
        1.2 + 2.6 * len(groups),
        "Waking up: from enqueue to the job's first line in another process",
        "Share of the jobs that ran within so many milliseconds. Further left is better.",
        (0.075, 0.61),
    )
    panels = figure.subplots(len(groups), 1, sharex=True, squeeze=False, gridspec_kw={"hspace": 0.22})[:, 0]
    colours = _colours(rows)
    for axes, (title, group) in zip(panels, groups, strict=True):
        for row in reversed(group):
            _share(axes, row, colours[row["queue"]])
        _shares(axes, title)
        _legend(axes, group, colours)
    panels[-1].set_xlabel("milliseconds (log scale)")
    return figure


def _colours(rows: Rows) -> dict[str, str]:
    """Return a colour by queue: ours strong, raw SQLite in ink, each peer its own."""
    names = sorted({row["queue"] for row in rows if not (row["ours"] or _raw(row))})
    peers = {name: PEER_COLOURS[n % len(PEER_COLOURS)] for n, name in enumerate(names)}
    return {row["queue"]: OURS if row["ours"] else peers.get(row["queue"], INK) for row in rows}


def _raw(row: Data) -> bool:
    return str(row["queue"]).startswith("raw ")


def _share(axes: Any, row: Data, colour: str) -> None:
    waits = sorted(row["waits_ms"])
    shares = [100 * (n + 1) / len(waits) for n in range(len(waits))]
    width, above = (2.6, 5) if row["ours"] else (1.3, 3)
    look = {"color": colour, "linewidth": width, "zorder": above, "linestyle": _dash(row)}
    axes.step([waits[0], *waits], [0, *shares], where="post", **look)


def _dash(row: Data) -> str:
    return ":" if _raw(row) else "-"


def _shares(axes: Any, title: str) -> None:
    axes.set_xscale("log")
    axes.set_ylim(0, 101)
    axes.set_yticks([0, 25, 50, 75, 100], ["0 %", "", "50 %", "", "100 %"])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="both", which="major", linewidth=0.7)
    axes.set_title(title, loc="left", size=8.5, color=MUTED, style="italic")


def _legend(axes: Any, group: Rows, colours: Mapping[str, str]) -> None:
    """Name the lines to the right of the panel, the quickest first, each in its own colour."""
    figure, place = axes.figure, axes.get_position()
    line, middle, slowest = 0.175 / figure.get_figheight(), 0.88, 0.97
    top = place.y1 - line / 2
    figure.text(middle, top + line, "p50, ms", ha="right", va="center", color=MUTED, size=8)
    figure.text(slowest, top + line, "p99, ms", ha="right", va="center", color=MUTED, size=8)
    for n, row in enumerate(group):
        waits = sorted(row["waits_ms"])
        colour = colours[row["queue"]]
        look = {"va": "center", "color": colour, "weight": "bold" if row["ours"] else "normal"}
        y = top - n * line
        stroke = import_module("matplotlib.lines").Line2D
        width = 2 if row["ours"] else 1.3
        figure.add_artist(stroke([0.632, 0.652], [y, y], color=colour, linewidth=width, linestyle=_dash(row)))
        figure.text(0.662, y, row["queue"], **look)
        figure.text(middle, y, _short(statistics.median(waits)), ha="right", **look)
        figure.text(
            slowest, y, _short(waits[min(len(waits) - 1, len(waits) * 99 // 100)]), ha="right", **look
        )


def backlog(pyplot: Any, rows: Rows) -> Any:
    """Draw what a claim and a settlement cost among ever more jobs, a line per mix of them."""
    whats = [what for what in ("claim", "settle") if any(row["what"] == what for row in rows)]
    figure = _figure(
        pyplot,
        3.6,
        "Cost against backlog: a claim and a settlement among ever more jobs",
        "Microseconds for one job. Flat is better: the cost does not depend on what else is in the file.",
        (0.075, 0.84),
    )
    panels = figure.subplots(1, len(whats), sharey=True, squeeze=False, gridspec_kw={"wspace": 0.6})[0]
    top = 1.25 * max(value for row in rows for value in row["microseconds"])
    mixes = list(dict.fromkeys(row["mix"] for row in rows))
    for axes, what in zip(panels, whats, strict=True):
        axes.set_title(what, loc="left", size=9)
        _costs(axes, [row for row in rows if row["what"] == what], mixes, top)
    panels[0].set_ylabel("microseconds")
    return figure


def _costs(axes: Any, rows: Rows, mixes: Sequence[str], top: float) -> None:
    ends = []
    for row in rows:
        colour = _shade(mixes.index(row["mix"]), len(mixes))
        axes.plot(row["jobs"], row["microseconds"], color=colour, marker="o", markersize=3.5)
        ends.append((row["microseconds"][-1], row["mix"], colour))
    counts = sorted({jobs for row in rows for jobs in row["jobs"]})
    axes.set_xscale("log")
    axes.set_xticks(counts, [_count(jobs) for jobs in counts])
    axes.tick_params(which="minor", bottom=False)
    axes.grid(axis="y", linewidth=0.7)
    axes.set_xlabel("jobs in the file (log scale)")
    _label_ends(axes, ends, (0, top))


def _shade(index: int, of: int) -> str:
    return ("#7c2d12", "#c2410c", "#ea8a4f", "#a16207", "#6b7280", "#4e79a7")[index % 6 if of <= 6 else 1]


def _count(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def processes(pyplot: Any, rows: Rows) -> Any:
    """Draw how long a write waits when ever more processes write, beside raw sqlite3."""
    figure = _figure(
        pyplot,
        4.2,
        "Tail against number of processes that write at once",
        "How long one durable write takes: the middle, one in a hundred, and the worst. Lower is better.",
        (0.085, 0.645),
    )
    axes = figure.subplots()
    counts = sorted({count for row in rows for count in row["processes"]})
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.tick_params(which="minor", bottom=False, left=False)
    axes.grid(axis="y", linewidth=0.7)
    axes.set_xlabel("processes")
    axes.set_ylabel("milliseconds (log scale)")
    ends = [end for row in rows for end in _tails(axes, row)]
    _label_ends(axes, ends, axes.get_ylim())
    return figure


def _tails(axes: Any, row: Data) -> list[tuple[float, str, str]]:
    """Draw the three lines of one queue; return where each ends, what it is, and its colour."""
    colour = OURS if row["queue"].startswith("litequeue") else MUTED
    ends = []
    for name, (width, dash) in {"p50": (1.4, ":"), "p99": (1.8, "--"), "worst": (2.6, "-")}.items():
        waits = row[f"{name}_ms"]
        look = {"color": colour, "linewidth": width, "linestyle": dash, "marker": "o", "markersize": 3}
        axes.plot(row["processes"], waits, **look)
        ends.append((waits[-1], f"{row['queue']}, {name}: {_short(waits[-1])} ms", colour))
    return ends


def _label_ends(axes: Any, ends: Sequence[tuple[float, str, str]], limits: tuple[float, float]) -> None:
    """Name each line at its right end; names that would lie on each other are moved apart."""
    scale = math.log10 if axes.get_yscale() == "log" else float
    low, high = scale(limits[0]), scale(limits[1])
    axes.set_ylim(*limits)
    gap = 0.155 / (axes.get_position().height * axes.figure.get_figheight())
    above = -math.inf
    for value, name, colour in sorted(ends):
        above = max((scale(value) - low) / (high - low), above + gap)
        axes.text(1.02, above, name, transform=axes.transAxes, va="center", color=colour)


PLOTS: dict[str, Callable[[Any, Rows], Any]] = {
    "throughput": throughput,
    "latency": latency,
    "backlog": backlog,
    "processes": processes,
}


if __name__ == "__main__":
    main()
