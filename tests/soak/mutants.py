"""Every planted fault, and the test that catches it."""

from __future__ import annotations

from tests.mutants.faults import FAULTS
from tests.mutants.hunt import caught_by


def run(scale: float) -> str:
    """Plant all faults at scale 1; a part of them below. Raises when one goes unseen."""
    chosen = FAULTS[: max(1, round(len(FAULTS) * min(scale, 1.0)))]
    unseen = []
    for fault in chosen:
        test = caught_by(fault)
        print(f"  {fault.name}\n      {test or 'UNSEEN'}", flush=True)
        unseen += [] if test else [fault.name]
    assert not unseen, unseen
    return f"{len(chosen)} faults planted, all caught"
