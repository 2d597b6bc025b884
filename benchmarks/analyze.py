"""How long a user waits for the analyzer and the interpreter, against the times that we promise.

Prints one line a measurement; the exit code is 1 if a promise is broken.
"""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from fusemax import analyze, check, execute, load_cascade, parse, resources

COMMAND = Path(sys.executable).parent / "fusemax"
SHAPES = {"B": 1, "H": 1, "E": 64, "F": 64, "M": 1024, "P": 1024}


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


def chain(pairs: int) -> str:
    """A cascade of 2 * pairs Einsums: a row is divided by its sum again and again, one more pass each time.

    >>> print(chain(1))
    input T0[K, M]
    output T1[K, M]
    S1[m] = T0[k, m]
    T1[k, m] = T0[k, m] / S1[m]
    """
    steps = [f"S{i}[m] = T{i - 1}[k, m]\nT{i}[k, m] = T{i - 1}[k, m] / S{i}[m]" for i in range(1, pairs + 1)]
    return "\n".join(["input T0[K, M]", f"output T{pairs}[K, M]", *steps])


def benchmarks() -> tuple[Benchmark, ...]:
    """What is timed. Texts, cascades and inputs are made ready here, outside the times."""
    file = resources.path("cascades", "attention-1pass", ".cascade")
    text = file.read_text(encoding="utf-8")
    cascade = load_cascade(file)
    long_text = chain(500)
    rng = np.random.default_rng(0)
    ranks = {"Q": "BHEP", "K": "BHEM", "V": "BHFM"}
    inputs = {tensor: rng.standard_normal([SHAPES[rank] for rank in ranks[tensor]]) for tensor in ranks}
    return (
        Benchmark("parse attention-1pass", 0.05, lambda: parse(text), 20),
        Benchmark("check and analyze attention-1pass", 0.05, lambda: analyze(check(cascade)), 20),
        Benchmark("fusemax --help", 0.3, lambda: command("--help")),
        Benchmark("fusemax analyze attention-1pass", 1.5, lambda: command("analyze", "attention-1pass")),
        Benchmark("parse, check and analyze 1,000 Einsums", 10, lambda: analyze(check(parse(long_text))), 1),
        Benchmark("execute attention-1pass, M = P = 1024, one head", 2, lambda: execute(cascade, inputs)),
    )


def main() -> int:
    """Measure everything and print the table."""
    print(f"{'what':<50}{'measured':>12}{'target':>12}")
    kept = True
    for benchmark in benchmarks():
        measured_s = benchmark.measure_s()
        verdict = "" if measured_s < benchmark.target_s else "  missed"
        kept = kept and not verdict
        print(f"{benchmark.name:<50}{measured_s:>10.3f} s{benchmark.target_s:>10.2f} s{verdict}", flush=True)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
