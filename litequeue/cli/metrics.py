"""`metrics`: the numbers of a file, as Prometheus reads them."""

from __future__ import annotations

import argparse
from typing import Any

from ..metrics import exposition, read
from .arguments import DONE, add_command, add_file
from .files import reading
from .terminal import Terminal
from .text import clean

_MORE = """
They are in Prometheus' text format, and can be written where its node_exporter looks for them:

  litequeue metrics jobs.db > /var/lib/node_exporter/litequeue.prom.new
  mv /var/lib/node_exporter/litequeue.prom.new /var/lib/node_exporter/litequeue.prom"""


def add(commands: Any) -> None:
    """Add the command of this module."""
    add_file(
        add_command(commands, "metrics", run_metrics, "print the numbers that Prometheus collects", _MORE)
    )


def run_metrics(args: argparse.Namespace, terminal: Terminal) -> int:
    """Print them; where a person looks, without what could act on a terminal."""
    with reading(args.file, terminal) as desk:
        text = exposition(read(desk))
    is_watched = terminal.width is not None
    for line in text.removesuffix("\n").split("\n"):
        terminal.say(clean(line) if is_watched else line)
    return DONE
