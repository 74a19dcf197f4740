"""One small program per queue, all with the same verbs, so that every queue is measured in the same way.

Run as `python -m drivers NAME VERB`, with this folder's parent on PYTHONPATH and the place and settings in
the environment (`shared.py`). A driver knows only its own queue; what is compared is decided outside. It
must run on any Python that some queue asks for, with nothing but that queue installed.
"""
