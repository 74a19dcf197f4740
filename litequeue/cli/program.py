"""The whole program: which commands there are, and how errors become exit codes."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from typing import TextIO

from .. import __version__
from ..errors import JobNotFound, LiteQueueError, NotAllowed, ScheduleNotFound
from . import (
    care,
    change,
    dashboard,
    demo,
    doctor,
    errors,
    inspect,
    logs,
    metrics,
    overview,
    produce,
    schedules,
    transfer,
    work,
    workers,
)
from .arguments import DONE, NO, Misuse, Parser
from .terminal import OutputLost, Terminal

MISUSE = 2
INTERRUPTED = 130
_OPTION = re.compile(r"-(?![\d.])")
_MODULES = (
    work,
    overview,
    inspect,
    logs,
    errors,
    produce,
    change,
    schedules,
    workers,
    care,
    transfer,
    doctor,
    metrics,
    dashboard,
    demo,
)


def run(argv: Sequence[str], terminal: Terminal) -> int:
    """Run one command line; its exit code."""
    try:
        code = obey(argv, terminal)
        terminal.flush()
    except OutputLost as error:
        terminal.complain(str(error))
        code = MISUSE
    except BrokenPipeError:
        code = DONE
    for stream in (terminal.out, terminal.err):
        settle(stream)
    return code


def obey(argv: Sequence[str], terminal: Terminal) -> int:
    """Do what the command line says; the exit code, or what became of standard output."""
    parser = make_parser()
    if not argv:
        parser.print_help(terminal.err)
        return MISUSE
    try:
        args = parse(parser, argv)
        code: int = args.run(args, terminal)
        return code
    except SystemExit as end:  # argparse has printed its help or the version
        return int(end.code or DONE)
    except OutputLost:
        raise
    except LiteQueueError as error:
        terminal.complain(str(error))
        return NO if isinstance(error, (JobNotFound, NotAllowed, ScheduleNotFound)) else MISUSE
    except KeyboardInterrupt:
        return INTERRUPTED


def make_parser() -> Parser:
    """The parser with all commands."""
    parser = Parser(
        prog="litequeue",
        description="A durable job queue that is one SQLite file.",
        epilog="`litequeue COMMAND --help` tells about one command.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"litequeue {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for module in _MODULES:
        module.add(commands)
    return parser


def parse(parser: Parser, argv: Sequence[str]) -> argparse.Namespace:
    """The arguments; positional ones may also come after options, which argparse alone does not allow."""
    args, left = parser.parse_known_args(argv)
    if left and (not hasattr(args, "rest") or any(map(_OPTION.match, left))):
        raise Misuse(f"unrecognized arguments: {' '.join(left)}; see `litequeue {argv[0]} --help`")
    if left:
        args.rest = [*args.rest, *left]
    return args


def settle(stream: TextIO) -> None:
    """Leave nothing in a stream that Python would fail to write at exit, with an exit code of its own."""
    try:
        stream.flush()
    except OSError:  # it was told by now, where it can be
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
