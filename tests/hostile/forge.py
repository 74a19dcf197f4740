"""Rows forged against the schema: values, and whole rows, that no queue has ever written there.

Some of them plain SQL may write; others need SQLite's checks switched off first. All is made from a number.
"""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress

from litequeue.clock import LAST_INSTANT, LONGEST
from litequeue.storage.opening import SCHEMA_VERSION, schema_parts
from litequeue.testing import HandClock
from tests.hostile.edits import JSON, VALUES, opened, with_log
from tests.hostile.images import JOBS, Image

_NOW = HandClock().now()
_MOST = 2**63 - 1
NUMBERS: tuple[object, ...] = (
    *(
        None,
        None,
        None,
        None,
        None,
        None,
        -_MOST - 1,
        -_MOST,
        -_NOW,
        -5,
        -1,
        0,
        1,
        2,
        3,
        5,
        50,
        10**7,
        _MOST - 1,
        _MOST,
        2**53,
        2**31,
    ),
    *(_NOW, _NOW - 1, _NOW + 1, _NOW - 10**9, _NOW + 10**9, LAST_INSTANT, LONGEST, LONGEST + 1),
    *range(1, JOBS + 4),
)
REALS: tuple[object, ...] = (None, 0.0, -0.0, -1.5, 0.5, 9e999, -9e999, 1e308)
# What a column means to us; the rest of the texts are for any of them.
WORDS: dict[str, tuple[object, ...]] = {
    "state": (
        "ready",
        "scheduled",
        "blocked",
        "running",
        "completed",
        "failed",
        "cancelled",
        "READY",
        "done",
    ),
    "reason": (
        None,
        None,
        "error",
        "timeout",
        "lost",
        "crashed",
        "cancelled",
        "expired",
        "parent",
        "replaced",
    ),
    "queue": ("default", "mail", "flow", "default", "other"),
    "task": ("app:task", "app:limited", "app:child", "no:where", "app", ":", "os:system"),
    "codec": ("json", "pickle", "JSON", "none"),
    "result_codec": (None, "json", "pickle"),
    "ack": (None, "late", "early", "never"),
    "kind": ("payload", "result"),
    "takes": (None, "one", "all", "none"),
    "runs_on": ("success", "failure", "end", "never"),
    "limit_key": (None, "limit", "nowhere", "queue\tmail", "queue\tdefault"),
    "unique_key": (None, "key", "key", "key2"),
    "schedule": (None, "nightly", "often"),
    "cron": (
        None,
        "* * * * *",
        "0 0 30 2 *",
        "99 * * * *",
        "@reboot",
        "*/0 * * * *",
        "1-0 * * * *",
        "* * * *",
    ),
    "timezone": ("UTC", "Mars/Olympus", "../../../etc/passwd", "/etc/localtime", "Europe/Berlin", "Europe"),
    "catch_up": ("last", "all", "none", "some"),
    "boot": (HandClock().boot(), "", "another"),
    "job": (
        '{"task":"app:task","queue":"default","delay":0,"expires":null,"flow":null}',
        '{"task":"app:task","queue":"default","delay":1e5,"expires":null,"flow":{"unique_key":5}}',
        '{"task":"app:task","queue":"default","delay":-9223372036854775808,"expires":1,"flow":null}',
        '{"task":"app:task","queue":"default","delay":5,"expires":1,"flow":{"rule":[0,0,0,0],"limit_key":"x"}}',
        '{"task":"app:task","queue":"default","delay":5,"expires":1,"flow":{"rule":[1,2],"limit_key":"limit"}}',
        "{}",
    ),
    "name": ("limit", "nowhere", "mail", "flow", "nightly", "often", "one", "step", "key"),
}
_VERSION = "SELECT value FROM litequeue_meta WHERE key = 'version'"
Forgery = Callable[[sqlite3.Connection, random.Random], None]


def forged(images: tuple[Image, Image], number: int) -> Image:
    """The file with a few forged rows in it, which all that is good in it should outlive."""
    return _forge(images[0], number, _UNCHECKED if number % 2 else "")


def untyped(images: tuple[Image, Image], number: int) -> Image:
    """The file with values in it of kinds that do not belong there, as only damage brings them."""
    return _forge(images[0], number, _UNTYPED)


def _forge(image: Image, number: int, how: str) -> Image:
    chance = random.Random(number)
    with closing(opened(image.main)) as connection:
        parts = connection.execute("SELECT name, type, sql FROM sqlite_schema WHERE sql NOT NULL").fetchall()
        _loosen(connection, parts, how)
        content = connection.serialize()
    with closing(opened(content)) as connection:
        connection.execute(f"PRAGMA ignore_check_constraints = {bool(how)}")
        for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5, 8))):
            with suppress(sqlite3.Error, OverflowError):  # what SQLite refuses is not there
                chance.choice(_WAYS)(connection, chance)
        _tighten(connection, parts)
        is_ours = connection.execute(_VERSION).fetchone() == (str(SCHEMA_VERSION),)
        return Image(with_log(connection.serialize()), is_usable=is_ours and how != _UNTYPED)


