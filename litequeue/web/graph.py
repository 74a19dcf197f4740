"""The jobs that wait for each other, as far as a page can show them."""

from __future__ import annotations

from ..desk import Desk
from ..job import Filter

MOST = 120


def graph_of(desk: Desk, id: int) -> dict[str, object] | None:
    """The jobs around one, nearest first, and which waits for which; None when it stands alone."""
    met, edges, line = {id}, set(), [id]
    for job in line:  # which grows meanwhile
        parents, children = desk.reports.parents(job), desk.reports.children(job)
        found = [*((each, job) for each in parents), *((job, each) for each in children)]
        for edge in found:
            new = [each for each in edge if each not in met]
            if len(met) + len(new) <= MOST:
                met.update(new)
                line += new
                edges.add(edge)
    if len(met) == 1:
        return None
    jobs = sorted(desk.reports.jobs(Filter(ids=tuple(met)), MOST), key=lambda job: job.id)
    there = {job.id for job in jobs}
    return {
        "jobs": [{"id": job.id, "task": job.task, "state": str(job.state)} for job in jobs],
        "edges": sorted([above, below] for above, below in edges if {above, below} <= there),
        "is_cut": len(met) >= MOST,
    }
