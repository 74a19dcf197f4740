"""The jobs that wait for each other, drawn as a tree."""

from __future__ import annotations

from collections.abc import Iterator

from ..desk import Desk
from ..job import Snapshot
from .describe import COLORS, note_of
from .human import number
from .terminal import Terminal
from .text import clean

MOST = 1_000
_NAMED = 10


def graph_text(terminal: Terminal, desk: Desk, id: int) -> Iterator[str]:
    """The whole graph that a job belongs to; what waits for several jobs is drawn under the first of them."""
    drawn: set[int] = set()
    left: list[tuple[str, str, int]] = [("", "", root) for root in reversed(_roots(desk, id))]
    while left:
        lead, indent, job = left.pop()
        if len(drawn) >= MOST:
            yield f"… and more: {number(MOST, 'job')} are drawn"
            return
        again = job in drawn
        yield (
            lead
            + _node(terminal, desk.reports.job(job), is_asked=job == id)
            + (" (see above)" if again else "")
        )
        if not again:
            drawn.add(job)
            children = desk.reports.children(job)
            leads = [("├─ ", "│  ")] * (len(children) - 1) + [("└─ ", "   ")]
            below = [
                (indent + one, indent + rest, child)
                for (one, rest), child in zip(leads, children, strict=False)
            ]
            left += reversed(below)


def _roots(desk: Desk, id: int) -> list[int]:
    """The jobs at the top of the graph: those above this one that have no parent."""
    met, line, roots = {id}, [id], []
    while line and len(met) < MOST:
        job = line.pop()
        parents = desk.reports.parents(job)
        if not parents:
            roots.append(job)
        new = [parent for parent in parents if parent not in met]
        met.update(new)
        line += new
    return sorted(roots)


def _node(terminal: Terminal, job: Snapshot, *, is_asked: bool) -> str:
    state = terminal.paint(str(job.state), COLORS[job.state])
    name = terminal.paint(clean(job.task), "bold") if is_asked else clean(job.task)
    note = note_of(job)
    return f"{job.id} {name} {state}" + (f" ({clean(note)})" if note else "")


def kin_of(desk: Desk, id: int) -> Iterator[tuple[str, str]]:
    """The parents and children of a job, as `show` names them."""
    for name, ids in (("parents", desk.reports.parents(id)), ("children", desk.reports.children(id))):
        if ids:
            more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
            yield name, ", ".join(map(str, ids[:_NAMED])) + more
