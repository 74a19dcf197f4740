"""Rows of running jobs: beside the floor, with more threads and processes, on both cores, as coroutines."""

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks import harness
from benchmarks.goals import Case, Line, Row, in_turn
from benchmarks.harness import Subject
from benchmarks.measure import Metrics
from benchmarks.plan import Sizes, floor, ours

TIMES = {"normal": 1.5, "full": 6}  # the floor's claim-then-complete
BATCH = 64
LEAST = 0.8
NOISE = 0.05
SPIN_SECONDS = 0.005
BARE = """
import time
def spin():
    for _ in range({steps}):
        pass
begun = time.perf_counter()
for _ in range({share}):
    spin()
print(time.perf_counter() - begun)
"""


def no_ops(sizes: Sizes, durability: str) -> Row:
    """Return the row of jobs that do nothing, beside a floor that claims and completes them one by one."""
    floors = {"floor": floor(durability, merge=False)}
    if sizes.is_whole:
        floors |= {
            "floor that completes and claims in one commit": floor(durability),
            f"that floor, {BATCH} jobs to a commit": floor(durability, batch=BATCH),
        }
    counts = [sizes.run_floor[durability], sizes.run_floor[durability], sizes.run]
    cases: dict[str, Case] = {"litequeue": _run(ours(durability), sizes.run)}
    cases |= {name: _run(floors[name], count) for name, count in zip(floors, counts, strict=False)}
    name, times = f"run no-op jobs, {durability}", TIMES[durability]
    line = Line(name, f"{times} times the floor", "litequeue, rate", "floor, rate", least=times)
    return Row(name, in_turn(cases), (line,))


def more_hands(sizes: Sizes, durability: str) -> Row:
    """Return the row of the same jobs with more threads and more processes."""
    hands = {
        "1 thread": ours(durability),
        "8 threads": ours(durability, threads=8),
        "1 process": ours(durability, processes=1),
        "2 processes": ours(durability, processes=2),
    }
    name = f"run no-op jobs, {{}}, {durability}"
    one, two = "1 thread, rate", "2 processes, rate"
    slower = f"not slower than one: 1, and {NOISE} for the noise"
    lines = (
        Line(name.format("8 threads"), f"{LEAST} of one thread", "8 threads, rate", one, least=LEAST),
        Line(name.format("2 processes"), f"{LEAST} of one thread", two, one, least=LEAST),
        Line(name.format("2 processes beside 1"), slower, two, "1 process, rate", least=1 - NOISE),
    )
    cases = {who: _run(subject, sizes.run) for who, subject in hands.items()}
    return Row(name.format("more hands"), in_turn(cases), lines)


def _run(subject: Subject, count: int) -> Case:
    return partial(harness.run, subject, count=count)


def on_both_cores(sizes: Sizes) -> Row:
    """Return the row of jobs that keep a core busy."""
    steps = _steps_in(SPIN_SECONDS)
    hands = {
        who: ours("full", task="spin", steps=steps, processes=number)
        for who, number in (("2 processes", 2), ("1 process", 1))
    }
    name = "jobs of 5 ms of pure Python, 2 processes, full"
    goal, bound = "1.9 times one process", 1.9
    line = Line(name, goal, "2 processes, rate", "1 process, rate", least=bound, guarded=False)
    cases: dict[str, Case] = {who: _run(hands[who], sizes.spins) for who in hands}
    for number in (1, 2):  # what this machine makes of the same loop where there is no queue at all
        cases[f"bare Python in {number}"] = partial(_bare, processes=number, count=sizes.spins, steps=steps)
    return Row(name, in_turn(cases), (line,))


def _bare(place: Path, processes: int, count: int, steps: int) -> Metrics:
    """The same loop, run as often, in processes of their own that only run it: times a second."""
    share = count // processes
    command = [sys.executable, "-c", BARE.format(share=share, steps=steps)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return {"rate": share * processes / max(float(each.communicate()[0]) for each in running)}


def _steps_in(seconds: float) -> int:
    """Return how many steps of a loop take so long on a core that does nothing else: the best of some."""
    steps, best = 100_000, float("inf")
    for _ in range(20):
        begun = time.perf_counter()
        for _ in range(steps):
            pass
        best = min(best, time.perf_counter() - begun)
    return int(steps * seconds / best)


def coroutines(sizes: Sizes) -> Row:
    """Return the row of coroutines that wait for 0.1 s, a thousand at a time."""
    ideal = sizes.naps / 10_000
    subject = ours("full", task="nap", async_slots=1_000)
    name = f"{sizes.naps:,} coroutines of 100 ms, async_slots=1000, full"
    goal = f"within 1.3 times the ideal {ideal:.1f} s"
    line = Line(name, goal, "litequeue, seconds", most=1.3 * ideal, unit="s", guarded=False)
    return Row(name, in_turn({"litequeue": partial(_naps, subject, count=sizes.naps)}), (line,))


def _naps(subject: Subject, place: Path, count: int) -> Metrics:
    with harness.fresh_round(subject, place) as here:
        here.ask("fill", count)
        with here.worker() as worker:
            here.await_stamps(count, [worker])
        last = max(instant for _, instant in here.stamps())
        return {"seconds": (last - int((here.directory / "begun").read_text())) / 1e9}
