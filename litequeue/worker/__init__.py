"""The worker floor: claims jobs, has them run, and settles them."""

from .drain import drain, run_now
from .settings import WorkerOptions
from .worker import Worker

__all__ = ["Worker", "WorkerOptions", "drain", "run_now"]
