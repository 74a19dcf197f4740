-- litequeue, schema version 2. Everything a queue knows is in these tables; nothing else is kept anywhere.
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

  -- When it may run and what runs after it. Jobs that use none of this have the defaults.
  unique_key    TEXT,                        -- no two jobs that are not final have the same one
  unique_for    INTEGER,                     -- and for so long after it completed
  replaceable   INTEGER NOT NULL DEFAULT 0,  -- it binds while the job waits, no longer when it runs
  limit_key     TEXT,                        -- the limit that it counts for while it runs
  pending       INTEGER NOT NULL DEFAULT 0,  -- parents that have not ended
  linked        INTEGER NOT NULL DEFAULT 0,  -- others have it as their parent
  takes         TEXT,                        -- 'one', 'all': the results of its parents, as its first argument
  schedule      TEXT,                        -- the schedule that made it,
  scheduled_for INTEGER,                     -- and the instant for which it did

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

-- While it is not final, a job has its unique key alone; a replaceable one lets another wait while it runs.
CREATE UNIQUE INDEX litequeue_unique ON litequeue_job (unique_key) WHERE unique_key IS NOT NULL
  AND (state IN ('scheduled', 'blocked', 'ready') OR (state = 'running' AND replaceable = 0));
CREATE INDEX litequeue_unique_ended ON litequeue_job (unique_key, finished_at)
  WHERE unique_for IS NOT NULL AND state = 'completed';
CREATE INDEX litequeue_limit_running ON litequeue_job (limit_key) WHERE limit_key IS NOT NULL AND state = 'running';
CREATE INDEX litequeue_limit_waiting ON litequeue_job (limit_key, queue, priority DESC, run_at)
  WHERE limit_key IS NOT NULL AND state = 'blocked' AND pending = 0;
CREATE UNIQUE INDEX litequeue_firing ON litequeue_job (schedule, scheduled_for) WHERE schedule IS NOT NULL;

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

