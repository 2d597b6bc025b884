"""How fast mappings are found, against what we promise."""

import sys
from itertools import product

import numpy as np

from benchmarks.timing import Benchmark, command, report
from fusemax import MapResult, check, load_arch, load_cascade, load_mapping, map_cascade
from fusemax.mapper.constraints import Fixed
from fusemax.mapper.cost.candidates import Candidates, cost
from fusemax.mapper.space.template import Template, TemplateChoice
from fusemax.model.energy import Accounting
from fusemax.syntax.load import load_workload

CANDIDATES_PER_S = 1_000_000
CANDIDATES = 400_000
KIB = 2**10
MODELS = ("bert", "trxl", "t5", "xlm")
LENGTHS = tuple(KIB * 4**n for n in range(6))
WORDS = {"kept": ("QK", "A"), "qk": ("output",), "av": ("output",)}
"""One choice of FLAT's words, which is one tree; most candidates have to spill a share of what is kept."""

ONE_HEAD = "map --cascade attention-1pass --arch fusemax-cloud --shape B=1,H=1,E=64,F=64,M=1024,P=1024".split()


def shapes(model: str, length: int) -> dict[str, int]:
    """The sizes of a model's attention at a length."""
    return load_workload(model).at(length, ("B", "H", "E", "F", "M", "P"))


def flat(model: str, length: int) -> MapResult:
    """FLAT's best: what its table chooses from, without the table."""
    return map_cascade("attention-3pass", "flat-cloud", shapes(model, length), template="flat")


def candidates() -> Benchmark:
    """One tree of FLAT's space at many block sizes, each with the share that has to be spilled."""
    checked, arch, mapping = check(load_cascade("attention-3pass")), load_arch("flat-cloud"), load_mapping("flat")
    sizes = shapes("bert", 256 * KIB)
    space = Template(checked, arch, mapping, sizes, Fixed())
    tree = space.candidates(TemplateChoice(WORDS))
    rows = np.resize(tree.grid["rows"], CANDIDATES)
    many = Candidates(tree.mapping, tree.words, {"rows": rows}, tree.share)
    what = f"cost {CANDIDATES:,} candidates of FLAT's space"
    return Benchmark(what, CANDIDATES / CANDIDATES_PER_S, lambda: cost(checked, arch, many, sizes, Accounting.FULL), 5)


def benchmarks() -> tuple[Benchmark, ...]:
    """The works that are timed."""
    return (
        candidates(),
        Benchmark("FLAT's best on BERT at 256K", 1, lambda: flat("bert", 256 * KIB)),
        Benchmark("FLAT's best for all 24 models and lengths", 20, lambda: [flat(*p) for p in product(MODELS, LENGTHS)], 1),
        Benchmark("fusemax map attention-1pass, one head of 1,024 tokens", 3, lambda: command(*ONE_HEAD)),
        Benchmark("attention-1pass on fusemax-cloud, BERT at 4K", 30,
                  lambda: map_cascade("attention-1pass", "fusemax-cloud", shapes("bert", 4 * KIB)), 1),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(report(benchmarks()))
