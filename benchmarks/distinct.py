"""How fast words are counted, over a grid of shapes and for long sequences, against what we promise."""

import sys
from collections.abc import Sequence

import numpy as np

from benchmarks.timing import Benchmark, report
from fusemax.bind.distinct import IterationSpace, Occurrence, fills, inside, joined, visits
from fusemax.bind.distinct.linear import Number
from fusemax.ir.affine import Affine, Term, total
from fusemax.ir.checked import Constraint, Relation

POINTS = 256 * np.arange(1, 10_001)
MILLION = 2**20
M, P = joined(("m1", "m0")), joined(("p2", "p1", "p0"))
R, E = Affine((Term(1, (), "r"),)), Affine((Term(1, (), "e"),))
CAUSAL = Constraint(total((P, 1), (M, -1)), Relation.NOT_NEGATIVE)
LOOPS = ("b", "h", "p2", "m1", "p1", "e")


def space(length: Number, filters: Sequence[Constraint] = ()) -> IterationSpace:
    """Queries and keys of one length in tiles of 256, 32 tiles of queries in a block, the last block short."""
    extents = {"b": 64, "h": 12, "e": 64, "r": 3, "m1": -(-length // 256), "m0": 256,
               "p2": -(-length // 8192), "p1": 32, "p0": 256}  # fmt: skip
    short = (inside(("m1", "m0"), "M"), inside(("p2", "p1", "p0"), "P"))
    return IterationSpace(extents, (*short, *filters), {"M0": 256, "P1": 32, "P0": 256, "M": length, "P": length})


def benchmarks() -> tuple[Benchmark, ...]:
    """The works that are timed."""
    grid, masked = space(POINTS), space(POINTS, (CAUSAL,))
    halo = Occurrence((E, total((P, 1), (R, 1))), grid)
    million = Occurrence((E, M), space(MILLION, (CAUSAL,)))
    return (
        Benchmark("visits of keys, 10,000 points", 0.2, lambda: visits(Occurrence((E, M), grid), LOOPS)),
        Benchmark("sliding fills of keys, 10,000 points", 0.2, lambda: fills([Occurrence((E, M), grid)], LOOPS[:4])),
        Benchmark("sliding fills of a halo, 10,000 points", 0.2, lambda: fills([halo], LOOPS[:3])),
        Benchmark("visits of keys below a mask, 10,000 points", 0.2, lambda: visits(Occurrence((E, M), masked), LOOPS)),
        Benchmark("sliding fills of keys below a mask, 1M x 1M", 0.2, lambda: fills([million], LOOPS[:4])),
    )


if __name__ == "__main__":
    sys.exit(report(benchmarks()))
