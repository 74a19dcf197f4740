"""The faults: each one a mistake that somebody could make, and the tests that must see it."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """One change of one file, in which `right` stands once; some of these tests fail when it is `wrong`."""

    name: str
    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]


CONTRACT = "tests.storage.test_contract"
PROCESSES = "tests.storage.test_processes"

FAULTS = (
    Fault(
        "no fence: a late worker's settlement is accepted",
        "storage/settling.py",
        "    started_at = coalesce(started_at, ?)\nWHERE id = ? AND attempt = ? AND state = 'running'",
        "    started_at = coalesce(started_at, ?)\nWHERE id = ? AND attempt >= ? AND state = 'running'",
        (CONTRACT, "tests.storage.test_machine"),
    ),
    Fault(
        "no state check: a job that ended is put back by a late retry",
        "storage/settling.py",
        "    failures = min(failures, 1000000000) + :failures, started_at = coalesce(started_at, :now),\n"
        "    expires_at = NULL\n"
        "WHERE id = :id AND attempt = :attempt AND state = 'running'",
        "    failures = min(failures, 1000000000) + :failures, started_at = coalesce(started_at, :now),\n"
        "    expires_at = NULL\n"
        "WHERE id = :id AND attempt = :attempt",
        (CONTRACT, "tests.storage.test_machine"),
    ),
    Fault(
        "priority ignored",
        "storage/claims.py",
        'ORDER BY priority DESC, run_at, id LIMIT ?\n"""\n_CANDIDATE',
        'ORDER BY run_at, id LIMIT ?\n"""\n_CANDIDATE',
        (CONTRACT,),
    ),
    Fault(
        "last come, first served",
        "storage/claims.py",
        'ORDER BY priority DESC, run_at, id LIMIT ?\n"""\n_CANDIDATE',
        'ORDER BY priority DESC, run_at, id DESC LIMIT ?\n"""\n_CANDIDATE',
        (CONTRACT,),
    ),
    Fault(
        "a job that is not due is promoted",
        "storage/claims.py",
        "WHERE state = 'scheduled' AND queue = ? AND run_at <= ?\n",
        "WHERE state = 'scheduled' AND queue = ? AND run_at - 60000000 <= ?\n",
        (CONTRACT, "tests.users.test_drain"),
    ),
    Fault(
        "early reap: a living worker loses its jobs before its lease ends",
        "storage/workers.py",
        "worker.lease_until <= self.clock.monotonic()",
        "worker.lease_until - 10_000_000 <= self.clock.monotonic()",
        (CONTRACT, "tests.storage.test_machine"),
    ),
    Fault(
        "a free lock is not seen: a killed worker's jobs wait for its lease",
        "storage/workers.py",
        "return side.is_held(worker.id)",
        "return True",
        (PROCESSES,),
    ),
    Fault(
        "no crash limit: poison circles for ever",
        "storage/settling.py",
        "WHEN crashes + 1 >= coalesce(max_crashes, :max_crashes) THEN 'failed' ELSE 'ready' END",
        "ELSE 'ready' END",
        (CONTRACT,),
    ),
    Fault(
        "at most once runs twice",
        "storage/settling.py",
        "CASE WHEN cancelling THEN 'cancelled' WHEN ack = 'early' THEN 'failed'",
        "CASE WHEN cancelling THEN 'cancelled'",
        (CONTRACT,),
    ),
    Fault(
        "a request to stop is forgotten when the attempt returns",
        "storage/settling.py",
        "NOT INDEXED\nSET state = {_COMPLETED}, retention = {_KEPT.format(state=_COMPLETED)},\n"
        "    reason = iif(cancelling, 'cancelled', NULL)",
        "NOT INDEXED\nSET state = 'completed', reason = NULL",
        (CONTRACT, "tests.storage.test_machine"),
    ),
    Fault(
        "effects outside of the transaction: they stay though the job was lost",
        "worker/transaction.py",
        "commit = decide(connection)",
        "commit = decide(connection) or True",
        ("tests.worker.test_transaction",),
    ),
    Fault(
        "a task that failed keeps its writes",
        "worker/hands.py",
        "        if not isinstance(settlement, Complete):\n            transaction.roll_back()",
        "        if not isinstance(settlement, Complete):\n            transaction.end(lambda _: True)",
        ("tests.worker.test_transaction",),
    ),
    Fault(
        "NORMAL where FULL was promised",
        "storage/opening.py",
        'connection.execute(f"PRAGMA synchronous = {durability.name}")',
        'connection.execute("PRAGMA synchronous = NORMAL")',
        ("tests.storage.test_database",),
    ),
    Fault(
        "a settlement is not synced",
        "storage/store.py",
        "Durability.FULL if is_lasting else Durability.NORMAL",
        "Durability.NORMAL",
        ("tests.storage.test_database",),
    ),
    Fault(
        "an enqueue is not synced",
        "storage/store.py",
        "self.database.write(operation, Durability.FULL, is_single=is_single)",
        "self.database.write(operation, Durability.NORMAL, is_single=is_single)",
        ("tests.storage.test_database",),
    ),
    Fault(
        "hint before the commit: the worker that it wakes finds nothing",
        "storage/store.py",
        "        added = self.database.write(operation, Durability.FULL, is_single=is_single)\n"
        "        self.hint([jobs[0].queue] if len(jobs) == 1 else {batch.queue for batch in jobs})\n",
        "        self.hint([jobs[0].queue] if len(jobs) == 1 else {batch.queue for batch in jobs})\n"
        "        added = self.database.write(operation, Durability.FULL, is_single=is_single)\n",
        ("tests.storage.test_hints",),
    ),
    Fault(
        "unblock forgotten: children wait for a parent that has ended",
        "storage/schema.sql",
        "  SET pending = pending - 1,\n"
        "      state = CASE WHEN pending > 1 THEN 'blocked' WHEN run_at > new.finished_at",
        "  SET pending = pending - 1,\n"
        "      state = CASE WHEN pending >= 1 THEN 'blocked' WHEN run_at > new.finished_at",
        ("tests.cli.test_graph", "tests.storage.test_flow"),
    ),
    Fault(
        "a failure is not passed on to the children",
        "storage/schema.sql",
        "CASE new.state WHEN 'completed' THEN 'success' WHEN 'failed' THEN 'failure' ELSE '' END)",
        "CASE new.state WHEN 'completed' THEN 'success' WHEN 'failed' THEN 'success' ELSE '' END)",
        ("tests.cli.test_graph", "tests.storage.test_flow"),
    ),
    Fault(
        "ids are used again after the newest job was deleted",
        "storage/schema.sql",
        "SELECT 'last_id', old.id WHERE old.id >",
        "SELECT 'last_id', 0 WHERE old.id >",
        (CONTRACT, "tests.storage.test_machine"),
    ),
    Fault(
        "retention ignored",
        "storage/operating.py",
        '_IS_OVER = f"""\nqueue = ? AND state = ? AND finished_at + retention <= ?',
        '_IS_OVER = f"""\nqueue = ? AND state = ? AND finished_at + 0 * retention <= ?',
        (CONTRACT, "tests.storage.test_machine"),
    ),
    Fault(
        "a job that expired runs",
        "storage/claims.py",
        "if _is_past(row[13], now):",
        "if now < 0:",
        ("tests.storage.test_claims",),
    ),
    Fault(
        "a paused queue is claimed from",
        "storage/claims.py",
        "if not look.is_paused and (is_ready or want.revive):",
        "if is_ready or want.revive:",
        (CONTRACT,),
    ),
    Fault(
        "a file that was replaced swallows jobs",
        "storage/identity.py",
        "return identity_of(path) == identity != _NOBODY",
        "return identity_of(path) is not None",
        ("tests.storage.test_database",),
    ),
    Fault(
        "a log that was taken away swallows jobs",
        "storage/identity.py",
        "if not _is_still(path, identity) and self._log is known:",
        "if self._log is not known:",
        ("tests.files.test_vanished",),
    ),
    Fault(
        "the log is copied while others write",
        "storage/checkpoint.py",
        "        self._begin(writer)\n        try:\n            (row,)",
        "        writer.execute('BEGIN')\n        try:\n            (row,)",
        ("tests.storage.test_database", "tests.files.test_checkpoint_rule"),
    ),
    Fault(
        "one that fails takes its neighbours' work along",
        "storage/transactions.py",
        "            with savepoint(connection):\n                ticket.result = _run(ticket, connection)",
        "            if ticket is not None:\n                ticket.result = _run(ticket, connection)",
        ("tests.storage.test_gate",),
    ),
    Fault(
        "a forked child writes through its parent's connection",
        "storage/forks.py",
        "os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)",
        "os.register_at_fork(after_in_parent=_in_parent)",
        (PROCESSES,),
    ),
    Fault(
        "the file may be read by everybody",
        "storage/opening.py",
        "os.close(os.open(path, flags, 0o600))",
        "os.close(os.open(path, flags, 0o644))",
        ("tests.storage.test_opening",),
    ),
    Fault(
        "a name in the file makes the worker run anything",
        "resolve.py",
        "        return found if isinstance(found, Task) else None\n\n    def imported",
        "        return make_task(found, name, self._producer, NO_OPTIONS) if callable(found) else None\n\n"
        "    def imported",
        ("tests.users.test_resolve",),
    ),
    Fault(
        "a schedule ignores its time zone",
        "timing.py",
        "return Cron(self.cron, self.timezone)",
        "return Cron(self.cron)",
        ("tests.users.test_schedules",),
    ),
    Fault(
        "missed firings are all made, whatever was asked",
        "timing.py",
        'if self.catch_up == "all":',
        'if self.catch_up != "none":',
        ("tests.users.test_schedules",),
    ),
    Fault(
        "more run than the limit allows",
        "storage/limits.py",
        "        if found.free > 0:\n            return True\n        self.blocked",
        "        if found.free > -1:\n            return True\n        self.blocked",
        ("tests.storage.test_flow_limits", "tests.storage.test_flow"),
    ),
    Fault(
        "a lease on the wall clock",
        "clock.py",
        "return time.monotonic_ns() // 1000",
        "return time.time_ns() // 1000",
        ("tests.ground.test_clock",),
    ),
    Fault(
        "a released job counts as a failure",
        "storage/settling.py",
        "finished_at = iif(cancelling, :now, NULL), worker = NULL, cancelling = 0, started_at = NULL\n",
        "finished_at = iif(cancelling, :now, NULL), worker = NULL, cancelling = 0, started_at = NULL,\n"
        "    failures = failures + 1\n",
        (CONTRACT, "tests.storage.test_machine"),
    ),
    Fault(
        "a prefetched job is blamed for the death of its worker",
        "storage/workers.py",
        "Release(Lease(id, attempt)) if started_at is None else Crash(",
        "Release(Lease(id, attempt)) if started_at == -1 else Crash(",
        (CONTRACT, "tests.storage.test_machine"),
    ),
    Fault(
        "a row is taken as it comes",
        "storage/rows.py",
        "    if not all(map(isinstance, row, kinds)):",
        "    if False:",
        ("tests.hostile.test_files",),
    ),
    Fault(
        "one text that is no UTF-8 hides a whole list",
        "storage/opening.py",
        "    connection.text_factory = readable\n",
        "    connection.text_factory = str\n",
        ("tests.hostile.test_rows",),
    ),
    Fault(
        "a schema that only looks like ours is believed",
        "storage/opening.py",
        "    return all(word in words for word in _words(ours))",
        "    return bool(words)",
        ("tests.hostile.test_schema",),
    ),
    Fault(
        "a link beside the file is followed",
        "storage/surroundings.py",
        "    if not stat.S_ISREG(found.st_mode):\n        what",
        "    if stat.S_ISFIFO(found.st_mode):\n        what",
        ("tests.hostile.test_permissions",),
    ),
    Fault(
        "stored text acts on the terminal",
        "cli/text.py",
        "    if unicodedata.category(character) in _UNSAFE:",
        "    if character == chr(27):",
        ("tests.hostile.test_terminal",),
    ),
    Fault(
        "a stored newline begins a line of the log",
        "worker/logs.py",
        '        return "\\n    ".join(',
        '        return "\\n".join(',
        ("tests.hostile.test_terminal",),
    ),
    Fault(
        "a name in the file is enough to import its module",
        "resolve.py",
        '        if name.partition(".")[0] in sys.stdlib_module_names:\n            return None\n',
        "",
        ("tests.hostile.test_imports", "tests.users.test_resolve"),
    ),
    Fault(
        "a sync that failed is forgotten with its process",
        "storage/distrust.py",
        "        self._side = side\n        self._look()\n",
        "        self._side = side\n",
        ("tests.storage.test_distrust",),
    ),
    Fault(
        "a log in doubt is copied by whoever closes it last",
        "storage/database.py",
        "close = opening.close_untouched if self._distrust.is_log_in_doubt else Connection.close",
        "close = Connection.close",
        ("tests.storage.test_distrust",),
    ),
    Fault(
        "one row against the rules stops all that stand beside it",
        "storage/mending.py",
        "    except BrokenRow as error:",
        "    except ZeroDivisionError as error:",
        ("tests.hostile.test_rows",),
    ),
)
