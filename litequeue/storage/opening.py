"""What happens to a file before the first job: it is found or made, checked, and brought up to date."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from sqlite3 import Connection

from .. import errors
from .checkpoint import LEAVE_THE_LOG, LOG_LIMIT, carries_reset_fault
from .gate import Durability
from .places import place_of
from .rows import TEXT_OR_NONE, readable, sound
from .surroundings import refuse_planted
from .translate import translated

SCHEMA_VERSION = 3
FROZEN = "ro&immutable=1"  # the mode of a file that is read without locks
_OLDEST_SQLITE = (3, 37, 0)
_CREATED = re.compile(r"^CREATE (?:UNIQUE )?\w+ (\w+)", re.MULTILINE)
_NETWORK = (
    *("nfs", "cifs", "smb", "9p", "virtiofs", "ceph", "glusterfs", "afs", "lustre"),
    *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.rclone", "fuse.s3fs"),
)

# From version n to n + 1; a migration only adds, but for triggers and views, which it makes anew. Whatever is
# not there then comes from the schema itself.
MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        "ALTER TABLE litequeue_job ADD COLUMN unique_key TEXT",
        "ALTER TABLE litequeue_job ADD COLUMN unique_for INTEGER",
        "ALTER TABLE litequeue_job ADD COLUMN replaceable INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE litequeue_job ADD COLUMN limit_key TEXT",
        "ALTER TABLE litequeue_job ADD COLUMN pending INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE litequeue_job ADD COLUMN linked INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE litequeue_job ADD COLUMN takes TEXT",
        "ALTER TABLE litequeue_job ADD COLUMN schedule TEXT",
        "ALTER TABLE litequeue_job ADD COLUMN scheduled_for INTEGER",
        "ALTER TABLE litequeue_queue ADD COLUMN max_running INTEGER",
        "ALTER TABLE litequeue_queue ADD COLUMN rate_count INTEGER",
        "ALTER TABLE litequeue_queue ADD COLUMN rate_period INTEGER",
        "ALTER TABLE litequeue_queue ADD COLUMN burst INTEGER",
        "DROP TRIGGER litequeue_job_deleted",
    ),
    2: (
        "DROP VIEW litequeue_jobs",
        "DROP VIEW litequeue_workers",
        "DROP VIEW litequeue_failures",
        "DROP VIEW litequeue_queues",
        "ALTER TABLE litequeue_failure ADD COLUMN place TEXT NOT NULL DEFAULT ''",
        "UPDATE litequeue_failure SET place = litequeue_place(traceback)",
    ),
}


def require_sqlite() -> None:
    """Raise `UnsupportedSQLite` when this Python's SQLite lacks STRICT tables."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise errors.UnsupportedSQLite(
            f"this Python carries SQLite {sqlite3.sqlite_version}; litequeue needs 3.37 or later"
        )


def find_or_make(path: str, *, read_only: bool = False) -> str:
    """The real path of the file, made with mode 0600 if it was not there and may be made."""
    if "\0" in path:
        raise errors.InvalidOption(f"{path!r}: a path can not contain a NUL")
    real = os.path.realpath(path)
    folder = os.path.dirname(real)
    if not os.path.isdir(folder):
        raise errors.MissingFile(f"{path}: the folder {folder} does not exist; make it first")
    refuse_network(real)
    if os.path.isdir(real):
        raise errors.NotADatabase(f"{path}: this is a folder; give the path of a file")
    with translated(path):  # a look at a folder may fail, too
        refuse_planted(path, real)
        refuse_orphaned_log(real)
    if os.path.exists(path):
        return real
    if os.path.islink(path):
        raise errors.MissingFile(f"{path}: it is a link to {real}, which does not exist; remove the link")
    if read_only:
        raise errors.MissingFile(f"{path}: there is no such file")
    _make(path, folder)
    return real


