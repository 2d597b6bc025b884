"""The base of all scripts of this folder: times as ratios to a reference work that is measured in the same run."""

import resource
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np

COMMAND = Path(sys.executable).parent / "fusemax"

REFERENCE_S = 0.027
"""Seconds that the reference work takes on the quiet machine for which the targets are written."""

REFERENCES = 3
"""Runs of the reference work before each run of what is measured, and after the last."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Something to time, with the seconds that it may take on the machine of `REFERENCE_S`."""

    name: str
    target_s: float
    action: Callable[[], object]
    repeat: int = 3

    def measure_s(self) -> tuple[float, float]:
        """Seconds of the quickest run, the one least disturbed by others, and of the reference work in between."""
        runs, references = [], []
        for _ in range(self.repeat):
            references += [seconds(reference) for _ in range(REFERENCES)]
            runs.append(seconds(self.action))
        references += [seconds(reference) for _ in range(REFERENCES)]
        return min(runs), min(references)


@cache
def numbers() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The array of the reference work: made once, always the same."""
    return np.random.default_rng(0).standard_normal(100_000)


def reference() -> float:
    """The reference work: half of it objects, dictionaries and exact fractions in Python, half of it arrays in NumPy."""
    counts: dict[tuple[int, str], Fraction] = {}
    for i in range(5_000):
        key = (i % 97, str(i % 13))
        counts[key] = counts.get(key, Fraction(0)) + Fraction(i % 7, 8)
    values = numbers()
    for _ in range(3):
        values = np.sort(np.exp(-np.abs(values))) * numbers()
    return float(sum(counts.values())) + float(values.sum())


def seconds(action: Callable[[], object]) -> float:
    """Seconds of computing that one run takes, in this process and in those that it starts and waits for.

    Unlike time on the wall they hold nothing of what other programs of the machine do meanwhile.
    """
    start = _computed_s()
    action()
    return _computed_s() - start


def _computed_s() -> float:
    used = (resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def command(*arguments: str) -> None:
    """Run the installed command in a process of its own, as a user's shell does."""
    subprocess.run([COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL, timeout=600)


def report(benchmarks: Iterable[Benchmark]) -> int:
    """Measure everything and print the table; the exit status is 1 if something fails, never for a time."""
    print(f"{'what':<64}{'seconds':>10}{'ratio':>10}{'target':>10}")
    status = 0
    for benchmark in benchmarks:
        try:
            measured_s, reference_s = benchmark.measure_s()
        except Exception:
            traceback.print_exc()
            status = 1
            print(f"{benchmark.name:<64}{'failed':>10}", flush=True)
            continue
        row(benchmark.name, f"{measured_s:.3f}", measured_s / reference_s, benchmark.target_s / REFERENCE_S)
    return status


def row(name: str, measured: str, ratio: float, target: float) -> None:
    """Print one row of the table."""
    print(f"{name:<64}{measured:>10}{ratio:>10,.2f}{target:>10,.2f}{'' if ratio < target else '  missed'}", flush=True)