-- Who waits for whom. `runs_on`: what must become of the parent, or the child is cancelled with it.
CREATE TABLE litequeue_edge (
  child   INTEGER NOT NULL,
  number  INTEGER NOT NULL,             -- the order in which results are passed
  parent  INTEGER NOT NULL,
  runs_on TEXT NOT NULL CHECK (runs_on IN ('success', 'failure', 'end')),
  passes  INTEGER NOT NULL DEFAULT 0,   -- its result is passed to the child
  PRIMARY KEY (child, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX litequeue_edge_parent ON litequeue_edge (parent, child);

-- What a step of a job returned; it is not run again in a later attempt.
CREATE TABLE litequeue_step (
  job     INTEGER NOT NULL,
  name    TEXT NOT NULL,
  number  INTEGER NOT NULL,             -- in the order in which they ended
  attempt INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  result  ANY,
  codec   TEXT,                         -- NULL: it returned None
  PRIMARY KEY (job, name)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX litequeue_step_number ON litequeue_step (job, number);

-- Limits by the key that jobs name. Durations in microseconds; NULL: not limited so.
CREATE TABLE litequeue_limit (
  name        TEXT PRIMARY KEY,
  max_running INTEGER,
  rate_count  INTEGER,                  -- at most so many starts
  rate_period INTEGER,                  -- in any time as long as this,
  burst       INTEGER                   -- and at most so many of them at once
) STRICT, WITHOUT ROWID;

-- The starts that a rate still counts.
CREATE TABLE litequeue_start (
  limit_key TEXT NOT NULL,
  at        INTEGER NOT NULL,
  job       INTEGER NOT NULL,
  attempt   INTEGER NOT NULL,
  PRIMARY KEY (limit_key, at, job, attempt)
) STRICT, WITHOUT ROWID;

-- A queue in which jobs are blocked by a limit, and when to look whether it has room; NULL: when one ends.
CREATE TABLE litequeue_hold (
  limit_key TEXT NOT NULL,
  queue     TEXT NOT NULL,
  open_at   INTEGER,
  PRIMARY KEY (limit_key, queue)
) STRICT, WITHOUT ROWID;
CREATE INDEX litequeue_opening ON litequeue_hold (queue, open_at) WHERE open_at IS NOT NULL;

-- Tasks that are enqueued again and again.
CREATE TABLE litequeue_schedule (
  name       TEXT PRIMARY KEY,
  task       TEXT NOT NULL,
  cron       TEXT,                            -- five fields; or else
  every      INTEGER,                         -- an interval
  timezone   TEXT NOT NULL DEFAULT 'UTC',
  catch_up   TEXT NOT NULL DEFAULT 'last' CHECK (catch_up IN ('last', 'all', 'none')),
  jitter     INTEGER NOT NULL DEFAULT 0,      -- each job may come later by up to so much
  overlap    INTEGER NOT NULL DEFAULT 1,      -- 0: none is made while the one before has not ended
  job        TEXT NOT NULL,                   -- JSON object: what each of its jobs is made of
  payload    ANY NOT NULL,
  declared   INTEGER NOT NULL DEFAULT 0,      -- by a task; 0: added at run time
  created_at INTEGER NOT NULL,
  next_at    INTEGER,                         -- the firing that is next; NULL: there is none
  last_at    INTEGER,                         -- the one that was last
  last_job   INTEGER,
  paused_at  INTEGER,
  lost_at    INTEGER                          -- no task declares it any more: it does not fire
) STRICT, WITHOUT ROWID;
CREATE INDEX litequeue_next_firing ON litequeue_schedule (next_at)
  WHERE next_at IS NOT NULL AND paused_at IS NULL AND lost_at IS NULL;

-- A job that others wait for has ended, in whatever way: each that waits for no other may run, unless it
-- wanted another end. Then it expires at once, as of instant 0, which the next claim writes down; so a
-- failure may pass along any number of jobs, which a trigger that fires itself could not.
CREATE TRIGGER litequeue_job_ended AFTER UPDATE OF state ON litequeue_job
WHEN old.linked = 1 AND old.finished_at IS NULL AND new.finished_at IS NOT NULL BEGIN
  UPDATE litequeue_job SET retention = 0 WHERE new.state = 'completed' AND state = 'blocked' AND pending > 0
    AND id IN (SELECT child FROM litequeue_edge WHERE parent = new.id AND runs_on = 'failure');
  UPDATE litequeue_job
  SET expires_at = 0, message = 'job ' || new.id || ' ' || iif(new.state = 'cancelled', 'was ', '') || new.state
  WHERE state = 'blocked' AND pending > 0 AND expires_at IS NOT 0 AND id IN
    (SELECT child FROM litequeue_edge WHERE parent = new.id AND runs_on <> 'end' AND runs_on <>
       CASE new.state WHEN 'completed' THEN 'success' WHEN 'failed' THEN 'failure' ELSE '' END);
  UPDATE litequeue_job
  SET pending = pending - 1,
      state = CASE WHEN pending > 1 THEN 'blocked' WHEN run_at > new.finished_at THEN 'scheduled' ELSE 'ready' END
  WHERE state = 'blocked' AND pending > 0 AND id IN (SELECT child FROM litequeue_edge WHERE parent = new.id);
END;

-- A job that had room under a limit gave it up: those that wait for it are looked at again.
CREATE TRIGGER litequeue_limit_freed AFTER UPDATE OF state ON litequeue_job
WHEN old.limit_key IS NOT NULL AND new.state <> 'running'
  AND (old.state = 'running' OR (old.state = 'ready' AND (new.state <> 'blocked' OR new.pending > 0))) BEGIN
  UPDATE litequeue_hold SET open_at = 0 WHERE limit_key = old.limit_key;
END;

-- Without AUTOINCREMENT, which costs a page per job, the highest id ever given is kept when its job goes.
CREATE TRIGGER litequeue_job_deleted AFTER DELETE ON litequeue_job BEGIN
  DELETE FROM litequeue_blob    WHERE job = old.id;
  DELETE FROM litequeue_failure WHERE job = old.id;
  DELETE FROM litequeue_log     WHERE job = old.id;
  DELETE FROM litequeue_step    WHERE job = old.id;
  DELETE FROM litequeue_edge    WHERE child = old.id;
  INSERT INTO litequeue_meta (key, value)
    SELECT 'last_id', old.id WHERE old.id > coalesce((SELECT max(id) FROM litequeue_job), 0)
    ON CONFLICT (key) DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER));
END;

-- A parent is gone: what it did not do it will never do, and a result that was to be passed can not be. An edge
-- that it left behind says so to a child that is tried again.
CREATE TRIGGER litequeue_parent_deleted AFTER DELETE ON litequeue_job WHEN old.linked = 1 BEGIN
  UPDATE litequeue_job SET expires_at = 0, message = 'job ' || old.id || ' was deleted'
  WHERE finished_at IS NULL AND state <> 'running' AND id IN
    (SELECT child FROM litequeue_edge
     WHERE parent = old.id AND runs_on <> 'end'
       AND (old.finished_at IS NULL OR (passes = 1 AND runs_on = 'success')));
  UPDATE litequeue_job SET pending = pending - 1, state = iif(pending > 1, 'blocked', 'scheduled')
  WHERE old.finished_at IS NULL AND state = 'blocked' AND pending > 0
    AND id IN (SELECT child FROM litequeue_edge WHERE parent = old.id);
  DELETE FROM litequeue_edge WHERE parent = old.id AND passes = 0 AND (runs_on = 'end' OR runs_on =
    CASE old.state WHEN 'completed' THEN 'success' WHEN 'failed' THEN 'failure' ELSE '' END);
END;

CREATE TRIGGER litequeue_limited_deleted AFTER DELETE ON litequeue_job WHEN old.limit_key IS NOT NULL BEGIN
  UPDATE litequeue_hold SET open_at = 0 WHERE limit_key = old.limit_key;
END;

-- Only queues that were ever paused or limited have a row.
CREATE TABLE litequeue_queue (
  name        TEXT PRIMARY KEY,
  paused_at   INTEGER,
  max_running INTEGER,  -- these four as in litequeue_limit
  rate_count  INTEGER,
  rate_period INTEGER,
  burst       INTEGER
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

INSERT INTO litequeue_meta (key, value) VALUES ('version', '2');
