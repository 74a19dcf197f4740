-- litequeue, schema version 3. Everything a queue knows is in these tables; nothing else is kept anywhere.
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
  place     TEXT NOT NULL DEFAULT '',   -- 'folder/file.py:line' of the innermost frame
  PRIMARY KEY (job, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX litequeue_error ON litequeue_failure (type, place, failed_at);

-- What tasks wrote with current_job().log().
CREATE TABLE litequeue_log (
  job     INTEGER NOT NULL,
  number  INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  text    TEXT NOT NULL,
  PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX litequeue_logged ON litequeue_log (at);

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

-- How attempts ended, by the minute: written about once a second by those who ran them, kept for a day.
CREATE TABLE litequeue_minute (
  minute     INTEGER NOT NULL,            -- since 1970; 0: all that there were
  queue      TEXT NOT NULL,
  written_at INTEGER NOT NULL,
  completed  INTEGER NOT NULL DEFAULT 0,
  failed     INTEGER NOT NULL DEFAULT 0,  -- for good
  retried    INTEGER NOT NULL DEFAULT 0,  -- failed, and are tried again
  waits      TEXT NOT NULL DEFAULT '{}',  -- JSON object: how many waited about so long; four keys to a doubling,
  runs       TEXT NOT NULL DEFAULT '{}',  -- and ran so long: key k is from 2 ** ((k - 1) / 4) us to 2 ** (k / 4)
  PRIMARY KEY (minute, queue)
) STRICT, WITHOUT ROWID;

-- The public read API: the same for a person's eyes and for any SQL tool. All times are UTC.

CREATE VIEW litequeue_jobs AS
SELECT id, task, queue, state, reason, message, priority, attempt, failures, crashes,
       strftime('%Y-%m-%d %H:%M:%f', created_at / 1e6, 'unixepoch') AS created_at,
       strftime('%Y-%m-%d %H:%M:%f', run_at / 1e6, 'unixepoch') AS run_at,
       strftime('%Y-%m-%d %H:%M:%f', started_at / 1e6, 'unixepoch') AS started_at,
       strftime('%Y-%m-%d %H:%M:%f', finished_at / 1e6, 'unixepoch') AS finished_at,
       strftime('%Y-%m-%d %H:%M:%f', expires_at / 1e6, 'unixepoch') AS expires_at,
       (started_at - run_at) / 1e6 AS wait_seconds,
       (finished_at - started_at) / 1e6 AS run_seconds,
       worker, parked, cancelling, progress, progress_text, tags, meta, options, unique_key, limit_key, pending,
       schedule, strftime('%Y-%m-%d %H:%M:%f', scheduled_for / 1e6, 'unixepoch') AS scheduled_for, codec,
       coalesce(payload, (SELECT body FROM litequeue_blob WHERE job = id AND kind = 'payload')) AS payload,
       result_codec,
       coalesce(result, (SELECT body FROM litequeue_blob WHERE job = id AND kind = 'result')) AS result
FROM litequeue_job;

-- Those that failed, and the last one of each job where that did not.
CREATE VIEW litequeue_attempts AS
SELECT job, attempt, 'failed' AS state, NULL AS worker, NULL AS started_at,
       strftime('%Y-%m-%d %H:%M:%f', failed_at / 1e6, 'unixepoch') AS ended_at,
       reason, type, message, place, traceback
FROM litequeue_failure
UNION ALL
SELECT id, attempt, state, worker,
       strftime('%Y-%m-%d %H:%M:%f', started_at / 1e6, 'unixepoch'),
       strftime('%Y-%m-%d %H:%M:%f', finished_at / 1e6, 'unixepoch'),
       reason, NULL, message, NULL, NULL
FROM litequeue_job
WHERE state IN ('running', 'completed', 'cancelled') AND started_at IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM litequeue_failure AS failed
                  WHERE failed.job = litequeue_job.id AND failed.attempt = litequeue_job.attempt);

CREATE VIEW litequeue_workers AS
SELECT id, name, pid, queues, threads,
       strftime('%Y-%m-%d %H:%M:%f', started_at / 1e6, 'unixepoch') AS started_at,
       strftime('%Y-%m-%d %H:%M:%f', seen_at / 1e6, 'unixepoch') AS seen_at,
       stopping,
       (SELECT count(*) FROM litequeue_job WHERE state = 'running' AND worker = litequeue_worker.id) AS running
FROM litequeue_worker;

CREATE VIEW litequeue_schedules AS
SELECT name, task, cron, every / 1e6 AS every_seconds, timezone, catch_up, jitter / 1e6 AS jitter_seconds, overlap,
       CASE WHEN lost_at IS NOT NULL THEN 'lost' WHEN paused_at IS NOT NULL THEN 'paused'
            WHEN next_at IS NULL THEN 'over' ELSE 'active' END AS state,
       strftime('%Y-%m-%d %H:%M:%f', next_at / 1e6, 'unixepoch') AS next_at,
       strftime('%Y-%m-%d %H:%M:%f', last_at / 1e6, 'unixepoch') AS last_at,
       last_job, declared,
       strftime('%Y-%m-%d %H:%M:%f', created_at / 1e6, 'unixepoch') AS created_at,
       strftime('%Y-%m-%d %H:%M:%f', paused_at / 1e6, 'unixepoch') AS paused_at,
       strftime('%Y-%m-%d %H:%M:%f', lost_at / 1e6, 'unixepoch') AS lost_at,
       payload
FROM litequeue_schedule;

-- The names of queues are met one after the other, in each index that begins with them.
CREATE VIEW litequeue_queues AS
WITH RECURSIVE met (name) AS (
  SELECT (SELECT min(name) FROM (
    SELECT min(queue) AS name FROM litequeue_job WHERE state = 'ready' AND parked = 0
    UNION ALL SELECT min(queue) FROM litequeue_job WHERE state = 'ready' AND parked = 1
    UNION ALL SELECT min(queue) FROM litequeue_job WHERE state = 'scheduled'
    UNION ALL SELECT min(queue) FROM litequeue_job WHERE state = 'blocked'
    UNION ALL SELECT min(queue) FROM litequeue_job WHERE finished_at IS NOT NULL))
  UNION
  SELECT (SELECT min(name) FROM (
    SELECT min(queue) AS name FROM litequeue_job WHERE state = 'ready' AND parked = 0 AND queue > met.name
    UNION ALL SELECT min(queue) FROM litequeue_job WHERE state = 'ready' AND parked = 1 AND queue > met.name
    UNION ALL SELECT min(queue) FROM litequeue_job WHERE state = 'scheduled' AND queue > met.name
    UNION ALL SELECT min(queue) FROM litequeue_job WHERE state = 'blocked' AND queue > met.name
    UNION ALL SELECT min(queue) FROM litequeue_job WHERE finished_at IS NOT NULL AND queue > met.name))
  FROM met WHERE met.name IS NOT NULL),
named (name) AS (
  SELECT name FROM met WHERE name IS NOT NULL
  UNION SELECT queue FROM litequeue_job WHERE state = 'running' AND worker > 0
  UNION SELECT name FROM litequeue_queue)
SELECT named.name AS queue,
       strftime('%Y-%m-%d %H:%M:%f', paused_at / 1e6, 'unixepoch') AS paused_at,
       (SELECT count(*) FROM litequeue_job WHERE state = 'scheduled' AND queue = named.name) AS scheduled,
       (SELECT count(*) FROM litequeue_job WHERE state = 'blocked' AND queue = named.name) AS blocked,
       (SELECT count(*) FROM litequeue_job WHERE state = 'ready' AND parked = 0 AND queue = named.name)
         + (SELECT count(*) FROM litequeue_job WHERE state = 'ready' AND parked = 1 AND queue = named.name) AS ready,
       (SELECT count(*) FROM litequeue_job
        WHERE state = 'running' AND worker > 0 AND queue = named.name) AS running,
       (SELECT count(*) FROM litequeue_job
        WHERE queue = named.name AND state = 'completed' AND finished_at IS NOT NULL) AS completed,
       (SELECT count(*) FROM litequeue_job
        WHERE queue = named.name AND state = 'failed' AND finished_at IS NOT NULL) AS failed,
       (SELECT count(*) FROM litequeue_job
        WHERE queue = named.name AND state = 'cancelled' AND finished_at IS NOT NULL) AS cancelled,
       (SELECT strftime('%Y-%m-%d %H:%M:%f', min(run_at) / 1e6, 'unixepoch') FROM (
          SELECT min(run_at) AS run_at FROM litequeue_job WHERE state = 'ready' AND parked = 0 AND queue = named.name
          UNION ALL SELECT min(run_at) FROM litequeue_job WHERE state = 'ready' AND parked = 1 AND queue = named.name)
       ) AS oldest_ready_at,
       max_running, rate_count, rate_period / 1e6 AS rate_seconds, burst
FROM named LEFT JOIN litequeue_queue ON litequeue_queue.name = named.name;

CREATE VIEW litequeue_minutes AS
SELECT queue, strftime('%Y-%m-%d %H:%M', minute * 60, 'unixepoch') AS minute, completed, failed, retried, waits, runs
FROM litequeue_minute WHERE minute > 0;

INSERT INTO litequeue_meta (key, value) VALUES ('version', '3');
