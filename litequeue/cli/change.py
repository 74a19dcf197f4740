"""`cancel`, `retry`, `delete`, `pause`, `resume` and `limit`: what an operator does to jobs and queues."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..desk import Desk
from ..errors import InvalidOption, JobNotFound, NotAllowed
from ..job import FINAL, Filter, Rule, State
from ..mold import rule_of
from ..options import checked, text_name
from .arguments import (
    DONE,
    NO,
    Parser,
    add_command,
    add_file,
    add_filters,
    add_json,
    chosen_filter,
    job_ids,
    say_json,
)
from .files import changing, reading
from .human import number, span
from .progress import Progress
from .terminal import Terminal

Told = Callable[[int], None]


@dataclass(frozen=True)
class Verb:
    """One thing to do to jobs: its words, the states it leads out of, and who does it."""

    name: str
    done: str
    states: tuple[State, ...]
    one: Callable[[Desk, int], object]
    many: Callable[[Desk, Filter, Told], int]
    default: State | None = None


CANCEL = Verb(
    name="cancel",
    done="cancelled",
    states=tuple(state for state in State if state not in FINAL),
    one=lambda desk, id: desk.store.cancel(id),
    many=lambda desk, chosen, told: desk.store.cancel_all(chosen, told),
)
RETRY = Verb(
    name="retry",
    done="made ready again",
    states=(State.FAILED, State.CANCELLED),
    one=lambda desk, id: desk.store.retry(id),
    many=lambda desk, chosen, told: desk.store.retry_all(chosen, told),
    default=State.FAILED,
)
DELETE = Verb(
    name="delete",
    done="deleted",
    states=tuple(state for state in State if state is not State.RUNNING),
    one=lambda desk, id: desk.store.delete(id),
    many=lambda desk, chosen, told: desk.store.delete_all(chosen, told),
)
_MORE = "Name the jobs by id or by filters. Exit code 1 when none matched, or one named was refused."


def add(commands: Any) -> None:
    """Add the commands of this module."""
    cancel = add_verb(commands, CANCEL, "cancel jobs that wait, and ask those that run to stop")
    cancel.add_argument(
        "--tree", action="store_true", help="with the jobs below those that are named, whatever they wait for"
    )
    retry = add_verb(commands, RETRY, "run failed or cancelled jobs again (without --state: failed ones)")
    retry.add_argument("--fresh", action="store_true", help="forget the steps that they have finished")
    add_verb(commands, DELETE, "delete jobs that do not run, with all that is stored about them")
    for name, run, summary in (
        ("pause", run_pause, "let no worker claim from these queues; what runs goes on"),
        ("resume", run_resume, "let workers claim from these queues again"),
    ):
        parser = add_command(commands, name, run, summary)
        add_file(parser)
        parser.add_argument("queue", metavar="QUEUE", nargs="+", help="the queue's name")
    limit = add_command(commands, "limit", run_limit, "limit how much of a queue runs, or show its limit")
    add_file(limit)
    limit.add_argument("queue", metavar="QUEUE", help="the queue's name")
    limit.add_argument("--max-running", type=int, metavar="N", help="at most N jobs at once")
    limit.add_argument("--rate", metavar="N/TIME", help="at most N starts in any such time: 10/s, 100/m")
    limit.add_argument("--burst", type=int, metavar="N", help="of those at most N at once")
    limit.add_argument("--none", action="store_true", help="lift the limit")
    add_json(limit)


def add_verb(commands: Any, verb: Verb, summary: str) -> Parser:
    """A command that changes jobs."""
    parser = add_command(
        commands, verb.name, lambda args, terminal: run_verb(verb, args, terminal), summary, _MORE
    )
    add_file(parser)
    parser.add_argument("rest", metavar="ID", nargs="*", help="the ids of jobs")
    add_filters(parser)
    parser.add_argument("--all", action="store_true", help="every job of every queue")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_json(parser)
    return parser


# --- jobs ----------------------------------------------------------------------------------------


def run_verb(verb: Verb, args: argparse.Namespace, terminal: Terminal) -> int:
    """Change the jobs that were named, or those that match."""
    chosen = chosen_filter(args, terminal)
    is_filtered = args.all or chosen != Filter()
    if bool(args.rest) is is_filtered:
        raise InvalidOption(
            f"{verb.name} which jobs? Give ids, or filters such as --state and --queue, or --all"
        )
    ids = job_ids(args.rest)
    if getattr(args, "tree", False) and not ids:
        raise InvalidOption("--tree cancels what is below jobs that are named; give their ids")
    verb = as_asked(verb, args)
    with changing(args.file, terminal.clock) as desk:
        if ids:
            changed = change_each(verb, desk, ids, terminal)
            code = DONE if changed == len(ids) else NO
        else:
            changed = change_matching(verb, desk, chosen, args, terminal)
            code = DONE if changed else NO
    if args.json:
        say_json(terminal, {"changed": changed})
    else:
        terminal.say(f"{number(changed, 'job')} {verb.done}" if changed else "no job was changed")
    return code


def as_asked(verb: Verb, args: argparse.Namespace) -> Verb:
    """The verb with what its own options say."""
    if getattr(args, "tree", False):
        return replace(verb, one=lambda desk, id: desk.store.cancel_tree(id))
    if getattr(args, "fresh", False):
        return replace(
            verb,
            one=lambda desk, id: desk.store.retry(id, fresh=True),
            many=lambda desk, chosen, told: desk.store.retry_all(chosen, told, fresh=True),
        )
    return verb


def change_each(verb: Verb, desk: Desk, ids: list[int], terminal: Terminal) -> int:
    """Change jobs one by one, telling which can not be; how many were."""
    changed = 0
    for id in ids:
        try:
            verb.one(desk, id)
            changed += 1
        except (JobNotFound, NotAllowed) as error:
            terminal.complain(str(error))
    return changed


def change_matching(
    verb: Verb, desk: Desk, chosen: Filter, args: argparse.Namespace, terminal: Terminal
) -> int:
    """Change all jobs that match, once a person has agreed; how many."""
    if chosen.state is None and verb.default is not None:
        chosen = replace(chosen, state=verb.default)
    total = count_changeable(verb, desk, chosen)
    if total == 0 or not (args.yes or agreed(verb, total, terminal)):
        return 0
    with Progress(terminal, verb.name, total) as progress:
        return verb.many(desk, chosen, progress.update)


def count_changeable(verb: Verb, desk: Desk, chosen: Filter) -> int:
    """How many jobs match and are in a state that the verb leads out of."""
    states = [state for state in verb.states if chosen.state in (None, state)]
    return sum(desk.reports.count(replace(chosen, state=state)) for state in states)


def agreed(verb: Verb, total: int, terminal: Terminal) -> bool:
    """Ask whether so many jobs shall be changed. Raises `InvalidOption` where nobody can be asked."""
    what = f"{verb.name} {number(total, 'job')}"
    if not terminal.is_interactive:
        raise InvalidOption(f"this would {what}; add --yes, since nobody can be asked here")
    return terminal.ask(f"{what}?")


# --- queues --------------------------------------------------------------------------------------


def run_pause(args: argparse.Namespace, terminal: Terminal) -> int:
    """Pause queues."""
    names = [text_name(name, "the queue's name") for name in dict.fromkeys(args.queue)]
    with changing(args.file, terminal.clock) as desk:
        for name in names:
            desk.store.pause(name)
            terminal.say(f"queue {name!r} is paused")
    return DONE


def run_resume(args: argparse.Namespace, terminal: Terminal) -> int:
    """Let workers claim from queues again."""
    names = [text_name(name, "the queue's name") for name in dict.fromkeys(args.queue)]
    with changing(args.file, terminal.clock) as desk:
        paused = desk.reports.paused()
        for name in names:
            desk.store.resume(name)
            terminal.say(
                f"queue {name!r} is open again" if name in paused else f"queue {name!r} was not paused"
            )
    return DONE


def run_limit(args: argparse.Namespace, terminal: Terminal) -> int:
    """Set the limit of a queue, lift it, or show it."""
    name = text_name(args.queue, "the queue's name")
    given = {key: getattr(args, key) for key in ("max_running", "rate", "burst")}
    asked = {key: value for key, value in given.items() if value is not None}
    if asked and args.none:
        raise InvalidOption("--none is given with a limit; choose one")
    is_set = bool(asked) or args.none
    opened = changing(args.file, terminal.clock) if is_set else reading(args.file, terminal)
    with opened as desk:
        if is_set:
            desk.store.limit(name, rule_of(checked(asked)))
        rule = desk.reports.queue_rule(name)
    if args.json:
        say_json(terminal, {"queue": name, **rule._asdict()})
    else:
        terminal.say(f"queue {name!r}: {rule_text(rule)}")
    return DONE


def rule_text(rule: Rule) -> str:
    """What a limit allows, in words."""
    said = [] if rule.max_running is None else [f"at most {rule.max_running:,} running"]
    if rule.rate_count is not None:
        said.append(f"{number(rule.rate_count, 'start')} in {span(rule.rate_period or 0)}")
    if rule.burst is not None:
        said.append(f"{rule.burst:,} at once")
    return ", ".join(said) or "not limited"
