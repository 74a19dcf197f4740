"""litequeue: a durable job queue that is one SQLite file.

The house, from the ground up; imports go down these floors, never up:

    errors directives clock retry cron codec job        records and arithmetic, no I/O
    crontab timing names keys rates retention options dialects mold
    traffic portable
    storage/                                            the only rooms that speak SQL
        schema.sql   the tables, their rules and indexes
        database     connections, transactions, the file itself
        gate         one writer at a time per process, group commit
        sidefile     locks beside the file: the writers' queue, signs of life
        store        the verbs: enqueue, claim, complete, fail, …
        flow limits  unique keys, parents and children; how much may run at once
        workers      sign on, renew, reap
        steps        what parts of a job returned
        minutes      how many attempts ended, by the minute
        care backup  the file as a whole: its free room, copies of it
        transfer     jobs out of one file and into another
        reports      what is read back
        overview     what is seen at a glance
    tasks workflow graphs context steps hooks resolve   what users hold
    explain desk handle doors queue
    worker/                                             claims, runs, settles
        execution    a claimed job becomes an outcome; it never sees the store
        loop         claims and settles; nothing else does
        heartbeat    renews the lease, reaps the dead, carries notes, looks after the file
        supervisor   several processes
        sandbox      a job in a child process of its own
    executor futures raised                             the executor of concurrent.futures
    aio                                                 beside an event loop of the program
    scheduler spawned                                   the scheduler of aiojobs
    messages                                            queue.Queue and asyncio.Queue over the same file
    testing                                             for the tests of users
    cli/                                                python -m litequeue
    web/                                                the dashboard
    contrib/                                            for the users of frameworks: Django's Tasks
"""

from typing import TYPE_CHECKING

from .aio import as_completed
from .codec import JSON, PICKLE, Codec, JsonCodec
from .context import RunningJob, current_job
from .cron import Cron, Every
from .directives import Cancel, Reject, RetryLater, Snooze, TaskTimeout
from .errors import (
    BadArguments,
    DatabaseError,
    DuplicateJob,
    Empty,
    EncodingError,
    Full,
    InvalidOption,
    InvalidSchedule,
    InvalidTask,
    JobCancelled,
    JobFailed,
    JobNotFound,
    LeaseLost,
    LiteQueueError,
    NotAllowed,
    PayloadTooLarge,
    QueueClosed,
    QueueFull,
    ScheduleNotFound,
    ShutDown,
    WorkerError,
)
from .handle import Job, JobGroup
from .job import FailedAttempt, State
from .messages import Message, Messages
from .queue import Queue
from .retention import Retention
from .retry import Retry
from .tasks import Call, Task
from .workflow import Chain, Group, group

if TYPE_CHECKING:
    from .scheduler import Scheduler

__version__ = "0.1.0"

__all__ = [
    "JSON",
    "PICKLE",
    "BadArguments",
    "Call",
    "Cancel",
    "Chain",
    "Codec",
    "Cron",
    "DatabaseError",
    "DuplicateJob",
    "Empty",
    "EncodingError",
    "Every",
    "FailedAttempt",
    "Full",
    "Group",
    "InvalidOption",
    "InvalidSchedule",
    "InvalidTask",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobGroup",
    "JobNotFound",
    "JsonCodec",
    "LeaseLost",
    "LiteQueueError",
    "Message",
    "Messages",
    "NotAllowed",
    "PayloadTooLarge",
    "Queue",
    "QueueClosed",
    "QueueFull",
    "Reject",
    "Retention",
    "Retry",
    "RetryLater",
    "RunningJob",
    "ScheduleNotFound",
    "Scheduler",
    "ShutDown",
    "Snooze",
    "State",
    "Task",
    "TaskTimeout",
    "WorkerError",
    "as_completed",
    "current_job",
    "group",
]


def __getattr__(name: str) -> object:
    if name == "Scheduler":  # it needs asyncio, which takes as long to import as all of this
        from .scheduler import Scheduler

        return Scheduler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
