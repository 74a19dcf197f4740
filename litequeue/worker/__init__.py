"""The worker floor: claims jobs, has them run, and settles them."""

from .drain import drain
from .settings import WorkerOptions
from .worker import Worker

__all__ = ["Worker", "WorkerOptions", "drain"]
