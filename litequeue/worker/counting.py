"""As what the end of an attempt is counted."""

from __future__ import annotations

from ..job import Claimed, Complete, Crash, Fail, Settlement
from ..storage.minutes import Minutes
from ..storage.settling import DEFAULT_MAX_CRASHES
from .outcome import Outcome


def count(minutes: Minutes, outcome: Outcome) -> None:
    """Count an attempt that was settled here; one that is given back, or cancelled, counts for nothing.

    A job that was asked to stop meanwhile counts as what its attempt came to.
    """
    claimed = outcome.assignment.claimed
    settlement = outcome.settlement
    end = "completed" if type(settlement) is Complete else _other_end(settlement, claimed)
    if end is not None:
        minutes.count(claimed.queue, end, claimed.run_at, outcome.began, outcome.duration)


def _other_end(settlement: Settlement, claimed: Claimed) -> str | None:
    match settlement:
        case Fail(retry_at=retry_at):
            return "failed" if retry_at is None else "retried"
        case Crash():
            return "failed" if _is_last_crash(claimed) else "retried"
    return None


def _is_last_crash(claimed: Claimed) -> bool:
    return claimed.ack == "early" or claimed.crashes + 1 >= (claimed.max_crashes or DEFAULT_MAX_CRASHES)
