"""The contract about keys, limits and parents without a database: small enough to be read and believed.

The states `ready`, `scheduled`, and `blocked` by a limit are one here; what a claim would have to take of
them, `could_start` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from litequeue.job import (
    Cancelled,
    Complete,
    Crash,
    Flow,
    NewJobs,
    Parent,
    Release,
    Rule,
    Settlement,
    Snoozed,
)

SLACK = 20_000  # so much more a rate leaves between claims
FINAL = ("completed", "failed", "cancelled")
SATISFIES = {"completed": ("success", "end"), "failed": ("failure", "end"), "cancelled": ("end",)}
MAX_CRASHES = 3


class Refused(Exception):
    """The verb must raise, and change nothing."""


@dataclass
class Edge:
    """One parent of a job, and what the job wants of it."""

    parent: int
    runs_on: str
    passes: bool


@dataclass
class Row:
    """What the model knows of a job. `waiting` is blocked by parents, `free` whatever else waits."""

    id: int
    queue: str
    run_at: int
    flow: Flow
    state: str = "free"
    reason: str | None = None
    priority: int = 0
    attempt: int = 0
    crashes: int = 0
    pending: int = 0
    started: bool = False
    cancelling: bool = False
    worker: int | None = None
    created_at: int = 0
    expires_at: int | None = None
    finished_at: int | None = None
    retention: int | None = None
    edges: list[Edge] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether it waits, for whatever."""
        return self.state in ("free", "waiting")

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def has_key(self) -> bool:
        return self.is_open or (self.state == "running" and self.flow.on_duplicate != "replace")

    def place(self) -> tuple[int, int, int]:
        return (-self.priority, self.run_at, self.id)


