"""Jobs that wait for more than their time: graphs, unique keys, limits and schedules, as a driver draws them.

They are enqueued as users do it, through calls; what that comes to is told by the store below.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Literal

from litequeue import Queue, group
from litequeue.job import Filter, State
from litequeue.tasks import Call, Task
from litequeue.workflow import Chain, Node

from .operations import QUEUES, Operation, refusable
from .tasks import TICK, effect, gather, once, work

if TYPE_CHECKING:
    from .driver import Driver

OnDuplicate = Literal["return", "raise", "replace"]
NARROW = {"one": 1, "two": 2, "three": 3}  # limits, and how many may run at once under each
KEYS = 6  # so many unique keys of each kind are fought for
EVERY = 0.2  # seconds
ALL, LAST, STRICT = "all", "last", "strict"  # the schedules
_FEW = 20
_LONGEST_DELAY, _LONGEST_LIFE = 0.3, 0.2


def add_schedules(queue: Queue) -> None:
    """The schedules of a storm, which whoever comes first fires."""
    queue.schedules.add(ALL, work.call(TICK).using(max_crashes=1_000), every=EVERY, catch_up="all")
    strict = work.call(TICK).using(unique="schedule", on_duplicate="raise", delay=EVERY, max_crashes=1_000)
    queue.schedules.add(STRICT, strict, every=EVERY)
    queue.schedules.add(LAST, work.call(TICK), every=EVERY, catch_up="last")


# --- graphs ----------------------------------------------------------------------------------------


def enqueue_chain(driver: Driver) -> None:
    """Jobs one after the other; most take what the one before returned."""
    _enqueue(driver, chain(driver, driver.random.randint(2, 4)))


def enqueue_group(driver: Driver) -> None:
    """Jobs together, some of them chains or unique, and one that waits for all."""
    chance = driver.random
    members = [
        chance.choices((call(driver), chain(driver, 2), unique(driver)), (5, 2, 1))[0]
        for _ in range(chance.randint(1, 4))
    ]
    following = taker(driver)
    if chance.random() < 0.3:
        _enqueue(driver, group(members).then(call(driver), pass_result=False))
    else:
        _enqueue(driver, group(members).then(following).then(taker(driver)))


def enqueue_with_outcomes(driver: Driver) -> None:
    """A job, and what is to run when it completes or fails."""
    wanted = call(driver).using(on_success=call(driver), on_failure=chain(driver, 2))
    _enqueue(driver, wanted | taker(driver) if driver.random.random() < 0.5 else wanted)


def enqueue_after(driver: Driver) -> None:
    """A job that waits for others which are there already, and may have ended or be gone."""
    if driver.mine:
        parents = [driver.random.choice(driver.mine) for _ in range(driver.random.randint(1, 3))]
        wanted = call(driver).using(after=parents)
        _enqueue(driver, wanted.using(on_parent_failure="run") if driver.random.random() < 0.4 else wanted)


def chain(driver: Driver, length: int) -> Chain[Any]:
    """Calls one after the other, of which the last may be unique: two such might wait for each other."""
    made: Chain[Any] | Call[Any] = call(driver)
    for _ in range(length - 2):
        made = made | taker(driver)
    if driver.random.random() < 0.7:
        return made | taker(driver)
    return made.then(driver.random.choice((call, unique))(driver), pass_result=False)


def call(driver: Driver) -> Call[Any]:
    """A call that takes nothing from others."""
    task: Task[..., Any] = driver.random.choices((work, effect, once), (8, 1, 1))[0]
    return task.call(driver.new_token()).using(**options(driver.random))


def taker(driver: Driver) -> Call[Any]:
    """A call that takes what its parents return, and may run whatever becomes of them."""
    made = gather.call(driver.new_token()).using(**options(driver.random))
    return made.using(on_parent_failure="run") if driver.random.random() < 0.3 else made


def options(chance: random.Random) -> dict[str, Any]:
    """What else may be said of a call."""
    chosen: dict[str, Any] = {"queue": chance.choice(QUEUES), "priority": chance.randint(-2, 2)}
    if chance.random() < 0.8:
        chosen["max_crashes"] = 1_000
    if chance.random() < 0.1:
        chosen["delay"] = chance.uniform(0, _LONGEST_DELAY)
    if chance.random() < 0.05:
        chosen["expires"] = chance.uniform(0.001, _LONGEST_LIFE)
    if chance.random() < 0.15:
        chosen.update(limit(chance))
    return chosen


# --- keys and limits -------------------------------------------------------------------------------


def enqueue_unique(driver: Driver) -> None:
    """A job whose unique key another may have."""
    _enqueue(driver, unique(driver))


def unique(driver: Driver) -> Call[Any]:
    """A call with one of a few keys. Who may be replaced fights with none that may not."""
    chance = driver.random
    way: OnDuplicate = chance.choice(("return", "return", "raise", "replace", "replace"))
    kind = "waits" if way == "replace" else "lives"
    key = f"{kind} {chance.randrange(KEYS)}"
    return work.call(driver.new_token()).using(**options(chance), unique=key, on_duplicate=way)


def enqueue_limited(driver: Driver) -> None:
    """A few jobs of which but some may run at once."""
    chance = driver.random
    calls = [call(driver).using(**limit(chance)) for _ in range(chance.randint(1, 5))]
    if not driver.is_full():
        refusable(lambda: driver.remember([job.id for job in driver.queue.enqueue_many(calls)]))


def limit(chance: random.Random) -> dict[str, Any]:
    """The options that name a limit."""
    key = chance.choice(list(NARROW))
    return {"key": key, "max_running": NARROW[key]}


def _enqueue(driver: Driver, node: Node) -> None:
    if not driver.is_full():
        refusable(lambda: driver.remember(_ids(driver.queue.submit_node(node))))


def _ids(stored: Any) -> list[int]:
    return [stored.id] if hasattr(stored, "id") else [job.id for job in stored]


# --- operators and schedules -----------------------------------------------------------------------


def cancel_blocked(driver: Driver) -> None:
    """Cancel a job that waits for others, which may go on waiting for it."""
    refusable(lambda: driver.store.cancel(driver.some_job(Filter(state=State.BLOCKED), newest=_FEW)))


def cancel_tree(driver: Driver) -> None:
    """Cancel a job, and all below it."""
    refusable(lambda: driver.store.cancel_tree(driver.some_job()))


def retry_ended(driver: Driver) -> None:
    """Retry what has ended badly, with the children that this took along."""
    state = driver.random.choice((State.FAILED, State.CANCELLED))
    refusable(lambda: driver.store.retry(driver.some_job(Filter(state=state), newest=_FEW)))


def fire(driver: Driver) -> None:
    """Make the jobs of all schedules that are due."""
    driver.schedules.fire()


def pause_schedule(driver: Driver) -> None:
    """Let a schedule make no jobs."""
    driver.schedules.pause(LAST)


def resume_schedule(driver: Driver) -> None:
    """Let it make jobs again."""
    driver.schedules.resume(LAST)


FLOWS = (
    Operation(enqueue_chain, 3),
    Operation(enqueue_group, 3),
    Operation(enqueue_with_outcomes, 3),
    Operation(enqueue_after, 3),
    Operation(enqueue_unique, 5),
    Operation(enqueue_limited, 2),
    Operation(cancel_blocked, 1),
    Operation(cancel_tree, 0.5),
    Operation(retry_ended, 2),
    Operation(fire, 0.3),
    Operation(pause_schedule, 0.1),
    Operation(resume_schedule, 0.3),
)
