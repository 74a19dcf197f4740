"""`enqueue`: store a job by the name of its task; the code need not be here."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from ..codec import JSON
from ..errors import EncodingError, InvalidOption
from ..retention import Kept, Retention, RetentionOption
from .arguments import DONE, add_command, add_file, add_json, say_json
from .files import making
from .human import moment, seconds
from .terminal import Terminal

_MORE = """
An ARG is JSON (42, true, null, '[1, 2]', '{"a": 1}'), or else a text as it stands. The arguments are not
compared with the function, since its code need not be here."""


def add(commands: Any) -> None:
    """Add the command of this module."""
    parser = add_command(commands, "enqueue", run_enqueue, "store a job", _MORE)
    add_file(parser, is_made=True)
    parser.add_argument("task", metavar="TASK", help="package.module:function")
    parser.add_argument("rest", metavar="ARG", nargs="*", help="the arguments, each as JSON or plain text")
    parser.add_argument("--args", metavar="JSON", help="all positional arguments as one JSON list")
    parser.add_argument("--kwargs", metavar="JSON", help="the keyword arguments as one JSON object")
    parser.add_argument("--queue", default="default", help="the queue (default: default)")
    parser.add_argument("--tag", action="append", metavar="TAG", help="a tag; may be given again")
    for name, (metavar, text, _) in _OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=text)
    add_json(parser)


def run_enqueue(args: argparse.Namespace, terminal: Terminal) -> int:
    """Store one job."""
    positional, keywords = arguments(args)
    options = chosen_options(args)
    with making(args.file, terminal.clock, args.queue) as queue:
        job = queue.enqueue(args.task, args=positional, kwargs=keywords, **options)
    if args.json:
        say_json(terminal, {"id": job.id})
    else:
        terminal.say(f"enqueued job {job.id}")
    return DONE


def arguments(args: argparse.Namespace) -> tuple[Sequence[Any], dict[str, Any]]:
    """The arguments for the task. Raises `InvalidOption` for JSON that is none, or of the wrong shape."""
    if args.rest and args.args is not None:
        raise InvalidOption("arguments are given both one by one and as --args; choose one form")
    positional = [plain_or_json(text) for text in args.rest]
    if args.args is not None:
        positional = parse(args.args, "--args")
        if not isinstance(positional, list):
            raise InvalidOption(f"--args is {args.args!r}; give a JSON list")
    keywords = {} if args.kwargs is None else parse(args.kwargs, "--kwargs")
    if not isinstance(keywords, dict):
        raise InvalidOption(f"--kwargs is {args.kwargs!r}; give a JSON object")
    return positional, keywords


def plain_or_json(text: str) -> Any:
    """The value of one argument; what opens like JSON must be JSON."""
    if text[:1] in ('"', "[", "{"):
        return parse(text, "ARG")
    try:
        json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text
    return parse(text, "ARG")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def parse(text: str, name: str) -> Any:
    """The value of a JSON text, with the codec's tags for dates and the like."""
    try:
        return JSON.decode(text)
    except EncodingError as error:
        raise InvalidOption(f"{name} is {text!r}, which is not JSON: {error}") from None


def chosen_options(args: argparse.Namespace) -> dict[str, Any]:
    """The options of the job that were given."""
    options = {} if args.tag is None else {"tags": args.tag}
    for name, (_, _, convert) in _OPTIONS.items():
        given = getattr(args, name)
        if given is not None:
            options[name] = convert(given)
    return options


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidOption(f"{text!r} is not a whole number") from None


def _meta(text: str) -> Any:
    return parse(text, "--meta")


def _retention(text: str) -> RetentionOption:
    if "=" not in text:
        return seconds(text)
    kept = {}
    for part in text.split(","):
        state, _, time = part.partition("=")
        if state not in Kept._fields:
            raise InvalidOption(f"--retention {part!r}: give {', '.join(Kept._fields)}, as in completed=1h")
        kept[state] = seconds(time)
    return Retention(**kept)


# The options of a job that are one word each: what stands in the help, and how the text is read.
_OPTIONS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "priority": ("N", "higher runs first (default: 0)", _whole),
    "delay": ("TIME", "not before this time has passed: 90s, 5m, 2h", seconds),
    "run_at": (
        "INSTANT",
        "not before this instant: 2031-05-01T08:00, in UTC unless it says otherwise",
        moment,
    ),
    "expires": ("TIME", "cancelled if not started by then", seconds),
    "retry": ("N", "at most N attempts", _whole),
    "timeout": ("TIME", "how long one attempt may take", seconds),
    "ack": ("WHEN", "late (at least once) or early (at most once)", str),
    "retention": (
        "TIME",
        "how long it stays once it has ended: 7d, or by how it ended: completed=1h,failed=30d",
        _retention,
    ),
    "max_crashes": ("N", "how many workers it may take down", _whole),
    "meta": ("JSON", "a JSON object to keep with the job", _meta),
}
