-- litequeue, schema version 1. Everything a queue knows is in these tables; nothing else is kept anywhere.
--
-- Instants are microseconds since 1970 UTC (wall time); only litequeue_worker.lease_until is on the
-- monotonic clock of the boot named beside it. Read the views, not the tables, from other programs.

CREATE TABLE litequeue_meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE litequeue_job (
  id           INTEGER PRIMARY KEY,         -- never reused: see litequeue_job_deleted
  task         TEXT NOT NULL,               -- 'package.module:function'
  queue        TEXT NOT NULL DEFAULT 'default',
  state        TEXT NOT NULL DEFAULT 'ready',
  reason       TEXT,                        -- why failed or cancelled
  message      TEXT,                        -- what the task or the operator said about it
  priority     INTEGER NOT NULL DEFAULT 0,  -- higher first
  attempt      INTEGER NOT NULL DEFAULT 0,  -- only rises; with the id it is the lease
  failures     INTEGER NOT NULL DEFAULT 0,
  crashes      INTEGER NOT NULL DEFAULT 0,  -- attempts that ended with their worker's death
  max_crashes  INTEGER,                     -- NULL: 3
  ack          TEXT,                        -- NULL: late
  parked       INTEGER NOT NULL DEFAULT 0,  -- ready, but a worker met it and could not resolve its task
  cancelling   INTEGER NOT NULL DEFAULT 0,  -- running, and asked to stop
  created_at   INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)),
  run_at       INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)),
  started_at   INTEGER,                     -- of the last attempt; NULL while that only waits in a worker
  finished_at  INTEGER,
  expires_at   INTEGER,                     -- if not started by then: cancelled, reason expired
  retention    INTEGER,                     -- how long it stays once final; NULL: for ever
  worker       INTEGER,                     -- who holds the lease
  progress      REAL,
  progress_text TEXT,
  tags         TEXT,                        -- JSON list of texts
  meta         TEXT,                        -- JSON object
  options      TEXT,                        -- JSON object: retry, timeout, isolate
  codec        TEXT NOT NULL DEFAULT 'json',
  payload      ANY DEFAULT '[[],{}]',       -- [args, kwargs]; NULL: in litequeue_blob
  result       ANY,                         -- NULL with a codec: in litequeue_blob
  result_codec TEXT,

  -- What a row looks like in each state. One CASE, the commonest states first: a list of separate rules, or an
  -- IN of more than two values, for which SQLite builds a table each time, costs every write a good deal.
  CHECK (CASE state
    WHEN 'ready'     THEN worker IS NULL     AND finished_at IS NULL     AND reason IS NULL
    WHEN 'running'   THEN worker IS NOT NULL AND finished_at IS NULL     AND reason IS NULL
    WHEN 'completed' THEN worker IS NULL     AND finished_at IS NOT NULL AND reason IS NULL
    WHEN 'scheduled' THEN worker IS NULL     AND finished_at IS NULL     AND reason IS NULL
    WHEN 'blocked'   THEN worker IS NULL     AND finished_at IS NULL     AND reason IS NULL
    WHEN 'failed'    THEN worker IS NULL     AND finished_at IS NOT NULL
                      AND reason IN ('error', 'timeout', 'crashed', 'lost', 'rejected')
    WHEN 'cancelled' THEN worker IS NULL     AND finished_at IS NOT NULL
                      AND reason IN ('cancelled', 'expired', 'parent', 'replaced')
    ELSE 0 END),
  CHECK (cancelling = 0 OR state = 'running'),
  CHECK (parked = 0 OR state = 'ready'),
  CHECK (ack = 'late' OR ack = 'early'),
  CHECK (attempt >= 0 AND failures >= 0 AND crashes >= 0)
) STRICT;

-- One partial index per state that is searched; a job sits in one of them at a time.
CREATE INDEX litequeue_ready     ON litequeue_job (queue, priority DESC, run_at) WHERE state = 'ready' AND parked = 0;
CREATE INDEX litequeue_parked    ON litequeue_job (queue, task, priority DESC, run_at) WHERE state = 'ready' AND parked = 1;
CREATE INDEX litequeue_scheduled ON litequeue_job (queue, run_at) WHERE state = 'scheduled';
CREATE INDEX litequeue_blocked   ON litequeue_job (queue) WHERE state = 'blocked';
CREATE INDEX litequeue_running   ON litequeue_job (worker) WHERE state = 'running';
CREATE INDEX litequeue_final     ON litequeue_job (queue, state, finished_at + retention) WHERE finished_at IS NOT NULL;
CREATE INDEX litequeue_retriable ON litequeue_job (state, id) WHERE state IN ('failed', 'cancelled');
CREATE INDEX litequeue_expiring  ON litequeue_job (expires_at)
  WHERE expires_at IS NOT NULL AND state IN ('scheduled', 'blocked', 'ready');