@dataclass
class Model:
    """The whole contract."""

    rows: dict[int, Row] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    starts: dict[str, list[int]] = field(default_factory=dict)  # since the rule was as it is
    changed: dict[str, int] = field(default_factory=dict)  # when the rule was
    workers: dict[int, int] = field(default_factory=dict)  # until when its lease runs
    paused: set[str] = field(default_factory=set)
    last_id: int = 0

    # --- enqueue -------------------------------------------------------------------------------------

    def enqueue(self, jobs: Sequence[NewJobs], now: int) -> list[tuple[int, bool]]:
        stored: list[tuple[int, bool]] = []
        for job in jobs:
            flow = job.flow or Flow()
            if flow.only_with is not None and not stored[flow.only_with][1]:
                stored.append(stored[flow.only_with])
                continue
            edges = [Edge(_id_of(each, stored), each.runs_on, each.passes) for each in flow.parents]
            stored.append(self.store(job, flow, edges, now))
        return stored

    def store(self, job: NewJobs, flow: Flow, edges: list[Edge], now: int) -> tuple[int, bool]:
        holder = None if flow.unique_key is None else self.holder(flow.unique_key, now)
        if holder is not None and flow.on_duplicate == "raise":
            raise Refused
        if any(edge.parent not in self.rows for edge in edges):
            raise Refused
        run_at = now if job.run_at is None else job.run_at
        if holder is not None and holder.state == "running" and flow.on_duplicate == "replace":
            holder.flow, holder = holder.flow._replace(on_duplicate="replace"), None  # it lets go
        if holder is None:
            self.last_id += 1
            row = Row(self.last_id, job.queue, run_at, flow, priority=job.priority, created_at=now)
            row.expires_at, row.retention = job.expires_at, job.retention
            if row.retention is not None:
                row.retention = max(row.retention, flow.unique_for or 0)
            if flow.limit_key is not None and flow.rule != Rule():
                self.define(flow.limit_key, flow.rule, now)
        elif flow.on_duplicate == "replace" and holder.is_open:
            row = holder
            if row.id in self.above([edge.parent for edge in edges]):
                raise Refused
            if flow.max_wait is not None:
                run_at = min(run_at, row.created_at + flow.max_wait)
            row.run_at, row.expires_at, row.state, row.pending = run_at, job.expires_at, "free", 0
            row.crashes = 0
            row.flow = row.flow._replace(on_duplicate="replace")
        else:
            return holder.id, False
        row.edges = edges
        self.rows[row.id] = row
        self.expect(row, is_new=True)
        return row.id, holder is None

    def holder(self, key: str, now: int) -> Row | None:
        having = [row for row in self.rows.values() if row.flow.unique_key == key]
        if any(row.has_key for row in having):
            self.expire(now)
        for row in having:
            if row.has_key:
                return row
        ended = [row for row in having if row.state == "completed" and row.flow.unique_for is not None]
        last = max(ended, key=lambda row: row.finished_at or 0, default=None)
        if last is not None and (last.finished_at or 0) + (last.flow.unique_for or 0) > now:
            return last
        return None

    def define(self, key: str, rule: Rule, now: int) -> None:
        if self.rules.get(key, Rule()) != rule:
            self.starts[key] = []
            self.changed[key] = now
        self.rules[key] = rule

    # --- parents and children ------------------------------------------------------------------------

    def children(self, parent: int) -> list[Row]:
        return [row for row in self.rows.values() if any(edge.parent == parent for edge in row.edges)]

    def below(self, id: int) -> list[int]:
        found: list[int] = []
        line = [id]
        while line:
            for child in self.children(line.pop()):
                if child.id not in found:
                    found.append(child.id)
                    line.append(child.id)
        return sorted(found)

    def above(self, ids: list[int]) -> set[int]:
        found: set[int] = set()
        line = list(ids)
        while line:
            id = line.pop()
            if id not in found:
                found.add(id)
                line += [edge.parent for edge in self.rows[id].edges] if id in self.rows else []
        return found

    def unfinished(self, row: Row) -> int:
        parents = {edge.parent for edge in row.edges}
        return sum(id in self.rows and not self.rows[id].is_final for id in parents)

    def is_unwanted(self, edge: Edge) -> bool:
        """Whether this parent has ended, or is gone, in another way than was wanted."""
        parent = self.rows.get(edge.parent)
        if parent is None:
            return edge.runs_on != "end"
        return parent.is_final and edge.runs_on not in SATISFIES[parent.state]

    def expect(self, row: Row, *, is_new: bool = False) -> None:
        row.pending = self.unfinished(row)
        row.state = "waiting" if row.pending else "free"
        if any(self.is_unwanted(edge) for edge in row.edges):
            row.expires_at = 0
        elif not is_new:
            row.expires_at = None

    def end(self, row: Row, state: str, reason: str | None, now: int) -> None:
        row.state, row.reason, row.finished_at, row.worker, row.cancelling = state, reason, now, None, False
        for child in self.children(row.id):
            if child.state == "waiting":
                wishes = [edge.runs_on for edge in child.edges if edge.parent == row.id]
                if state == "completed" and "failure" in wishes:
                    child.retention = 0
                if any(wish not in SATISFIES[state] for wish in wishes):
                    child.expires_at = 0
                self.count_down(child)

    def count_down(self, child: Row) -> None:
        child.pending -= 1
        child.state = "waiting" if child.pending else "free"

    def expire(self, now: int) -> None:
        while late := [
            row
            for row in self.rows.values()
            if row.is_open and row.expires_at is not None and row.expires_at <= now
        ]:
            for row in late:
                self.end(row, "cancelled", "expired" if row.expires_at else "parent", now)

    # --- workers -------------------------------------------------------------------------------------

    def take(self, id: int, worker: int, now: int) -> None:
        row = self.rows[id]
        row.state, row.worker, row.attempt = "running", worker, row.attempt + 1
        for key in self.keys(row):
            self.starts.setdefault(key, []).append(now)

    def keys(self, row: Row) -> list[str]:
        own = [] if row.flow.limit_key is None else [row.flow.limit_key]
        return [*own, f"queue {row.queue}"]

    def running(self, key: str) -> int:
        return sum(row.state == "running" and key in self.keys(row) for row in self.rows.values())

    def room(self, key: str, now: int) -> float:
        rule = self.rules.get(key, Rule())
        rooms = [float("inf")]
        if rule.max_running is not None:
            rooms.append(rule.max_running - self.running(key))
        for count, period in windows(rule):
            rooms.append(count - sum(now - period < at <= now for at in self.starts.get(key, ())))
        return min(rooms)

    def could_start(self, queue: str, now: int) -> Iterator[Row]:
        """What a worker with room would have to be given, in order."""
        if queue in self.paused or self.room(f"queue {queue}", now) <= 0:
            return
        line = [row for row in self.rows.values() if row.queue == queue and row.state == "free"]
        for row in sorted(line, key=Row.place):
            key = row.flow.limit_key
            if row.run_at <= now and (key is None or self.room(key, now) > 0):
                yield row

    def is_own(self, lease: tuple[int, int]) -> bool:
        row = self.rows.get(lease[0])
        return row is not None and row.state == "running" and row.attempt == lease[1]

    def settle(self, settlement: Settlement, now: int) -> bool:
        if not self.is_own(settlement.lease):
            return False
        row = self.rows[settlement.lease.job]
        if isinstance(settlement, Crash):
            self.crash(row, now)
        elif isinstance(settlement, Cancelled) or row.cancelling:
            self.end(row, "cancelled", "cancelled", now)
        elif isinstance(settlement, Complete):
            self.end(row, "completed", None, now)
        elif isinstance(settlement, Release):
            self.wait_again(row, row.run_at, now)
        elif isinstance(settlement, Snoozed):
            self.wait_again(row, settlement.run_at, now, is_started=True)
        elif settlement.retry_at is None:
            self.end(row, "failed", settlement.failure.reason, now)
        else:
            self.wait_again(row, settlement.retry_at, now, is_started=True)
        return True

    def crash(self, row: Row, now: int) -> None:
        if row.cancelling:
            self.end(row, "cancelled", "cancelled", now)
        elif row.crashes + 1 >= MAX_CRASHES:
            self.end(row, "failed", "crashed", now)
        else:
            crashes = row.crashes + 1
            self.wait_again(row, row.run_at, now, is_started=True)
            row.crashes = crashes if row.is_open else row.crashes
            return
        row.crashes += 1

    def wait_again(self, row: Row, run_at: int, now: int, *, is_started: bool = False) -> None:
        others = [each for each in self.rows.values() if each is not row and each.has_key]
        if row.flow.unique_key is not None and row.flow.unique_key in [one.flow.unique_key for one in others]:
            self.end(row, "cancelled", "replaced", now)
            return
        row.state, row.worker, row.run_at, row.cancelling = "free", None, run_at, False
        if is_started:
            row.expires_at = None

    def lose(self, worker: int, now: int) -> int:
        held = [row for row in self.rows.values() if row.worker == worker]
        for row in held:
            self.crash(row, now)
        del self.workers[worker]
        return len(held)

    # --- operators -----------------------------------------------------------------------------------

    def cancel(self, id: int, now: int) -> None:
        if not self.cancel_alone(self.get(id), now):
            raise Refused
        if self.rows[id].is_final:
            self.expire(now)

    def cancel_alone(self, row: Row, now: int) -> bool:
        if row.is_open:
            self.end(row, "cancelled", "cancelled", now)
        elif row.state == "running":
            row.cancelling = True
        else:
            return False
        return True

    def cancel_tree(self, id: int, now: int) -> int:
        rows = [self.get(id), *(self.rows[each] for each in self.below(id))]
        done = sum(self.cancel_alone(row, now) for row in rows)
        if not done:
            raise Refused
        self.expire(now)
        return done

    def retry(self, id: int, now: int) -> None:
        row = self.get(id)
        if row.state not in ("failed", "cancelled") or self.lacks_result(row) or self.is_taken(row):
            raise Refused
        row.run_at, row.crashes = now, 0
        self.begin_again(row)
        row.pending = self.unfinished(row)
        row.state = "waiting" if row.pending else "free"
        revived = []
        for child in (self.rows[each] for each in self.below(id)):
            is_doomed = child.reason == "parent" or (child.is_open and child.expires_at == 0)
            if is_doomed and (child.is_open or not self.is_taken(child)):
                self.begin_again(child)
                revived.append(child)
        for child in revived:
            self.expect(child)
        for parent in (row, *revived):
            for child in self.children(parent.id):
                if child.state == "waiting":
                    child.pending = self.unfinished(child)

    def begin_again(self, row: Row) -> None:
        row.state, row.reason, row.finished_at, row.expires_at = "waiting", None, None, None

    def lacks_result(self, row: Row) -> bool:
        return any(
            edge.passes
            and edge.runs_on == "success"
            and (edge.parent not in self.rows or self.rows[edge.parent].state in ("failed", "cancelled"))
            for edge in row.edges
        )

    def is_taken(self, row: Row) -> bool:
        key = row.flow.unique_key
        return key is not None and any(
            each.has_key and each.flow.unique_key == key for each in self.rows.values()
        )

    def delete(self, id: int, now: int) -> None:
        row = self.get(id)
        if row.state == "running" or (row.state == "completed" and self.is_needed(row)):
            raise Refused
        self.forget(row)
        self.expire(now)

    def is_needed(self, row: Row) -> bool:
        return any(
            edge.passes and edge.parent == row.id and not child.is_final
            for child in self.children(row.id)
            for edge in child.edges
        )

    def is_kept(self, row: Row) -> bool:
        """Whether a child might yet be tried with its result."""
        return self.is_needed(row) or any(
            row.state == "completed" and child.state != "completed" and edge.passes and edge.parent == row.id
            for child in self.children(row.id)
            for edge in child.edges
        )

    def forget(self, row: Row) -> None:
        del self.rows[row.id]
        for child in self.children(row.id):
            mine = [edge for edge in child.edges if edge.parent == row.id]
            doomed = any(
                edge.runs_on != "end" and (not row.is_final or (edge.passes and edge.runs_on == "success"))
                for edge in mine
            )
            if child.is_open and doomed:
                child.expires_at = 0
            if child.state == "waiting" and not row.is_final:
                self.count_down(child)
            satisfied = SATISFIES.get(row.state, ("end",))
            child.edges = [
                edge
                for edge in child.edges
                if edge.parent != row.id or edge.passes or edge.runs_on not in satisfied
            ]

    def prune(self, now: int) -> int:
        gone = [
            row
            for row in self.rows.values()
            if row.finished_at is not None
            and row.retention is not None
            and row.finished_at + row.retention <= now
            and not self.is_kept(row)
        ]
        for row in gone:
            self.forget(row)
        return len(gone)

    def get(self, id: int) -> Row:
        if id not in self.rows:
            raise Refused
        return self.rows[id]


def _id_of(parent: Parent, stored: list[tuple[int, bool]]) -> int:
    return stored[parent.place or 0][0] if parent.id is None else parent.id


def windows(rule: Rule) -> list[tuple[int, int]]:
    """How many may start in which times."""
    if rule.rate_count is None or rule.rate_period is None:
        return []
    found = [(rule.rate_count, rule.rate_period + SLACK)]
    if rule.burst is not None:
        found.append((rule.burst, rule.rate_period * rule.burst // rule.rate_count))
    return found
