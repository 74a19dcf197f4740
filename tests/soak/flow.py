"""Keys, limits and parents: the model over many more stories, and random graphs among killed workers."""

from __future__ import annotations

import unittest

from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.storage.test_flow_machine import FlowMachine, TestFlowMachine
from tests.worker.test_flow_kills import FlowKills

EXAMPLES, STEPS = 4000, 60
KILLS, KILLS_AT_ONCE = 1000, 50


def run(scale: float) -> str:
    examples, kills = max(1, round(EXAMPLES * scale)), max(1, round(KILLS * scale))
    kinds = settings(TestFlowMachine.settings, derandomize=False, database=None, phases=[Phase.generate])
    run_state_machine_as_test(
        FlowMachine, settings=settings(kinds, max_examples=examples, stateful_step_count=STEPS)
    )
    groups = sum(among_killed(seed, min(KILLS_AT_ONCE, kills)) for seed in range(-(-kills // KILLS_AT_ONCE)))
    return f"{examples} stories of {STEPS} steps; {groups} groups of jobs while {kills} workers were killed"


def among_killed(seed: int, kills: int) -> int:
    """How many groups there were, when all of it ended well."""
    case = type("Case", (FlowKills,), {"kills": kills, "groups": 2 * kills, "seed": seed})(
        "test_every_job_ends_and_each_callback_runs_once"
    )
    result = unittest.TestResult()
    case.run(result)
    for _, trace in (*result.errors, *result.failures):
        raise AssertionError(trace)
    return len(case.members)
