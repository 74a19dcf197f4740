"""Jobs with all that is stored about them: read out in order, and stored in another file or once more."""

from __future__ import annotations

import json
from collections import ChainMap, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, MutableMapping, Sequence
from sqlite3 import Connection, IntegrityError
from typing import Any, NamedTuple

from ..clock import Clock
from ..errors import NotAllowed
from ..job import FINAL, WAITING, Crash, Failure, Filter, Lease, Release, Rule
from ..portable import ATTEMPT, JOB, LOG, STEP, Portable, Row
from . import enqueuing, flow, limits, schedules, settling
from .database import Database
from .gate import Durability
from .reports import matching
from .settling import INLINE_LIMIT
from .transactions import snapshot

_SMALL = ("tags", "meta", "options")
JOBS = f"""
SELECT {", ".join(JOB)}, {", ".join(_SMALL)},
       coalesce(payload, (SELECT body FROM litequeue_blob WHERE job = id AND kind = 'payload')) AS payload,
       coalesce(result, (SELECT body FROM litequeue_blob WHERE job = id AND kind = 'result')) AS result
FROM litequeue_job WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id
"""
ATTEMPTS = f"""
SELECT job, {", ".join(ATTEMPT)} FROM litequeue_failure
WHERE job IN (SELECT value FROM json_each(?)) ORDER BY job, attempt
"""
LOGS = f"""
SELECT job, {", ".join(LOG)} FROM litequeue_log
WHERE job IN (SELECT value FROM json_each(?)) ORDER BY job, number
"""
STEPS = f"""
SELECT job, {", ".join(STEP)}, result FROM litequeue_step
WHERE job IN (SELECT value FROM json_each(?)) ORDER BY job, name
"""
EDGES = """
SELECT child AS job, parent, state, runs_on, passes FROM litequeue_edge
LEFT JOIN litequeue_job ON id = parent WHERE child IN (SELECT value FROM json_each(?)) ORDER BY child, number
"""
_COLUMNS = (*JOB, *_SMALL, "payload", "result")
STORE = f"""
INSERT INTO litequeue_job ({", ".join(_COLUMNS)}, worker)
VALUES ({", ".join(f":{name}" for name in _COLUMNS)}, iif(:state = 'running', -1, NULL))
"""
STORE_BODY = "INSERT INTO litequeue_blob (job, kind, body) VALUES (?, ?, ?)"
STORE_ATTEMPT = f"""
INSERT INTO litequeue_failure (job, {", ".join(ATTEMPT)})
VALUES (:job, {", ".join(f":{name}" for name in ATTEMPT)})
"""
STORE_LOG = f"""
INSERT INTO litequeue_log (job, {", ".join(LOG)})
VALUES (:job, {", ".join(f":{name}" for name in LOG)})
"""
STORE_STEP = f"""
INSERT INTO litequeue_step (job, {", ".join(STEP)}, result)
VALUES (:job, {", ".join(f":{name}" for name in STEP)}, :result)
"""
# It waits for those of its parents that have yet to end, as they are here and now.
AWAIT = """
UPDATE litequeue_job
SET pending = :pending, state = iif(:pending > 0, 'blocked', 'scheduled'),
    expires_at = iif(:is_doomed, 0, expires_at),
    message = iif(:is_doomed AND expires_at IS NOT 0, 'another job that it waits for has ended', message)
WHERE id = :id AND state = 'blocked'
"""
# As `settling.REPLACED`, for one that came back already.
REPLACE = f"""
UPDATE litequeue_job
SET state = 'cancelled', retention = {settling.KEPT_CANCELLED}, reason = 'replaced', finished_at = :now,
    message = 'a newer job with the same unique key waits'
WHERE id = :id AND state IN ('scheduled', 'blocked', 'ready') AND replaceable = 1
"""
IS_HERE = "SELECT 1 FROM litequeue_job WHERE id = ?"
_CHUNK = 500
_STOPPED = Failure("lost", "Imported", "it ran when it was exported, and it runs at most once")


class Numbered(NamedTuple):
    """A job of the input, and the line that it stands on."""

    line: int
    one: Portable


class Stake(NamedTuple):
    """What no other job may have: an id, a unique key while it binds, or the firing of a schedule."""

    kind: str
    value: tuple[str | int, ...]


class Taken:
    """What became of the input so far: the new ids by the old ones, and which of them ran and came back."""

    def __init__(self, ids: MutableMapping[int, int] | None = None, returned: set[int] | None = None) -> None:
        self.ids: MutableMapping[int, int] = {} if ids is None else ids
        self.returned: set[int] = set() if returned is None else returned

    def more(self) -> Taken:
        """A draft of it with the next batch."""
        return Taken(ChainMap({}, self.ids), set(self.returned))

    def keep(self, draft: Taken) -> None:
        """Make what is new in a draft part of it."""
        assert isinstance(draft.ids, ChainMap)
        self.ids.update(draft.ids.maps[0])
        self.returned = draft.returned