def _make(path: str, folder: str) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        os.close(os.open(path, flags, 0o600))
    except FileExistsError:
        return  # another process was quicker
    except OSError as error:
        kinds = {errno.ENOSPC: errors.DiskFull, errno.EACCES: errors.ReadOnly, errno.EROFS: errors.ReadOnly}
        kind = kinds.get(error.errno or 0, errors.DatabaseError)
        raise kind(f"{path}: the file can not be made in {folder}: {error.strerror}") from error


def refuse_orphaned_log(path: str) -> None:
    """Raise `MissingFile` when a log is left of a file that is gone or empty: SQLite would delete it."""
    # The log is asked for first: while a file is made, there is none before the file has a page.
    if _size(f"{path}-wal") and not _size(path):
        raise errors.MissingFile(
            f"{path}: the file is gone or empty, but its log {path}-wal holds what was stored last; "
            "put the file back beside it, or remove the log too"
        )


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0  # whoever opens it says why it can not be


def close_untouched(connection: Connection) -> None:
    """Close a connection to a file that is refused. As its last one it would copy the log into the file."""
    connection.interrupt()  # the copying asks for it at every page, and leaves the log as it is
    connection.close()


def reading_mode(path: str) -> str:
    """How to open a file that is only read.

    Where its folder can not be written, SQLite can not make the files beside it that readers share. Then
    nobody else uses it either, unless those files are there already. Raises `ReadOnly` for a log that was
    left behind, for its jobs would be missing.
    """
    is_shared = all(os.path.exists(f"{path}{ending}") for ending in ("-wal", "-shm"))
    if is_shared or os.access(os.path.dirname(path), os.W_OK):
        return "ro"
    if _size(f"{path}-wal"):
        raise errors.ReadOnly(
            f"{path}: its log {path}-wal holds what was stored last, and can only be read where files can be "
            "made beside it; copy both into a folder that can be written"
        )
    return FROZEN


def require_current(connection: Connection, path: str) -> None:
    """Raise when a file that is only read has no queue in it, or an old one that must be upgraded first."""
    version = stored_version(connection, path)
    if version is None:
        raise errors.DatabaseError(f"{path}: there is no queue in this file; the first enqueue makes one")
    if version < SCHEMA_VERSION:
        raise errors.DatabaseError(
            f"{path}: its schema has version {version}; start a worker, or open it with Queue(…), "
            f"to bring it to version {SCHEMA_VERSION}"
        )


def refuse_network(path: str, mounts: str | None = None) -> None:
    """Raise `NetworkFileSystem` when the file lies on one, as far as the system tells."""
    kind = file_system(path, mounts)
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


