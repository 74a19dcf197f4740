"""A claimed job becomes an outcome. This room never sees the store."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import traceback
from collections.abc import Sequence
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import Any

from ..clock import SECOND, Clock
from ..codec import Codec, reader, result_body
from ..context import Mailbox, RunningJob, no_transaction
from ..directives import Cancel, Reject, RetryLater, Snooze, TaskTimeout
from ..errors import BadArguments, EncodingError, InvalidOption, shown
from ..hooks import Around, run_around
from ..job import (
    Cancelled,
    Claimed,
    Complete,
    Fail,
    Failure,
    Lease,
    Received,
    Release,
    Settlement,
    Snoozed,
)
from ..options import UNSET, stored_options
from ..retry import NO_RETRY, Retry, next_delay
from ..steps import Steps
from ..tasks import Task
from .limits import Limits
from .outcome import Assignment, Interrupted, Lender, LentTransaction, Outcome, Policy

TRACEBACK_LIMIT = 64_000
MESSAGE_LIMIT = 2_000


class Execution:
    """Runs attempts and says what came of each; time, chance and limits are given to it."""

    def __init__(
        self,
        clock: Clock,
        limits: Limits,
        max_payload: int,
        keeper: Lender,
        rng: random.Random | None = None,
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._max_payload = max_payload
        self._keeper = keeper
        self._rng = rng or random.Random()
        self._process = os.getpid()
        self._policies: dict[Task[..., Any], Policy] = {}  # of tasks whose jobs say nothing of their own

    # --- before ------------------------------------------------------------------------------------

    def prepare(
        self, claimed: Claimed, task: Task[..., Any], transaction: LentTransaction | None, mailbox: Mailbox
    ) -> Assignment | Fail:
        """All that is needed to run the job, or why it can not be run at all."""
        try:
            policy = self._policy_of(claimed, task)
            args, kwargs = arguments_of(claimed, task)
            if claimed.received is not None:
                args = [received_by(claimed.received, task), *args]
            task.check(args, kwargs)
            steps = partial(self._steps_of, claimed.lease, task)
            running = RunningJob(
                claimed, self._clock, mailbox, policy.timeout, transaction or no_transaction, steps
            )
        except (EncodingError, BadArguments, InvalidOption, ValueError, TypeError) as error:
            # Another try would read the same row: it fails now, and once.
            return Fail(claimed.lease, failure_of(error, "error"))
        return Assignment(claimed, task, policy, args, kwargs, running, mailbox, transaction)

    def _steps_of(self, lease: Lease, task: Task[..., Any]) -> Steps:
        codec, types = codec_of(task), task.types
        return Steps(lease, self._keeper, codec, types, self._max_payload, is_async=task.is_async)

    def _policy_of(self, claimed: Claimed, task: Task[..., Any]) -> Policy:
        if claimed.options or claimed.ack or claimed.max_crashes:
            return policy_of(claimed, task)
        policy = self._policies.get(task)
        if policy is None:
            policy = self._policies[task] = policy_of(claimed, task)
        return policy

    # --- the attempt -------------------------------------------------------------------------------

    def run(self, assignment: Assignment) -> Outcome:
        """Run a plain function in this thread."""
        tracers = sys.gettrace(), sys.getprofile()
        try:
            # In a context of its own, or what a task sets there would be found by the next one.
            return copy_context().run(self._run, assignment)
        finally:
            if tracers != (sys.gettrace(), sys.getprofile()):  # what a task leaves may raise anywhere
                sys.settrace(tracers[0])
                sys.setprofile(tracers[1])

    def _run(self, assignment: Assignment) -> Outcome:
        began = self._clock.monotonic()
        assignment.running.enter()
        try:
            with self._limits.watched(assignment):
                around = assignment.task.producer.hooks.around
                if around:
                    value = _call_through(around, assignment)
                else:
                    value = assignment.task.function(*assignment.args, **assignment.kwargs)
            settlement = self.completed(assignment, value)
        except BaseException as error:  # the boundary of the job: whatever a task raises is its own affair
            settlement = self.failed(assignment, error)
        finally:
            _end_forked_child(self._process)
            self._keeper.leave(assignment.lease)
            if assignment.transaction is not None:
                assignment.transaction.leave()
        return Outcome(assignment, settlement, self._clock.monotonic() - began, began=began)

    async def run_async(self, assignment: Assignment) -> Outcome:
        """Run an `async def` on the event loop."""
        began = self._clock.monotonic()
        limit = assignment.policy.timeout
        if assignment.running.cancelled:
            return Outcome(assignment, Cancelled(assignment.lease))
        assignment.running.enter()
        try:
            with self._limits.awaited(assignment):
                async with asyncio.timeout(None if limit is None else limit / SECOND) as timer:
                    around = assignment.task.producer.hooks.around_async
                    if around:
                        value = await _call_through(around, assignment)
                    else:
                        value = await assignment.task.function(*assignment.args, **assignment.kwargs)
            settlement = self.completed(assignment, value)
        except BaseException as error:  # as above
            timed_out = type(error) is TimeoutError and timer.expired()
            settlement = self.failed(assignment, TaskTimeout() if timed_out else error)
        finally:
            _end_forked_child(self._process)
            self._keeper.leave(assignment.lease)  # a step of it may still run on a thread
        return Outcome(assignment, settlement, self._clock.monotonic() - began, began=began)

    # --- after -------------------------------------------------------------------------------------

    def completed(self, assignment: Assignment, value: object) -> Settlement:
        """The settlement for a task that returned; failed, and for good, if its result can not be stored."""
        lease = assignment.claimed.lease
        if value is None:
            return Complete(lease)
        codec = codec_of(assignment.task)
        try:
            body = result_body(codec, value, assignment.task.types, self._max_payload, "the result")
        except EncodingError as error:
            # The task has had its effects; running it again would only have them twice.
            return Fail(lease, failure_of(error, "error"))
        return Complete(lease, body, codec.name)

    def failed(self, assignment: Assignment, error: BaseException) -> Settlement:
        """The settlement for a task that raised: a directive, a time-out, or a failure."""
        try:
            return self._judged(assignment, error)
        except BaseException as fault:  # an exception is the user's code too, and may deny even its class
            words = f"what the task raised can not be described: {type(fault).__name__}"
            return self._judged(assignment, RuntimeError(words))

    def _judged(self, assignment: Assignment, error: BaseException) -> Settlement:
        lease, now = assignment.claimed.lease, self._clock.now()
        match error:
            case Snooze():
                return Snoozed(lease, now + error.delay)
            case Cancel():
                return Cancelled(lease, error.reason)
            case Interrupted():
                return Release(lease)
            case Reject():
                return Fail(lease, failure_of(error, "rejected"))
            case EncodingError() if assignment.running.has_refused(error):
                return Fail(lease, failure_of(error, "error"))  # once more would only have its effects twice
            case asyncio.CancelledError() if assignment.running.cancelled:
                return Cancelled(lease)
            case TaskTimeout():
                failure = failure_of(error, "timeout", f"over its time limit of {_limit(assignment)} s")
                return Fail(lease, failure, self._retry_at(assignment, TimeoutError(), now))
            case RetryLater():
                cause = error.__cause__ or error  # `raise RetryLater(60) from error` tells what went wrong
                return Fail(lease, failure_of(cause, "error"), self._asked_retry_at(assignment, error, now))
            case _:
                return Fail(lease, failure_of(error, "error"), self._retry_at(assignment, error, now))

    def stuck(self, assignment: Assignment, stack: str) -> Fail:
        """The settlement for a task that ignores its time limit."""
        message = f"over its time limit of {_limit(assignment)} s, and does not end"
        failure = Failure("timeout", "TaskTimeout", message, f"The thread is still at:\n{stack}")
        return Fail(
            assignment.claimed.lease, failure, self._retry_at(assignment, TimeoutError(), self._clock.now())
        )

    def _retry_at(self, assignment: Assignment, error: BaseException, now: int) -> int | None:
        delay = self._delay(assignment, error)
        return None if delay is None else now + delay

    def _asked_retry_at(self, assignment: Assignment, asked: RetryLater, now: int) -> int | None:
        policy = assignment.policy.retry
        if not isinstance(policy, Retry):
            delay = self._delay(assignment, asked)
        else:
            # Asking is itself the wish to be tried again: without a policy, up to three attempts.
            policy = Retry() if policy is NO_RETRY else policy
            delay = policy.delay(assignment.claimed.failures + 1, None, self._rng)
        if delay is None:
            return None
        return now + (delay if asked.delay is None else asked.delay)

    def _delay(self, assignment: Assignment, error: BaseException) -> int | None:
        try:
            return next_delay(assignment.policy.retry, assignment.claimed.failures + 1, error, self._rng)
        except BaseException as fault:  # a retry function is the user's code too
            assignment.mailbox.put_line(
                self._clock.now(), f"the retry function raised {shown(fault)}; no more tries"
            )
            return None


def _call_through(around: Sequence[Around], assignment: Assignment) -> Any:
    """What the task returns through the middleware around it, or the coroutine of that."""
    call = partial(assignment.task.function, *assignment.args, **assignment.kwargs)
    return run_around(around, assignment.running, call)


def policy_of(claimed: Claimed, task: Task[..., Any]) -> Policy:
    """How to run the job: what its row says, else what its task says now."""
    options = stored_options(claimed.options).over(task.options)
    return Policy(
        retry=NO_RETRY if options.retry is UNSET else options.retry,
        timeout=None if options.timeout is UNSET else options.timeout,
        isolate=options.isolate is True,
        early=(claimed.ack or (None if options.ack is UNSET else options.ack)) == "early",
        max_crashes=claimed.max_crashes or (None if options.max_crashes is UNSET else options.max_crashes),
    )


def arguments_of(claimed: Claimed, task: Task[..., Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of the call. Raises `EncodingError` when they can not be read back."""
    decoded = reader(codec_of(task), claimed.codec).decode(claimed.payload, task.types)
    if type(decoded) is not list or len(decoded) != 2 or type(decoded[0]) is not list:
        decoded = None
    if decoded is None or type(decoded[1]) is not dict:
        raise EncodingError(f"the payload of job {claimed.lease.job} is not [arguments, keyword arguments]")
    return decoded[0], decoded[1]


