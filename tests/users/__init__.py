"""Tests of what users hold: options, tasks, calls, queues, handles, and which code may run."""
