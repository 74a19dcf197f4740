"""What options of other libraries are called here, so that whoever types one is told."""

from __future__ import annotations

from collections.abc import Mapping

_TRIES = "use retry=, which counts the first attempt too: four tries after it are retry=5"
_WAITS = "use retry=Retry(…, intervals=[…]), in seconds"
_BACKOFF = "use retry=Retry(…, base=1, backoff=2, max_delay=3600, jitter=True), in seconds"
_LIMIT = "use timeout=, in seconds, and isolate=True with it to end what does not let go"
_FINAL = "use retention=, how long a job stays when it is final; results of None take no room"
_STARTED = "a started job whose worker dies is run again, max_crashes= times; ack='early' is at most once"
_ID = "the file gives the id; use unique= to have one job of a kind, tags= or meta= to find it by"
_ROUTE = "use queue="
_SELF = "call current_job() inside the task"
_CODEC = "it belongs to the file: Queue(…, codec=…)"

# Celery, RQ, Dramatiq, Huey; an option with the same name and meaning here is not in the list.
HERE: Mapping[str, str] = {
    "countdown": "use delay=, in seconds",
    "eta": "use run_at=, an aware datetime",
    "max_retries": _TRIES,
    "retries": _TRIES,
    "default_retry_delay": _WAITS,
    "retry_delay": _WAITS,
    "retry_backoff": _BACKOFF,
    "retry_backoff_max": _BACKOFF,
    "retry_jitter": _BACKOFF,
    "retry_kwargs": _BACKOFF,
    "min_backoff": _BACKOFF,
    "max_backoff": _BACKOFF,
    "autoretry_for": "use retry=Retry(…, on=…)",
    "dont_autoretry_for": "use retry=Retry(…, give_up_on=…)",
    "throws": "use retry=Retry(…, give_up_on=…)",
    "retry_when": "use retry=, as a function of (failures, error) that gives seconds, or None for no more",
    "time_limit": _LIMIT,
    "soft_time_limit": "use timeout=, in seconds",
    "job_timeout": "use timeout=, in seconds",
    "ttl": "use expires=, in seconds or as a datetime",
    "max_age": "use expires=, in seconds or as a datetime",
    "result_ttl": _FINAL,
    "failure_ttl": "use retention=Retention(failed=…)",
    "ignore_result": _FINAL,
    "store_results": _FINAL,
    "result_expires": _FINAL,
    "acks_late": _STARTED,
    "reject_on_worker_lost": _STARTED,
    "acks_on_failure_or_timeout": "a task that raises has failed, and is tried again as retry= says",
    "bind": _SELF,
    "context": _SELF,
    "task_id": _ID,
    "job_id": _ID,
    "queue_name": _ROUTE,
    "routing_key": _ROUTE,
    "exchange": _ROUTE,
    "actor_name": "use name=",
    "description": "use tags= or meta=",
    "at_front": "use priority=; higher runs first",
    "depends_on": "use after=",
    "allow_failure": "use on_parent_failure='run'",
    "allow_dependency_failures": "use on_parent_failure='run'",
    "link": "use a.call(…).then(b), which passes the result on, or on_success=b.call(…)",
    "link_error": "use on_failure=task.call(…)",
    "on_stopped": "use @queue.on('cancelled')",
    "pipe_target": "use a.call(…).then(b)",
    "repeat": "use every=, at the task",
    "crontab": "use cron=, at the task",
    "rate_limit": "use rate=, such as '10/m'",
    "serializer": _CODEC,
    "compression": _CODEC,
    "is_async": "call the function itself to run it here; in tests, queue.drain()",
    "track_started": "that is always known: job.state, job.started_at",
    "queue_class": "there is one class of queues: Queue",
    "job_class": "there is one class of jobs; hooks and middleware stand around what they do",
    "base": "there is one class of tasks; hooks and middleware stand around what they do",
}