# --- how much SQLite lets through -----------------------------------------------------------------

_UNCHECKED, _UNTYPED = "unchecked", "untyped"
_COLUMN = re.compile(r"^(  \w+ +)(?:INTEGER|TEXT|REAL|ANY)(?! PRIMARY)( NOT NULL)?", re.MULTILINE)
Parts = Sequence[tuple[str, str, str]]


def _loosen(connection: sqlite3.Connection, parts: Parts, how: str) -> None:
    """Write the schema anew without what would keep forgeries out: triggers always, the rest as is said."""
    for name, kind, text in parts:
        if kind == "trigger":
            connection.execute(f"DROP TRIGGER {name}")
        elif kind == "index" and how:
            _write_schema(connection, name, text.replace("CREATE UNIQUE INDEX", "CREATE INDEX"))
        elif kind == "table" and how == _UNTYPED:
            _write_schema(
                connection, name, _COLUMN.sub(r"\1 BLOB", text).replace("STRICT, ", "").replace("STRICT", "")
            )


def _tighten(connection: sqlite3.Connection, parts: Parts) -> None:
    for name, kind, text in parts:
        if kind == "trigger":
            connection.execute(text)
        else:
            _write_schema(connection, name, text)


def _write_schema(connection: sqlite3.Connection, name: str, text: str) -> None:
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (text, name))
    connection.execute("PRAGMA writable_schema = OFF")


# --- what is forged -------------------------------------------------------------------------------


def _change(connection: sqlite3.Connection, chance: random.Random) -> None:
    """Some values of a row."""
    table, columns = _table(connection, chance)
    chosen = chance.sample(columns, min(len(columns), chance.choice((1, 1, 2, 3))))
    changes = ", ".join(f"{name} = ?" for name, _ in chosen)
    values = [_value(name, kind, chance) for name, kind in chosen]
    key, row = _row(connection, table, chance)
    connection.execute(f"UPDATE {table} SET {changes} WHERE {key}", [*values, *row])


def _add(connection: sqlite3.Connection, chance: random.Random) -> None:
    """A row."""
    table, columns = _table(connection, chance)
    chosen = [column for column in columns if chance.randrange(3) or table != "litequeue_job"]
    names, marks = ", ".join(name for name, _ in chosen), ", ".join("?" * len(chosen))
    values = [_value(name, kind, chance) for name, kind in chosen]
    connection.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", values)


def _double(connection: sqlite3.Connection, chance: random.Random) -> None:
    """A row that is there, but for some values."""
    table, columns = _table(connection, chance)
    key, row = _row(connection, table, chance)
    first = columns[0][0]
    changed = {first: _value(*columns[0], chance)}
    for name, kind in chance.sample(columns, min(len(columns), chance.choice((0, 1, 2)))):
        changed[name] = _value(name, kind, chance)
    chosen = ", ".join("?" if name in changed else name for name, _ in columns)
    values = [changed[name] for name, _ in columns if name in changed]
    connection.execute(
        f"INSERT OR REPLACE INTO {table} SELECT {chosen} FROM {table} WHERE {key}", [*values, *row]
    )


def _remove(connection: sqlite3.Connection, chance: random.Random) -> None:
    """What belongs to a row that is gone stays."""
    table, _ = _table(connection, chance)
    if table != "litequeue_meta":  # then it is nobody's queue any more
        key, row = _row(connection, table, chance)
        connection.execute(f"DELETE FROM {table} WHERE {key}", row)


_WAYS: tuple[Forgery, ...] = (_change, _change, _change, _add, _add, _double, _double, _remove)


def _table(connection: sqlite3.Connection, chance: random.Random) -> tuple[str, list[tuple[str, str]]]:
    names = [name for name in schema_parts() if schema_parts()[name].startswith("CREATE TABLE")]
    table = chance.choice([*names, "litequeue_job", "litequeue_job", "litequeue_job"])
    return table, [(row[1], row[2]) for row in connection.execute(f"PRAGMA table_info({table})").fetchall()]


def _row(connection: sqlite3.Connection, table: str, chance: random.Random) -> tuple[str, list[object]]:
    """Some row of the table: what it is found by, and its values."""
    info = connection.execute(f"PRAGMA table_info({table})").fetchall()
    names = [row[1] for row in info if row[5]]
    rows = connection.execute(f"SELECT {', '.join(names)} FROM {table}").fetchall()
    return " AND ".join(f"{name} IS ?" for name in names), list(
        chance.choice(rows) if rows else [None] * len(names)
    )


def _value(name: str, kind: str, chance: random.Random) -> object:
    """Something to stand in this column."""
    if name in WORDS and chance.randrange(4):
        return chance.choice(WORDS[name])
    pools: dict[str, tuple[object, ...]] = {"INTEGER": NUMBERS, "REAL": REALS, "TEXT": (*JSON, *VALUES)}
    return chance.choice(pools.get(kind, (*NUMBERS, *JSON)) if chance.randrange(8) else VALUES)
