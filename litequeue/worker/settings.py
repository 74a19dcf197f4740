"""What a worker is told: how many of what, and for how long."""

from __future__ import annotations

import os
import socket
from dataclasses import asdict, dataclass

from ..clock import SECOND
from ..errors import InvalidOption, shown
from ..job import NewWorker
from ..options import text_name, whole


@dataclass(frozen=True)
class WorkerOptions:
    """The size and the manners of a worker; `grace` in microseconds."""

    queues: tuple[str, ...] = ("default",)
    threads: int = 1
    async_slots: int = 100
    processes: int = 0
    burst: bool = False
    max_jobs: int | None = None
    grace: int = 10 * SECOND

    def __post_init__(self) -> None:
        whole(self.threads, "threads", 1, 1000)
        whole(self.async_slots, "async_slots", 1, 1_000_000)
        whole(self.processes, "processes", 0, 1000)
        if self.max_jobs is not None:
            whole(self.max_jobs, "max_jobs", 1, 2**62)
        if type(self.burst) is not bool:
            raise InvalidOption(f"burst is {shown(self.burst)}; give True or False")
        if not self.queues:
            raise InvalidOption("queues is empty; name at least one queue")
        for name in self.queues:
            text_name(name, "a queue's name")

    def to_json(self) -> dict[str, object]:
        """The options as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, object]) -> WorkerOptions:
        """The options that `to_json` gave."""
        queues = values["queues"]
        assert isinstance(queues, (list, tuple))
        return cls(**{**values, "queues": tuple(queues)})  # type: ignore[arg-type]


def identity(options: WorkerOptions, lease: int) -> NewWorker:
    """How this process signs on: by host and process, for people to read."""
    name = f"{socket.gethostname()}:{os.getpid()}"
    return NewWorker(name, os.getpid(), options.queues, options.threads, lease)