-- Payloads and results too large to be rewritten with every change of state.
CREATE TABLE litequeue_blob (
  job  INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('payload', 'result')),
  body ANY NOT NULL,
  PRIMARY KEY (job, kind)
) STRICT;

-- One row per attempt that failed; an attempt that succeeds costs none.
CREATE TABLE litequeue_failure (
  job       INTEGER NOT NULL,
  attempt   INTEGER NOT NULL,
  failed_at INTEGER NOT NULL,
  reason    TEXT NOT NULL,
  type      TEXT NOT NULL,
  message   TEXT NOT NULL,
  traceback TEXT NOT NULL,
  PRIMARY KEY (job, attempt)
) STRICT, WITHOUT ROWID;

-- What tasks wrote with current_job().log().
CREATE TABLE litequeue_log (
  job     INTEGER NOT NULL,
  number  INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  text    TEXT NOT NULL,
  PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;

-- Without AUTOINCREMENT, which costs a page per job, the highest id ever given is kept when its job goes.
CREATE TRIGGER litequeue_job_deleted AFTER DELETE ON litequeue_job BEGIN
  DELETE FROM litequeue_blob    WHERE job = old.id;
  DELETE FROM litequeue_failure WHERE job = old.id;
  DELETE FROM litequeue_log     WHERE job = old.id;
  INSERT INTO litequeue_meta (key, value)
    SELECT 'last_id', old.id WHERE old.id > coalesce((SELECT max(id) FROM litequeue_job), 0)
    ON CONFLICT (key) DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER));
END;

-- Only queues that were ever paused have a row.
CREATE TABLE litequeue_queue (
  name      TEXT PRIMARY KEY,
  paused_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE litequeue_worker (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused: it is the place of the worker's lock
  name        TEXT NOT NULL,
  pid         INTEGER NOT NULL,
  queues      TEXT NOT NULL,                      -- JSON list
  threads     INTEGER NOT NULL,
  started_at  INTEGER NOT NULL,
  seen_at     INTEGER NOT NULL,
  boot        TEXT NOT NULL,
  lease_until INTEGER NOT NULL,
  lock_inode  INTEGER,                            -- of the side file that holds its lock; NULL: no lock
  stopping    INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The public read API: the same rows for a person's eyes and for any SQL tool.

CREATE VIEW litequeue_jobs AS
SELECT id, task, queue, state, reason, message, priority, attempt, failures, crashes,
       strftime('%Y-%m-%d %H:%M:%f', created_at / 1e6, 'unixepoch') AS created_at,
       strftime('%Y-%m-%d %H:%M:%f', run_at / 1e6, 'unixepoch') AS run_at,
       strftime('%Y-%m-%d %H:%M:%f', started_at / 1e6, 'unixepoch') AS started_at,
       strftime('%Y-%m-%d %H:%M:%f', finished_at / 1e6, 'unixepoch') AS finished_at,
       strftime('%Y-%m-%d %H:%M:%f', expires_at / 1e6, 'unixepoch') AS expires_at,
       worker, progress, progress_text, tags, meta, codec, payload, result
FROM litequeue_job;

CREATE VIEW litequeue_workers AS
SELECT id, name, pid, queues, threads,
       strftime('%Y-%m-%d %H:%M:%f', started_at / 1e6, 'unixepoch') AS started_at,
       strftime('%Y-%m-%d %H:%M:%f', seen_at / 1e6, 'unixepoch') AS seen_at,
       stopping
FROM litequeue_worker;

CREATE VIEW litequeue_failures AS
SELECT job, attempt, strftime('%Y-%m-%d %H:%M:%f', failed_at / 1e6, 'unixepoch') AS failed_at,
       reason, type, message, traceback
FROM litequeue_failure;

CREATE VIEW litequeue_queues AS
SELECT queue, state, count(*) AS jobs FROM litequeue_job GROUP BY queue, state;

INSERT INTO litequeue_meta (key, value) VALUES ('version', '1');
