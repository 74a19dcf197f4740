"""What lies at a path and beside it, before SQLite follows and believes it.

SQLite writes through a link that bears the name of its log, waits at a pipe for ever, and plays back a log or
a journal that somebody has put there. In a folder like `/tmp` anybody may.
"""

from __future__ import annotations

import os
import stat

from .. import errors

_BESIDE = ("-wal", "-shm", "-journal", "-lock")


def refuse_planted(path: str, real: str) -> None:
    """Raise `UnsafeFile` for what others may have put at this path, or beside the file that it leads to.

    Raises `NotADatabase` when the path leads to no plain file.
    """
    file = _look(real)
    if file is not None and not stat.S_ISREG(file.st_mode):
        raise errors.NotADatabase(f"{path}: this is no plain file, but a pipe or a device")
    _require_honest_link(path)
    trusted = {0, _me()} | ({file.st_uid} if file is not None else set())
    for suffix in _BESIDE:
        beside = _look(real + suffix)
        if beside is not None:
            _require_honest(real + suffix, beside, trusted)


def _require_honest_link(path: str) -> None:
    """The rule that Linux itself has for links in such folders, which `realpath` passes by."""
    link, folder = _look(path), os.path.dirname(os.path.abspath(path))
    if link is None or not stat.S_ISLNK(link.st_mode) or not _is_open_to_all(folder):
        return
    if link.st_uid not in {_me(), os.stat(folder).st_uid}:
        raise errors.UnsafeFile(
            f"{path}: it is a link that another user has put into a folder open to all; "
            "give the path of the file itself"
        )


def _require_honest(path: str, found: os.stat_result, trusted: set[int]) -> None:
    if not stat.S_ISREG(found.st_mode):
        what = "a link" if stat.S_ISLNK(found.st_mode) else "no plain file"
        raise errors.UnsafeFile(f"{path}: this is {what}, and SQLite would follow it; remove it")
    if _is_open_to_all(os.path.dirname(path)) and (found.st_uid not in trusted or found.st_nlink > 1):
        raise errors.UnsafeFile(
            f"{path}: another user (id {found.st_uid}) may have put it into this folder, which is open to "
            "all; remove it, or move the database to a folder of its own"
        )


def _look(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None  # it is not there, or whoever opens it will say why it can not be had


def _me() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0


def _is_open_to_all(folder: str) -> bool:
    """Whether users may put files there who may not replace the database itself, as in `/tmp`."""
    return bool(os.stat(folder).st_mode & (stat.S_IWOTH | stat.S_ISVTX)) and os.name == "posix"