def received_by(received: Received, task: Task[..., Any]) -> object:
    """What the job's parents returned, decoded: the one result, or the list of them."""
    own = codec_of(task)
    values = [
        None if body is None or codec is None else reader(own, codec).decode(body, task.types)
        for body, codec in received.results
    ]
    if received.is_list:
        return values
    return values[0] if values else None


def codec_of(task: Task[..., Any]) -> Codec:
    """The codec of the queue that declared the task."""
    return task.producer.codec


def failure_of(error: BaseException, reason: str, message: str | None = None) -> Failure:
    """The record of an exception; works also for one whose own `__str__` raises."""
    kind = type(error)
    is_known = kind.__module__ == "builtins" or kind.__module__.startswith("litequeue.")
    name = kind.__qualname__ if is_known else f"{kind.__module__}.{kind.__qualname__}"
    text = message if message is not None else _words(error)
    return Failure(reason, name, text[:MESSAGE_LIMIT], _traceback(error))


def _words(error: BaseException) -> str:
    try:
        return _clean(str(error))
    except BaseException as fault:  # an exception's __str__ may raise anything, and we are explaining it
        return f"<its __str__ raised {type(fault).__name__}>"


def _traceback(error: BaseException) -> str:
    if error.__traceback__ is None:
        return ""  # made here, not raised: it has nothing to tell
    frames = _frames_of_the_task(error.__traceback__)
    try:
        text = "".join(traceback.format_exception(type(error), error, frames))
    except BaseException:  # as above
        text = "".join(traceback.format_tb(frames))
    if len(text) > TRACEBACK_LIMIT:
        half = TRACEBACK_LIMIT // 2
        text = f"{text[:half]}\n… {len(text) - TRACEBACK_LIMIT:,} characters left out …\n{text[-half:]}"
    return _clean(text)


def _frames_of_the_task(frames: TracebackType | None) -> TracebackType | None:
    """The frames without ours at the top, unless there are no others."""
    first = frames
    while first is not None and first.tb_frame.f_code.co_filename == __file__:
        first = first.tb_next
    return first or frames


def _clean(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _limit(assignment: Assignment) -> str:
    return f"{(assignment.policy.timeout or 0) / SECOND:g}"


def _end_forked_child(process: int) -> None:
    """A task that forked returns twice; the child must not settle its parent's job."""
    if os.getpid() != process:
        os._exit(0)
