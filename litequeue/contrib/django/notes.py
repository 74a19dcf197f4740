"""What Django wants to know of a job and its row does not say; it is kept in the job's meta."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from ...errors import EncodingError, shown
from ...handle import Job

KEY = "django"


class Attempt(NamedTuple):
    """Which worker ran it, and when that began."""

    worker: str
    began: datetime | None


@dataclass(frozen=True)
class Note:
    """The backend and the `run_after` of the call, where it had its own; the attempts by their numbers."""

    backend: str | None = None
    run_after: datetime | None = None
    attempts: dict[int, Attempt] = field(default_factory=dict)

    def begun(self, job: Job[Any], now: datetime) -> Note:
        """The note of a job whose attempt begins now."""
        attempt = Attempt(str(job.worker), now)
        return replace(self, attempts={**self.attempts, job.attempt: attempt})

    def to_json(self) -> dict[str, Any]:
        """What is kept of it: as little as possible."""
        kept: dict[str, Any] = {} if self.backend is None else {"backend": self.backend}
        if self.run_after is not None:
            kept["run_after"] = self.run_after.isoformat()
        if self.attempts:
            kept["attempts"] = {
                str(number): [each.worker, each.began and each.began.isoformat()]
                for number, each in self.attempts.items()
            }
        return kept


def note_of(job: Job[Any]) -> Note:
    """The note that a job carries, with the attempts of which it does not know yet, or for ever.

    The attempt that runs may not be written down yet; that of a worker that was killed never will be. Raises
    `EncodingError` when somebody else wrote into it.
    """
    kept = job.meta.get(KEY, {})
    try:
        note = _read(kept)
    except (AttributeError, TypeError, ValueError) as error:
        raise EncodingError(f"the meta of job {job.id} has {shown(kept)} for {KEY!r}: {error}") from error
    attempts = dict(note.attempts)
    if job.worker is not None and job.started_at is not None:
        attempts.setdefault(job.attempt, Attempt(str(job.worker), job.started_at))
    for failure in job.errors:
        attempts.setdefault(failure.attempt, Attempt("unknown", None))
    return replace(note, attempts=dict(sorted(attempts.items())))


def _read(kept: dict[str, Any]) -> Note:
    attempts = {
        int(number): Attempt(worker, _instant(began))
        for number, (worker, began) in kept.get("attempts", {}).items()
    }
    return Note(kept.get("backend"), _instant(kept.get("run_after")), attempts)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