class Transfer:
    """Reads jobs out and stores them again."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def jobs(self, chosen: Filter) -> Iterator[Portable]:
        """The jobs that match, each after its parents, in the order of their ids where that allows it."""
        held: dict[int, Portable] = {}
        last = 0
        while ids := self.database.read(lambda c, after=last: matching(c, chosen, after, _CHUNK)):  # type: ignore[misc]
            last = ids[-1]
            for one in self.database.read(lambda c, ids=ids: _read(c, ids)):  # type: ignore[misc]
                held[one.job["id"]] = one
            yield from _ready(held, last)
        yield from _ready(held, 2**63)

    def disputed(self, stakes: Sequence[Stake]) -> Iterator[Stake]:
        """Those that a job which is here already has."""
        for start in range(0, len(stakes), _CHUNK):
            some = stakes[start : start + _CHUNK]
            yield from self.database.read(lambda c, some=some: [one for one in some if _is_here(c, one)])  # type: ignore[misc]

    def store(self, batch: Sequence[Numbered], taken: Taken, *, keep_ids: bool) -> list[int]:
        """Store a batch in one transaction, all or none; the ids of its jobs here.

        `taken` tells of the batches before, and then of this one. Raises `NotAllowed`, which names the line,
        for a job that can not be stored here.
        """
        now = self.clock.now()
        draft = taken.more()

        def operation(connection: Connection) -> list[int]:
            ids = []
            for line, one in batch:
                try:
                    ids.append(_store(connection, one, draft, now, keep_ids=keep_ids))
                except IntegrityError as error:
                    raise NotAllowed(f"line {line}: {_why(one, error)}") from error
            return ids

        ids = self.database.write(operation, Durability.FULL)
        taken.keep(draft)
        self.database.hints.send({one.job["queue"] for _, one in batch})
        return ids


# --- out -----------------------------------------------------------------------------------------


def _read(connection: Connection, ids: Sequence[int]) -> list[Portable]:
    wanted = json.dumps(list(ids))
    with snapshot(connection):
        jobs = _rows(connection, JOBS, wanted)
        attempts, logs, steps, edges = (
            _by_job(_rows(connection, query, wanted)) for query in (ATTEMPTS, LOGS, STEPS, EDGES)
        )
        return [
            Portable(job, attempts[id], logs[id], steps[id], edges[id], _rule(connection, job["limit_key"]))
            for job in jobs
            for id in (job["id"],)
        ]


def _rows(connection: Connection, query: str, wanted: str) -> list[dict[str, Any]]:
    cursor = connection.execute(query, (wanted,))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _by_job(rows: Iterable[dict[str, Any]]) -> Mapping[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row.pop("job")].append(row)
    return found


def _rule(connection: Connection, key: str | None) -> Rule:
    return (limits.rule_of(connection, key) if key is not None else None) or Rule()


def _ready(held: dict[int, Portable], last: int) -> Iterator[Portable]:
    """Those whose parents have all been given, or lie behind; a replaced job may have younger parents."""
    given = True
    while given:
        given = False
        for id, one in sorted(held.items()):
            if not any(edge["parent"] > last or edge["parent"] in held for edge in one.parents):
                yield held.pop(id)
                given = True


# --- in ------------------------------------------------------------------------------------------


def lacks(one: Portable, known: Container[int]) -> str | None:
    """What keeps a job from being stored without a parent that is not among those known; None: nothing."""
    job = one.job
    for edge in one.parents:
        id = edge["parent"]
        if id in known or job["state"] in FINAL or job["expires_at"] == 0:
            continue
        if job["state"] == "blocked" and _is_open(edge):
            return f"it waits for job {id}, which does not stand before it"
        if edge["passes"] and edge["runs_on"] == "success":
            return f"it takes the result of job {id}, which does not stand before it"
    return None


def stakes_of(one: Portable, *, keep_ids: bool) -> Iterator[Stake]:
    """What the job must have alone to be stored."""
    job = one.job
    if keep_ids:
        yield Stake("id", (job["id"],))
    if job["schedule"] is not None and job["scheduled_for"] is not None:
        yield Stake("firing", (job["schedule"], job["scheduled_for"]))
    binds = job["state"] in WAITING or (job["state"] == "running" and not job["replaceable"])
    if job["unique_key"] is not None and binds:
        yield Stake("key", (job["unique_key"],))


def why_disputed(stake: Stake) -> str:
    """What keeps a job with this stake from being stored, in words."""
    first = repr(stake.value[0])
    return {
        "id": f"there is a job {first} here already; without --keep-ids it gets an id of its own",
        "firing": f"the job that schedule {first} made for the same instant is here already",
        "key": f"a job that is here has its unique key {first}, and is not final",
    }[stake.kind]


def why_twice(stake: Stake, line: int) -> str:
    """As `why_disputed`, of a job that stands before it in the same input."""
    what = {"id": "id", "firing": "firing of its schedule", "key": "unique key"}[stake.kind]
    return f"its {what} is also that of line {line}, and only one of them can be stored"


def _is_here(connection: Connection, stake: Stake) -> bool:
    query = {"id": IS_HERE, "firing": schedules.IS_MADE, "key": flow.HOLDER}[stake.kind]
    return connection.execute(query, stake.value).fetchone() is not None


def _store(connection: Connection, one: Portable, taken: Taken, now: int, *, keep_ids: bool) -> int:
    job = one.job
    id: int = job["id"] if keep_ids else connection.execute(enqueuing.LAST_ID).fetchone()[0] + 1
    row = {**job, "id": id}
    waits = job["state"] == "blocked" and any(map(_is_open, one.parents))
    if job["state"] == "blocked" and not waits:
        row["state"] = "ready"  # its limit blocked it, and does so again if it must
    for kind in ("payload", "result"):
        if row[kind] is not None and len(row[kind]) > INLINE_LIMIT:
            connection.execute(STORE_BODY, (id, kind, row[kind]))
            row[kind] = None
    if job["unique_key"] is not None:
        _make_way(connection, job["unique_key"], taken, now)
    connection.execute(STORE, row)
    for statement, rows in ((STORE_ATTEMPT, one.attempts), (STORE_LOG, one.log), (STORE_STEP, one.steps)):
        connection.executemany(statement, [{**each, "job": id} for each in rows])
    if job["limit_key"] is not None:
        limits.define(connection, job["limit_key"], one.rule)
    _tie(connection, id, one, taken.ids)
    if waits:
        _await(connection, id, one, taken.ids)
    if job["state"] == "running":
        _give_back(connection, id, job, now)
        taken.returned.add(id)
    taken.ids[job["id"]] = id
    return id


def _is_open(edge: Row) -> bool:
    """Whether the parent had yet to end when it was exported."""
    return edge["state"] == "running" or edge["state"] in WAITING


def _make_way(connection: Connection, key: str, taken: Taken, now: int) -> None:
    """A job that ran there has come back already, and the one that waited to replace it comes now."""
    holder = connection.execute(flow.HOLDER, (key,)).fetchone()
    if holder is not None and holder[0] in taken.returned:
        connection.execute(REPLACE, {"id": holder[0], "now": now})


def _tie(connection: Connection, id: int, one: Portable, here: Mapping[int, int]) -> None:
    """Enter its parents. Of one that is not here only a number is left, which no job will ever bear."""
    rows: list[tuple[object, ...]] = []
    for edge in one.parents:
        parent = here.get(edge["parent"])
        if parent is not None:
            connection.execute(flow.LINK, (parent,))
        elif not edge["passes"] and flow.is_satisfied(edge["runs_on"], edge["state"]):
            continue  # it has nothing more to say
        place = -abs(edge["parent"]) if parent is None else parent
        rows.append((id, len(rows), place, edge["runs_on"], edge["passes"]))
    connection.executemany(flow.ADD_EDGE, rows)


def _await(connection: Connection, id: int, one: Portable, here: Mapping[int, int]) -> None:
    """Let it wait for those that have yet to end; an earlier batch may have run since it was stored."""
    ids = [here[edge["parent"]] for edge in one.parents if edge["parent"] in here]
    states = dict(connection.execute(flow.STATES, (json.dumps(ids),)).fetchall())
    is_doomed = any(
        _is_open(edge)  # how others had ended by then is past
        and edge["runs_on"] != "end"
        and states.get(here.get(edge["parent"]), "gone") not in {*WAITING, "running"}
        and not flow.is_satisfied(edge["runs_on"], states.get(here.get(edge["parent"])))
        for edge in one.parents
    )
    pending = sum(state not in FINAL for state in states.values())
    connection.execute(AWAIT, {"id": id, "pending": pending, "is_doomed": is_doomed})


def _give_back(connection: Connection, id: int, job: Mapping[str, Any], now: int) -> None:
    """Whoever ran it there does not run it here."""
    lease = Lease(id, job["attempt"])
    is_over = job["ack"] == "early" and job["started_at"] is not None
    settling.settle(connection, Crash(lease, _STOPPED) if is_over else Release(lease), now)


def _why(one: Portable, error: IntegrityError) -> str:
    """What keeps the job from being stored, in words."""
    words = {"unique_key": "key", "scheduled_for": "firing", "litequeue_job.id": "id"}
    kind = next((kind for column, kind in words.items() if column in str(error)), None)
    stakes = [stake for stake in stakes_of(one, keep_ids=True) if stake.kind == kind]
    return why_disputed(stakes[0]) if stakes else f"it can not be stored: {error}"
