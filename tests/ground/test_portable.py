"""A job as a line of JSON comes back as it was, and no wrong line gets through."""

from __future__ import annotations

import json
import unittest
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from litequeue.clock import SECOND
from litequeue.errors import EncodingError
from litequeue.job import Rule
from litequeue.portable import (
    FORMAT,
    WITHOUT_END,
    Portable,
    ending,
    from_line,
    header,
    require_header,
    to_line,
    told_at_end,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
WHOLES = st.integers(-(2**63), 2**63 - 1)
COUNTS = st.integers(0, 2**31)
INSTANTS = st.integers(0, 4 * 10**15) | WHOLES
SPANS = st.integers(0, 100 * 365 * 86_400 * SECOND)
PLAIN = st.recursive(
    st.none() | st.booleans() | WHOLES | st.floats(allow_nan=False) | TEXTS, st.lists, max_leaves=4
)
BODIES = st.one_of(
    PLAIN.map(lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))),
    st.sampled_from(
        ['{"a":1,"a":2}', "NaN", "[1, 2]", "1e5", "[" * 3000, '"\\u00e4"', "no JSON", "", "null"]
    ),
    st.binary(max_size=20),
    TEXTS,
)
STATES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries(
        {
            "state": st.sampled_from(["scheduled", "blocked", "ready"]),
            "reason": st.none(),
            "finished_at": st.none(),
        }
    ),
    st.just({"state": "running", "reason": None, "finished_at": None, "cancelling": 1}),
    st.just({"state": "completed", "reason": None, "finished_at": 5}),
    st.just({"state": "failed", "reason": "lost", "finished_at": 5}),
    st.just({"state": "cancelled", "reason": "replaced", "finished_at": 5}),
)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


JOBS = st.fixed_dictionaries(
    {
        **{"id": st.integers(1, 2**63 - 1), "task": TEXTS, "queue": TEXTS, "message": optional(TEXTS)},
        **{"priority": WHOLES, "attempt": COUNTS, "failures": COUNTS, "crashes": COUNTS},
        **{"max_crashes": optional(WHOLES), "ack": st.sampled_from([None, "late", "early"])},
        **{"created_at": INSTANTS, "run_at": INSTANTS, "started_at": optional(INSTANTS)},
        **{"expires_at": optional(INSTANTS), "retention": optional(SPANS), "codec": TEXTS, "payload": BODIES},
        **{"progress": optional(st.floats(allow_nan=False)), "progress_text": optional(TEXTS)},
        **{"result": optional(BODIES), "result_codec": optional(TEXTS), "unique_key": optional(TEXTS)},
        **{"unique_for": optional(SPANS), "replaceable": st.integers(0, 1), "limit_key": optional(TEXTS)},
        **{"takes": st.sampled_from([None, "one", "all"]), "schedule": optional(TEXTS)},
        **{"scheduled_for": optional(INSTANTS), "meta": optional(BODIES), "options": optional(BODIES)},
        "tags": optional(st.lists(TEXTS, max_size=3).map(lambda tags: json.dumps(tags, ensure_ascii=False))),
    }
)
ATTEMPTS = st.fixed_dictionaries(
    {
        **{"attempt": WHOLES, "failed_at": INSTANTS, "reason": TEXTS, "type": TEXTS, "message": TEXTS},
        **{"traceback": TEXTS, "place": TEXTS},
    }
)
LOGS = st.fixed_dictionaries({"number": WHOLES, "attempt": WHOLES, "at": INSTANTS, "text": TEXTS})
STEPS = st.fixed_dictionaries(
    {
        **{"name": TEXTS, "number": WHOLES, "attempt": WHOLES, "at": INSTANTS},
        **{"codec": optional(TEXTS), "result": optional(BODIES)},
    }
)
PARENTS = st.fixed_dictionaries(
    {
        **{"parent": WHOLES, "state": optional(TEXTS), "passes": st.integers(0, 1)},
        "runs_on": st.sampled_from(["success", "failure", "end"]),
    }
)
RULES = st.builds(Rule, optional(WHOLES), optional(WHOLES), optional(SPANS), optional(WHOLES))


def few(strategy: st.SearchStrategy[Any], *alone: str) -> st.SearchStrategy[tuple[Any, ...]]:
    apart = tuple(lambda row, name=name: row[name] for name in alone)
    return st.lists(strategy, max_size=2, unique_by=apart or None).map(tuple)


