"""How long a user waits for the cost of mappings, against the times that we promise."""

import sys

import numpy as np

from benchmarks.timing import Benchmark, command, report
from fusemax import check, evaluate, load_arch, load_cascade, load_mapping
from fusemax.bind.extents import Amount

SHAPES = {"B": 64, "H": 12, "E": 64, "F": 64, "M": 1024, "P": 1024}
PUBLISHED = ("unfused", "flat", "fusemax-cascade", "fusemax-architecture", "fusemax-binding")
MODELS, LENGTHS = "bert,trxl,t5,xlm", "1K,4K,16K,64K,256K,1M"


def benchmarks() -> tuple[Benchmark, ...]:
    """The works that are timed. Mappings, cascades and architectures are read here, outside the times."""
    mapping = load_mapping("fusemax-binding")
    checked, arch = check(load_cascade(mapping.cascade)), load_arch(mapping.arch)
    lengths = 256 * np.arange(1, 10_001)
    grid: dict[str, Amount] = {**SHAPES, "M": lengths, "P": lengths}
    published = ("compare", *PUBLISHED, "--model", MODELS, "--seq", LENGTHS, "--json")
    return (
        Benchmark("evaluate fusemax-binding at one point", 0.005, lambda: evaluate(checked, arch, mapping, SHAPES), 50),
        Benchmark("evaluate fusemax-binding at 10,000 points", 1, lambda: evaluate(checked, arch, mapping, grid)),
        Benchmark("fusemax compare, the 120 published points, in a new process", 1, lambda: command(*published)),
        Benchmark("fusemax reproduce, without pictures", 3, lambda: command("reproduce")),
    )


if __name__ == "__main__":
    sys.exit(report(benchmarks()))
