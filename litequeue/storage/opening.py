"""What happens to a file before the first job: it is found or made, checked, and brought up to date."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from sqlite3 import Connection

from .. import errors
from .translate import is_busy

SCHEMA_VERSION = 1
_OLDEST_SQLITE = (3, 37, 0)
_NETWORK = ("nfs", "cifs", "smb", "9p", "virtiofs", "fuse.sshfs", "ceph", "fuse.gluster", "glusterfs", "afs")
_OUR_TABLES = frozenset(f"litequeue_{name}" for name in ("meta", "job", "blob", "failure", "log", "queue", "worker"))

# From version n to n + 1, statement by statement; a migration only adds.
MIGRATIONS: dict[int, tuple[str, ...]] = {}


def require_sqlite() -> None:
    """Raise `UnsupportedSQLite` when this Python's SQLite lacks STRICT tables."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise errors.UnsupportedSQLite(
            f"this Python carries SQLite {sqlite3.sqlite_version}; litequeue needs 3.37 or later"
        )


def carries_reset_fault(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Whether this SQLite can damage a WAL file when checkpoints overlap (fixed in 3.51.3)."""
    return version < (3, 51, 3) and version not in ((3, 44, 6), (3, 50, 7))


def find_or_make(path: str, *, read_only: bool = False) -> str:
    """The real path of the file, made with mode 0600 if it was not there and may be made."""
    real = os.path.realpath(path)
    folder = os.path.dirname(real)
    if not os.path.isdir(folder):
        raise errors.MissingFile(f"{path}: the folder {folder} does not exist; make it first")
    refuse_network(real)
    if os.path.isdir(real):
        raise errors.NotADatabase(f"{path}: this is a folder; give the path of a file")
    if os.path.lexists(path) and (os.path.exists(path) or not read_only):
        return real
    if read_only:
        raise errors.MissingFile(f"{path}: there is no such file")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600))
    except FileExistsError:
        return real  # another process was quicker
    except OSError as error:
        raise errors.ReadOnly(f"{path}: the file can not be made in {folder}: {error.strerror}") from error
    return real


def reading_mode(path: str) -> str:
    """How to open a file that is only read.

    Where its folder can not be written, SQLite can not make the files beside it that readers share. Then
    nobody else uses it either, unless those files are there already.
    """
    if os.access(os.path.dirname(path), os.W_OK) or os.path.exists(f"{path}-wal"):
        return "ro"
    return "ro&immutable=1"


def require_current(connection: Connection, path: str) -> None:
    """Raise when a file that is only read has no queue in it, or an old one that must be upgraded first."""
    version = stored_version(connection, path)
    if version is None:
        raise errors.DatabaseError(f"{path}: there is no queue in this file; the first enqueue makes one")
    if version < SCHEMA_VERSION:
        raise errors.DatabaseError(
            f"{path}: its schema has version {version}; start a worker, or open it with Queue(…), to bring it "
            f"to version {SCHEMA_VERSION}"
        )


def refuse_network(path: str, mounts: str | None = None) -> None:
    """Raise `NetworkFileSystem` when the file lies on one, as far as the system tells."""
    kind = _file_system(path, _mounts() if mounts is None else mounts)
    if kind.startswith(_NETWORK):
        raise errors.NetworkFileSystem(
            f"{path} lies on a network file system ({kind}), where SQLite can not lock or share memory; "
            "use a local disk"
        )


def _mounts() -> str:
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _file_system(path: str, mounts: str) -> str:
    longest, kind = "", ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4].replace("\\040", " ")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(longest):
            longest, kind = point, right.split()[0]
    return kind


def stored_version(connection: Connection, path: str) -> int | None:
    """The version of our schema in this file, None when there is none of it.

    Raises `ForeignTables` when tables of our names are not ours, `SchemaTooNew` when a newer litequeue made
    them.
    """
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()}
    ours = names & _OUR_TABLES
    if not ours:
        return None
    version = _version_row(connection, ours)
    if version is None:
        raise errors.ForeignTables(
            f"{path}: the table {sorted(ours)[0]} is there, but litequeue did not make it; "
            "rename it, or give litequeue a file of its own"
        )
    if version > SCHEMA_VERSION:
        raise errors.SchemaTooNew(
            f"{path}: its schema has version {version}, this litequeue knows {SCHEMA_VERSION}; upgrade litequeue"
        )
    return version


def _version_row(connection: Connection, ours: set[str]) -> int | None:
    if not _OUR_TABLES <= ours:
        return None
    columns = [row[1] for row in connection.execute("PRAGMA table_info(litequeue_meta)").fetchall()]
    if columns != ["key", "value"]:
        return None
    row = connection.execute("SELECT value FROM litequeue_meta WHERE key = 'version'").fetchone()
    return int(row[0]) if row and str(row[0]).isdigit() else None


def prepare(connection: Connection, path: str, begin: Callable[[Connection], None]) -> None:
    """Make or upgrade our tables, in one transaction; `begin` opens it."""
    if stored_version(connection, path) == SCHEMA_VERSION and _is_wal(connection):
        return
    _set_modes(connection)
    begin(connection)
    try:
        version = stored_version(connection, path)  # again: another process may have been quicker
        for statement in _pending(version):
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _pending(version: int | None) -> Iterator[str]:
    if version is None:
        yield from statements(schema_text())
        return
    for step in range(version, SCHEMA_VERSION):
        yield from MIGRATIONS[step]
        yield f"UPDATE litequeue_meta SET value = '{step + 1}' WHERE key = 'version'"


def schema_text() -> str:
    """The text of `schema.sql`."""
    return resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")


def statements(script: str) -> Iterator[str]:
    """The statements of a script; `executescript` would commit the transaction it is in."""
    gathered = ""
    for line in script.splitlines(keepends=True):
        gathered += line
        if sqlite3.complete_statement(gathered):
            yield gathered
            gathered = ""


def _is_wal(connection: Connection) -> bool:
    return connection.execute("PRAGMA journal_mode").fetchone()[0] in ("wal", "memory")


def _set_modes(connection: Connection) -> None:
    if connection.execute("PRAGMA page_count").fetchone()[0] == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # no effect after WAL or the first table
    if not _is_wal(connection):
        connection.execute("PRAGMA journal_mode = WAL").fetchone()


def prepare_patiently(
    connection: Connection, path: str, begin: Callable[[Connection], None], pauses: Iterator[None]
) -> None:
    """`prepare`, again after each pause while another process has the file to itself.

    The change to WAL needs the file alone, and SQLite does not call its busy handler for it.
    """
    for _ in pauses:
        try:
            prepare(connection, path, begin)
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
        else:
            return
    prepare(connection, path, begin)
