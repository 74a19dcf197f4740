"""What several commands have in common: the parser, the file, the filters, JSON output."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ..clock import duration
from ..errors import InvalidOption, shown
from ..job import Filter, state_named
from .human import seconds
from .terminal import Terminal

Command = Callable[[argparse.Namespace, Terminal], int]
DONE, NO = 0, 1
FAILED_BY_FILE = 3  # a worker's own code; 2 is misuse


class Misuse(InvalidOption):
    """The command line itself is wrong."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are errors of ours."""

    def error(self, message: str) -> NoReturn:
        raise Misuse(f"{message}; see `{self.prog} --help`")


def add_command(commands: Any, name: str, run: Command, summary: str, more: str = "") -> Parser:
    """A parser for one command, which every command but `demo` follows with its file."""
    parser: Parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}. {more}".strip(),
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter if "\n" in more else argparse.HelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_file(parser: Parser, *, is_made: bool = False) -> None:
    """The argument FILE."""
    parser.add_argument(
        "file", metavar="FILE", help="the queue's file" + (", made if it is not there" if is_made else "")
    )


def add_json(parser: Parser) -> None:
    """The option --json."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def add_filters(parser: Parser) -> None:
    """The options that choose jobs by what they are."""
    parser.add_argument("--state", help="only jobs in this state")
    parser.add_argument("--queue", help="only jobs of this queue")
    parser.add_argument("--task", help="only jobs of this task, as module:function")
    parser.add_argument("--tag", help="only jobs with this tag")
    parser.add_argument(
        "--error", metavar="TYPE[@PLACE]", help="only jobs whose last attempt failed so, as `errors` tells it"
    )
    parser.add_argument(
        "--older-than", metavar="AGE", help="only jobs enqueued longer ago than AGE: 90s, 5m, 2h, 7d"
    )


def chosen_filter(args: argparse.Namespace, terminal: Terminal) -> Filter:
    """The filter that the options describe. Raises `InvalidOption` for a blank, an unknown state or age."""
    return Filter(
        state=None if args.state is None else state_named(args.state),
        queue=wanted(args.queue, "--queue"),
        task=wanted(args.task, "--task"),
        tag=wanted(args.tag, "--tag"),
        error=wanted_error(args.error, "--error"),
        created_before=age_before(args.older_than, terminal),
    )


def age_before(age: str | None, terminal: Terminal) -> int | None:
    """The instant that is so long ago, if an age was given. Raises `InvalidOption` for what is none."""
    return None if age is None else terminal.clock.now() - duration(seconds(age), "--older-than")


def wanted(text: str | None, option: str) -> str | None:
    """What may stand in the file; it need not be a name that we would take. Raises `InvalidOption`."""
    if text == "":
        raise InvalidOption(f"{option} is empty; name one, or leave {option} out")
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise InvalidOption(f"{option} is {text!a:.80}, which UTF-8 can not store") from None
    return text


def wanted_error(text: str | None, option: str) -> str | None:
    """An error as `errors` tells it. Raises `InvalidOption` where its type or its place is left blank."""
    type, at, place = (wanted(text, option) or "").partition("@")
    if text is not None and (not type or (at and not place)):
        raise InvalidOption(
            f"{option} is {shown(text)}; write TYPE@PLACE as `litequeue errors` shows it, or TYPE alone"
        )
    return text


def job_id(text: str) -> int:
    """The id of a job that a person typed. Raises `InvalidOption`."""
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 18 and int(text) > 0):
        raise InvalidOption(f"{text!r} is not the id of a job; ids are whole numbers from 1")
    return int(text)


def job_ids(texts: Sequence[str]) -> list[int]:
    """The ids that a person typed, each once, in their order."""
    return list(dict.fromkeys(map(job_id, texts)))


def json_text(value: object) -> str:
    """A JSON document on one line, in ASCII, so that no stored text can act on a terminal."""
    return json.dumps(value)


def say_json(terminal: Terminal, value: object) -> None:
    """Say a JSON document on one line."""
    terminal.say(json_text(value))
