"""A disk at the moment the power goes: what was recorded of the files, played again event by event.

What a program wrote is only in memory until it is synced: then all writes to the file so far are on the disk,
or, when the sync failed, lost for good, for the kernel does not keep what it could not write. A file that was
made or removed is so on the disk once its folder was synced.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SECTOR = 512
FOLDER = "."
_HEADER = struct.Struct("=cBh4xqq")
Files = dict[str, bytes]


class Event(NamedTuple):
    """What was done to a file: Created, Written, Truncated, Synced, Unlinked; or a Note of the test's own."""

    what: str
    name: str
    error: int
    offset: int
    size: int
    data: bytes


def read_record(path: Path) -> Iterator[Event]:
    """The events that the shim wrote down, in order."""
    record = memoryview(path.read_bytes())
    place = 0
    while place < len(record):
        what, length, error, offset, size = _HEADER.unpack_from(record, place)
        place += _HEADER.size
        name = bytes(record[place : place + length]).decode()
        place += length
        carried = size if what in (b"W", b"N") else 0
        yield Event(what.decode(), name, error, offset, size, bytes(record[place : place + carried]))
        place += carried


class File:
    """The content of one file: as programs see it, and as it is on the disk."""

    def __init__(self, content: bytes = b"") -> None:
        self.seen = bytearray(content)
        self.stored = bytearray(content)
        self.unsynced: list[Event] = []

    def change(self, event: Event) -> None:
        """A write or a truncation, so far in memory."""
        _change(self.seen, event)
        self.unsynced.append(event)

    def sync(self, error: int) -> None:
        """Bring to the disk what is in memory; when that fails, it never gets there."""
        for event in self.unsynced if not error else ():
            _change(self.stored, event)
        self.unsynced = []

    def torn(self, chance: random.Random, likelihood: float) -> bytes:
        """The disk's content when each sector was on its way there, and this likely to have arrived."""
        content, last = bytearray(self.stored), len(self.unsynced)
        arrived: dict[int, int] = {-1: chance.randint(0, last)}  # by sector, how many writes; -1: the length
        for number, event in enumerate(self.unsynced):
            if event.what == "T":
                if number < arrived[-1]:
                    _change(content, event)
                continue
            for sector, offset, piece in _pieces(event):
                if sector not in arrived:
                    arrived[sector] = last if chance.random() < likelihood else chance.randint(0, last)
                if number < arrived[sector]:
                    _put(content, offset, piece)
        return bytes(content)


class Disk:
    """A folder, as programs see it and as it is on the disk."""

    def __init__(self, files: Files) -> None:
        self.names = {name: File(content) for name, content in files.items()}
        self._folders = [dict(self.names)]  # first what is on the disk, then what may get there

    def apply(self, event: Event) -> None:
        """Do what was done."""
        if event.what == "C":
            self._folders.append(self.names | {event.name: File()})
        elif event.what == "U":
            self._folders.append({name: file for name, file in self.names.items() if name != event.name})
        elif event.what == "S":
            self._sync(event)
        elif event.name in self.names:
            self.names[event.name].change(event)
        self.names = self._folders[-1]

    def _sync(self, event: Event) -> None:
        if event.name in self.names:
            self.names[event.name].sync(event.error)
        elif event.name == FOLDER and not event.error:
            self._folders = self._folders[-1:]

    def kept(self) -> Files:
        """All that was written: what the crash of a program leaves."""
        return {name: bytes(file.seen) for name, file in self.names.items()}

    def synced(self) -> Files:
        """Only what was synced: the least that a power cut leaves."""
        return {name: bytes(file.stored) for name, file in self._folders[0].items()}

    def torn(self, chance: random.Random) -> Files:
        """What was synced, and of the rest some sectors here and there."""
        likelihood = chance.choice((0.0, 0.5, 0.9, 0.99))
        folder = chance.choice(self._folders)
        return {name: file.torn(chance, likelihood) for name, file in folder.items()}


def _pieces(event: Event) -> Iterator[tuple[int, int, bytes]]:
    """A write cut at the borders of sectors."""
    begin, end = event.offset, event.offset + event.size
    while begin < end:
        sector = begin // SECTOR
        stop = min(end, (sector + 1) * SECTOR)
        yield sector, begin, event.data[begin - event.offset : stop - event.offset]
        begin = stop


def _change(content: bytearray, event: Event) -> None:
    if event.what == "W":
        _put(content, event.offset, event.data)
    else:
        _put(content, event.size, b"")
        del content[event.size :]


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data
