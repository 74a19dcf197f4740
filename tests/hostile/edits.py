"""Rows edited by hand into nonsense: each column, with every value that SQLite lets through."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache

from litequeue.storage.opening import schema_parts
from tests.hostile.exam import COMMANDS
from tests.hostile.images import Image

EVIL = "\x1b]0;owned\x07\x9b31m\u202egnp\r\n2030-05-01 INFO forged\u2028"
DEEP = 100_000
VALUES: tuple[object, ...] = (
    *(None, -1, 0, 1, 2**63 - 1, -(2**63), 10**15),
    *(-0.0, 1.5, 9e999, -9e999),
    *(b"", b"\xff\x00", b"[[],{}]"),
    *(
        "",
        "\0",
        EVIL,
        "x" * 10_000,
        "👩\u200d🚀 \u0645\u0631\u062d\u0628\u0627",
        "'; DROP TABLE litequeue_job; --",
    ),
)
JSON: tuple[object, ...] = (
    *("null", "5", "[", "[1,", '"\\ud800"', "NaN", "[NaN]", "1e999", '{"a":1e999}', "9" * 5000, "[" * DEEP),
    *('{"a":' * 3000 + "1" + "}" * 3000, "[" * 900 + "]" * 900, '["a",5,null,{"b":[]}]', "[[],[]]", "[5,{}]"),
    *('{"$tuple":[1]}', '{"$dataclass":["os:system",{}]}', '[[],{"":1}]', '[[{"$Path":5}],{}]'),
    *('{"timeout":"x"}', '{"timeout":-5}', f'{{"timeout":{10**400}}}', '{"timeout":{}}', '{"isolate":1}'),
    *('{"retry":[]}', '{"retry":{"max_attempts":"x"}}', '{"retry":{"max_attempts":null}}', '{"queue":5}'),
    *('{"retry":{"on":["os:system"]}}', '{"retry":{"base":1e308}}', '{"retry":{"on":' + "[" * DEEP),
)
JSON_COLUMNS = {"payload", "result", "body", "tags", "meta", "options", "queues", "value", "waits", "runs"}
# Bytes that are no UTF-8 in a column of texts, which no parameter could bring there.
NO_TEXT = "CAST(x'5b22ff225d' AS TEXT)"

# Where one value may mean that the file is another's, or that a queue is to rest.
_LAWS = {"litequeue_meta", "litequeue_queue"}


def nonsense(column: str) -> tuple[object, ...]:
    """What to put there: JSON only where JSON is read."""
    return (NO_TEXT, *VALUES, *(JSON if column in JSON_COLUMNS else ()))


Edit = tuple[str, str, object, int]
# Where the head of a file says whether it uses a log, which a file in memory can not.
_MODES = slice(18, 20)
_WITH_LOG, _WITHOUT = b"\x02\x02", b"\x01\x01"


def edited(images: tuple[Image, Image], number: int) -> Image:
    """The file without a log, with one value in some row of it that has no business there."""
    edits = _edits(images[0])
    table, column, value, place = edits[number % len(edits)]
    with closing(opened(images[0].main)) as connection:
        _edit(connection, table, column, value, place)
        is_usable = table not in _LAWS and number % 3 == 0
        return Image(with_log(connection.serialize()), is_usable=is_usable)


@cache
def _edits(image: Image) -> list[Edit]:
    """All that SQLite does not refuse, well mixed."""
    with closing(opened(image.main)) as connection:
        made = [edit for edit in _wanted(connection) if _is_taken(connection, edit)]
    random.Random(0).shuffle(made)
    # Their number shares no divisor with that of the commands: each round of them meets the next command.
    return made[: len(made) - (len(made) % len(COMMANDS) == 0)]


def opened(content: bytes) -> sqlite3.Connection:
    """A database in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(_in_mode(content, _WITHOUT))
    return connection


def with_log(content: bytes) -> bytes:
    """The database as one that uses a log, as ours do."""
    return _in_mode(content, _WITH_LOG)


def _in_mode(content: bytes, mode: bytes) -> bytes:
    changed = bytearray(content)
    changed[_MODES] = mode
    return bytes(changed)


def _wanted(connection: sqlite3.Connection) -> Iterator[Edit]:
    for table in [name for name in schema_parts() if schema_parts()[name].startswith("CREATE TABLE")]:
        if connection.execute(f"SELECT 1 FROM {table}").fetchone():
            for column in columns(connection, table):
                for place, value in enumerate(nonsense(column)):
                    yield table, column, value, place + len(column)


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """The names of a table's columns."""
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})").fetchall()]


def _is_taken(connection: sqlite3.Connection, edit: Edit) -> bool:
    connection.execute("BEGIN")
    try:
        _edit(connection, *edit)
    except (sqlite3.Error, OverflowError):
        return False
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return True


def _edit(connection: sqlite3.Connection, table: str, column: str, value: object, place: int) -> None:
    row = f"SELECT {column} FROM {table} LIMIT 1 OFFSET {place} % (SELECT count(*) FROM {table})"
    mark, values = as_parameter(value)
    connection.execute(f"UPDATE {table} SET {column} = {mark} WHERE {column} IS ({row})", values)


def as_parameter(value: object) -> tuple[str, list[object]]:
    """What stands in a statement for the value, and what is bound there."""
    return (NO_TEXT, []) if value is NO_TEXT else ("?", [value])