PORTABLES = st.builds(
    lambda job, state, *rest: Portable({"cancelling": 0, **job, **state}, *rest),
    *(JOBS, STATES, few(ATTEMPTS, "attempt"), few(LOGS, "number"), few(STEPS, "name", "number")),
    *(few(PARENTS), RULES),
)
LEAST = {
    **{"id": 1, "task": "app:f", "queue": "default", "state": "ready", "priority": 0, "attempt": 0},
    **{"failures": 0, "crashes": 0, "codec": "json", "payload": [[], {}]},
    **{"created_at": "2030-05-01T12:00:00.000000+00:00", "run_at": "2030-05-01T12:00:00.000000+00:00"},
}
NOTE = {"number": 1, "attempt": 1, "at": 5, "text": "half"}


class TestPortable(unittest.TestCase):
    @given(PORTABLES)
    def test_what_comes_back_is_what_was_stored(self, one: Portable) -> None:
        line = to_line(one)
        self.assertTrue(line.isascii() and line.isprintable())
        self.assertEqual(from_line(line), one)

    def test_a_line_that_a_person_can_read(self) -> None:
        said = json.loads(to_line(from_line(json.dumps(LEAST))))
        self.assertEqual(said, LEAST)

    def test_what_is_wrong_is_named(self) -> None:
        for change, expected in (
            ({"task": None}, "task of the job: it is None, which is no text"),
            ({"task": "\ud800"}, "UTF-8 can not store"),
            ({"tusk": 1}, "the job has 'tusk', which is not known here"),
            ({"id": 0}, "its id is below 1"),
            ({"id": "1"}, "id of the job"),
            ({"priority": 2**63}, "no whole number that can be stored"),
            ({"attempt": -1}, "counts less than no attempts"),
            ({"state": "gone"}, "the states are"),
            ({"state": "completed"}, "finished_at is missing"),
            ({"finished_at": 5}, "finished_at is given"),
            ({"state": "failed", "finished_at": 5}, "its reason is None"),
            ({"reason": "error"}, "its reason is 'error'"),
            ({"cancelling": True}, "does not run"),
            ({"cancelling": 1}, "true or false"),
            ({"run_at": "tomorrow"}, "no instant such as 2031"),
            ({"run_at": "2030-01-01T00:00:00"}, "no instant such as 2031"),
            ({"retention": "1h"}, "no number"),
            ({"retention": float("inf")}, "no whole number"),
            ({"ack": "never"}, "neither late nor early"),
            ({"takes": "two"}, "takes is 'two'"),
            ({"payload_text": "x"}, "'payload_text', which is not known"),
            ({"result_base64": "?"}, "result: "),
            ({"log": {}}, "log is {}, which is no list"),
            ({"log": [1]}, "one of log is 1, which is no object"),
            ({"steps": [{"name": "a"}]}, "one of steps has no number"),
            ({"parents": [{"parent": "1"}]}, "parent of one of parents"),
            ({"limit": []}, "limit is []"),
            ({"log": [NOTE, NOTE]}, "two of log have the same number"),
            ({"parents": [{"parent": 1, "runs_on": "luck"}]}, "runs_on is 'luck'"),
        ):
            with self.subTest(change), self.assertRaises(EncodingError) as raised:
                from_line(json.dumps({**LEAST, **change}))
            self.assertIn(expected, str(raised.exception))
        for name in LEAST:
            with self.subTest(name), self.assertRaises(EncodingError):
                from_line(json.dumps({key: value for key, value in LEAST.items() if key != name}))
        for line in ("", "{", "[]", "1", "[" * 100_000):
            with self.subTest(line[:5]), self.assertRaises(EncodingError):
                from_line(line)

    def test_the_header(self) -> None:
        self.assertEqual(require_header(header()), FORMAT)
        self.assertEqual(require_header('{"litequeue": "jobs", "format": 1}'), WITHOUT_END)
        for line in (
            "{}",
            '{"litequeue": "jobs"}',
            '{"litequeue": "jobs", "format": 3}',
            '{"litequeue": "jobs", "format": true}',
            "x",
            json.dumps(LEAST),
        ):
            with self.subTest(line), self.assertRaises(EncodingError):
                require_header(line)

    def test_the_last_line(self) -> None:
        self.assertEqual(told_at_end(ending(7)), 7)
        self.assertEqual(told_at_end('{"litequeue":"end","jobs":7}\n'), 7)  # as `jq -c` writes it
        self.assertIsNone(told_at_end(json.dumps(LEAST)))
        self.assertIsNone(told_at_end(json.dumps({"task": "litequeue:f", **LEAST})))
        with self.assertRaises(EncodingError):
            told_at_end('{"litequeue": "end", "jobs": "7"}')
