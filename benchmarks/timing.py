"""Timing of what users wait for, against the times that we promise: what all scripts of this folder share."""

import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

COMMAND = Path(sys.executable).parent / "fusemax"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Something to time: it runs `repeat` times, and the quickest run counts, the one least disturbed by others."""

    name: str
    target_s: float
    action: Callable[[], object]
    repeat: int = 3

    def measure_s(self) -> float:
        """Seconds of the quickest run."""
        return min(seconds(self.action) for _ in range(self.repeat))


def seconds(action: Callable[[], object]) -> float:
    """How long one run takes."""
    start = perf_counter()
    action()
    return perf_counter() - start


def command(*arguments: str) -> None:
    """Run the installed command in a process of its own, as a user's shell does."""
    subprocess.run([COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL, timeout=60)


def report(benchmarks: Iterable[Benchmark]) -> int:
    """Measure everything and print the table; the exit code is 1 if a promise is broken."""
    print(f"{'what':<62}{'measured':>12}{'target':>12}")
    kept = True
    for benchmark in benchmarks:
        measured_s = benchmark.measure_s()
        verdict = "" if measured_s < benchmark.target_s else "  missed"
        kept = kept and not verdict
        print(f"{benchmark.name:<62}{measured_s:>10.3f} s{benchmark.target_s:>10.2f} s{verdict}", flush=True)
    return 0 if kept else 1
