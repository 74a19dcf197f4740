"""The input of `import`: read line by line, and looked through before anything of it is stored."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, TextIO

from ..desk import Desk
from ..errors import EncodingError, NotAllowed
from ..portable import FORMAT, WITHOUT_END, from_line, require_header, told_at_end
from ..storage.transfer import Numbered, Stake, lacks, stakes_of, why_disputed, why_twice
from .human import number
from .progress import Progress

_STEP = 500


class Intake:
    """The jobs of an export from one line on, which can be read more than once."""

    def __init__(self, source: TextIO, first: int) -> None:
        self._source = source
        self._first = first
        self._format = FORMAT
        self._count = 0
        self._told: int | None = None

    @property
    def may_be_torn(self) -> bool:
        """Whether the input was read to its end, and nothing there says that it is the end."""
        return self._told is None

    def jobs(self) -> Iterator[Numbered]:
        """The jobs, each with its line. Raises `EncodingError` for a line that is wrong or a torn input."""
        self._source.seek(0)
        self._count, self._told, line = 0, None, 0
        try:
            for line, text in enumerate(self._source, 1):
                if self._is_job(line, text) and line >= self._first:
                    yield Numbered(line, from_line(text))
        except UnicodeDecodeError as error:
            raise EncodingError(f"line {line + 1}: {error}") from error
        except EncodingError as error:
            raise EncodingError(f"line {line}: {error}") from error
        self._require_whole(line)

    def _is_job(self, line: int, text: str) -> bool:
        if line == 1:
            self._format = require_header(text)
            return False
        if not text.strip():
            return False
        if self._told is not None:
            raise EncodingError("it stands behind the line that ends the export")
        self._told = told_at_end(text)
        self._count += self._told is None
        return self._told is None

    def _require_whole(self, lines: int) -> None:
        if lines == 0:
            raise EncodingError("the input is empty; give it what `litequeue export` has written")
        if self._told is None and self._format != WITHOUT_END:
            raise EncodingError(f"the input is torn: line {lines} is its last, and does not end an export")
        if self._told is not None and self._told != self._count:
            raise EncodingError(
                f"line {lines}: it tells of {number(self._told, 'job')}, before it stand {self._count:,}; "
                "if jobs were left out on purpose, set its number right"
            )


class Looked(NamedTuple):
    """What an input comes to: its jobs, and what they must have alone, each with its line."""

    jobs: int
    stakes: dict[Stake, int]


def look_through(intake: Intake, progress: Progress, *, keep_ids: bool) -> Looked:
    """Look at every line. Raises `EncodingError` for the first that is wrong."""
    known: set[int] = set()
    stakes: dict[Stake, int] = {}
    for line, one in intake.jobs():
        why = "its id has stood before" if one.job["id"] in known else lacks(one, known)
        for stake in stakes_of(one, keep_ids=keep_ids):
            if stake in stakes:
                why = why or why_twice(stake, stakes[stake])
            stakes[stake] = line
        if why is not None:
            raise EncodingError(f"line {line}: {why}")
        known.add(one.job["id"])
        if len(known) % _STEP == 0:
            progress.update(len(known))
    return Looked(len(known), stakes)


def compare(desk: Desk, stakes: dict[Stake, int]) -> None:
    """Raise `NotAllowed` when a job of the input can not be stored beside those that are here."""
    disputed = {stakes[stake]: stake for stake in desk.transfer.disputed(list(stakes))}
    if disputed:
        line, *more = sorted(disputed)
        also = f" (and {number(len(more), 'more line')} like it)" if more else ""
        raise NotAllowed(f"line {line}: {why_disputed(disputed[line])}{also}")


@contextmanager
def seekable(source: TextIO) -> Iterator[TextIO]:
    """The input, which is read twice."""
    if source.seekable():
        yield source
        return
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as kept:
        shutil.copyfileobj(source, kept)
        yield kept
