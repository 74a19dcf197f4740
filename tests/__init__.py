"""The tests of litequeue: `python -m unittest` at the root of the repository runs them all."""
