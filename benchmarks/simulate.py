"""How fast tiles are simulated, and what memory that takes, against what we promise."""

import sys
import tracemalloc

from benchmarks.timing import Benchmark, report, row
from fusemax import check, load_arch, load_cascade, load_mapping, simulate
from fusemax.sim.trace import Trace

TASKS_PER_S = 200_000
ONE_OF_BERT = {"B": 1, "H": 12, "E": 64, "F": 64}
ALL_OF_BERT = {"B": 64, "H": 12, "E": 64, "F": 64}
KIB = 2**10
MORE_MEMORY = 1.5
"""So many times the memory is as good as the same: 1M tokens are 4,096 times the tiles of 16K."""

mapping = load_mapping("fusemax-binding")
checked, arch = check(load_cascade(mapping.cascade)), load_arch(mapping.arch)


def run(shapes: dict[str, int], length: int, *, steady: bool = True) -> Trace:
    """One simulation; with `steady` what repeats is jumped over, else every task is run."""
    return simulate(checked, arch, mapping, {**shapes, "M": length, "P": length}, steady=steady)


def benchmarks() -> tuple[Benchmark, ...]:
    """The works that are timed. The mapping, the cascade and the architecture are read outside the times."""
    tasks = run(ONE_OF_BERT, 4 * KIB, steady=False).simulated
    return (
        Benchmark(f"simulate {tasks:,} tasks one by one", tasks / TASKS_PER_S,
                  lambda: run(ONE_OF_BERT, 4 * KIB, steady=False), 5),
        Benchmark("simulate fusemax-binding on BERT at 1M", 1, lambda: run(ALL_OF_BERT, KIB * KIB)),
    )  # fmt: skip


def peak_bytes(length: int) -> int:
    """The most memory that a simulation of BERT takes at once, beyond what is loaded before."""
    tracemalloc.start()
    try:
        run(ALL_OF_BERT, length)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def memory() -> None:
    """Print the row about memory, which is a ratio by itself."""
    short, long = peak_bytes(16 * KIB), peak_bytes(KIB * KIB)
    row(f"peak memory at 1M over 16K, in KiB: {long / KIB:,.0f} over {short / KIB:,.0f}", "", long / short, MORE_MEMORY)


if __name__ == "__main__":
    status = report(benchmarks())
    memory()
    sys.exit(status)
