"""Tests of the worker floor."""