def file_system(path: str, mounts: str | None = None) -> str:
    """The kind of file system that the file lies on; an empty text where the system does not tell."""
    longest, kind = "", ""
    for line in (_mounts() if mounts is None else mounts).splitlines():
        left, _, right = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), left.split()[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(longest):
            longest, kind = point, right.split()[0]
    return kind


def stored_version(connection: Connection, path: str) -> int | None:
    """The version of our schema in this file, None when there is none of it.

    Raises `ForeignTables` when something with a name of ours is not ours, `SchemaTooNew` when a newer
    litequeue made it.
    """
    rows = connection.execute("SELECT name, sql FROM sqlite_schema").fetchall()
    checked = [sound(row, (str, TEXT_OR_NONE), "sqlite_schema") for row in rows]
    found = {name.lower(): text or "" for name, text in checked}
    ours = sorted(found.keys() & schema_parts().keys())
    if not ours:
        return None
    # Not asked of another's table of that name: it may be a view that never ends.
    version = _version_row(connection) if _is_ours("litequeue_meta", found) else None
    if version is None:
        raise errors.ForeignTables(
            f"{path}: there is a {ours[0]} in this file that litequeue did not make; "
            "rename it, or give litequeue a file of its own"
        )
    if version == SCHEMA_VERSION:
        _require_parts(found, path)
    if version > SCHEMA_VERSION:
        raise errors.SchemaTooNew(
            f"{path}: its schema has version {version}, this litequeue knows {SCHEMA_VERSION}; upgrade it"
        )
    return version


def _is_ours(name: str, found: Mapping[str, str]) -> bool:
    """Whether what bears a name of ours holds our text, word by word; a later version may have added some."""
    text, ours = found.get(name, ""), schema_parts()[name]
    if text == ours:
        return True  # mostly; to take both apart takes as long as all the rest of an open
    words = iter(_words(text))
    return all(word in words for word in _words(ours))


def _words(text: str) -> list[str]:
    # SQLite puts a column that is added later between the last one's line end and the signs after it.
    return re.sub(r"\s*([,)])", r"\1 ", re.sub(r"--.*|/\*[\s\S]*?\*/", "", text)).split()


def _require_parts(found: Mapping[str, str], path: str) -> None:
    for name in schema_parts():
        if not _is_ours(name, found):
            raise errors.ForeignTables(
                f"{path}: its {name} is not as litequeue made it; undo that change, or restore a backup"
            )


def _version_row(connection: Connection) -> int | None:
    row = connection.execute("SELECT value FROM litequeue_meta WHERE key = 'version'").fetchone()
    return int(row[0]) if row and re.fullmatch("[1-9][0-9]{0,8}", str(row[0])) else None


def prepare(connection: Connection, path: str, begin: Callable[[Connection], None]) -> None:
    """Make or upgrade our tables, in one transaction; `begin` opens it."""
    if stored_version(connection, path) == SCHEMA_VERSION and _is_wal(connection):
        return
    _set_modes(connection, path)
    connection.create_function("litequeue_place", 1, place_of)
    begin(connection)
    try:
        version = stored_version(connection, path)  # again: another process may have been quicker
        for statement in _pending(version):
            connection.execute(statement)
        if version is not None:
            _add_missing(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _pending(version: int | None) -> Iterator[str]:
    if version is None:
        yield from statements(schema_text())
        return
    for step in range(version, SCHEMA_VERSION):
        yield from MIGRATIONS[step]
        yield f"UPDATE litequeue_meta SET value = '{step + 1}' WHERE key = 'version'"


def _add_missing(connection: Connection) -> None:
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema").fetchall()}
    for statement in statements(schema_text()):
        made = _CREATED.search(statement)
        if made is not None and made[1] not in names:
            connection.execute(statement)


def schema_text() -> str:
    """The text of `schema.sql`."""
    return Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")


@cache
def schema_parts() -> Mapping[str, str]:
    """All that `schema.sql` makes: each thing's text, as SQLite keeps it, by its name."""
    made = (part[part.find("CREATE") :].rstrip().removesuffix(";") for part in statements(schema_text()))
    return {_CREATED.findall(part)[0]: part for part in made if part.startswith("CREATE")}


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


def _set_modes(connection: Connection, path: str) -> None:
    if connection.execute("PRAGMA page_count").fetchone()[0] == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # no effect after WAL or the first table
    if _is_wal(connection):
        return
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise errors.DatabaseError(f"{path}: SQLite can not use its WAL mode here (it stays at {mode})")


def set_pragmas(connection: Connection, durability: Durability | None) -> None:
    """What every connection of ours needs, and one that writes besides."""
    connection.text_factory = readable
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")  # measured: costs a claim nothing that can be seen
    connection.execute("PRAGMA secure_delete = OFF").fetchall()
    connection.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT}").fetchall()
    connection.execute("PRAGMA mmap_size = 0").fetchall()
    if carries_reset_fault():
        connection.execute(LEAVE_THE_LOG).fetchall()
    if sys.platform == "darwin":
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
    if durability is not None:
        set_synchronous(connection, durability)


def set_synchronous(connection: Connection, durability: Durability) -> None:
    """Say out loud when commits are synced; a library's default may be anything."""
    connection.execute(f"PRAGMA synchronous = {durability.name}")
