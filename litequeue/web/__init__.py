"""The dashboard: a WSGI application that shows one file, live, and lets an operator act on it."""

from .app import Dashboard, dashboard

__all__ = ["Dashboard", "dashboard"]
