"""How long a user waits for the analyzer and the interpreter, against the times that we promise."""

import sys

import numpy as np

from benchmarks.timing import Benchmark, command, report
from fusemax import analyze, check, execute, load_cascade, parse, resources

SHAPES = {"B": 1, "H": 1, "E": 64, "F": 64, "M": 1024, "P": 1024}


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
    """The works that are timed. Texts, cascades and inputs are made ready here, outside the times."""
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
        Benchmark("fusemax --help, in a new process", 0.1, lambda: command("--help")),
        Benchmark(
            "fusemax analyze attention-1pass, in a new process", 0.8, lambda: command("analyze", "attention-1pass")
        ),
        Benchmark("parse, check and analyze 1,000 Einsums", 10, lambda: analyze(check(parse(long_text))), 1),
        Benchmark("execute attention-1pass, M = P = 1024, one head", 2, lambda: execute(cascade, inputs)),
    )


if __name__ == "__main__":
    sys.exit(report(benchmarks()))
