"""The exhaustive search against brute force: every candidate of a small space, costed one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from fusemax import Estimate, FusemaxError, check, evaluate, load_cascade, parse
from fusemax.bind.instantiate import concrete
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.mapper import MapResult, map_cascade
from fusemax.mapper.constraints import fixed_of
from fusemax.mapper.cost.candidates import Costs, exact
from fusemax.mapper.objective import Objective
from fusemax.mapper.search.search import priced
from fusemax.mapper.space.generated import Generated, GeneratedStructure
from fusemax.mapper.space.protocol import Cutoff, trees_of
from fusemax.model.energy import Accounting
from tests.sim.machines import small

pytestmark = pytest.mark.slow

OBJECTIVES = tuple(objective.value for objective in Objective)
MOST = 300
"""Candidates of the largest space that is costed one by one."""

MATMUL = """
input A[K, M], B[K, N]
output Z[M, N]
Z[m, n] = A[k, m] * B[k, n]
"""
CHAIN = """
input A[K, M], B[K]
output Z[M]
Y[m] = A[k, m] * B[k]
Z[m] = exp(Y[m])
"""
TWO = """
input A[K, M], B[K], C[M]
output Z
Y[m] = A[k, m] * B[k]
Z = Y[m] * C[m]
"""
SOFTMAX = """
input X[M]
output A[M]
G = X[m] :: reduce[m] max
S[m] = exp(X[m] - G)
D = S[m]
A[m] = S[m] / D
"""
SOFTMAX_ROWS = """
input X[M, P]
output D[P]
G[p] = X[m, p] :: reduce[m] max
S[m, p] = exp(X[m, p] - G[p])
D[p] = S[m, p]
"""
RUNNING = """
input A[I, P], B[I]
output Z[P]
init:
  R[0, p] = 0
loop i:
  S[i, p] = A[i, p] * B[i]
  R[i+1, p] = R[i, p] + S[i, p]
stop: i >= I
final:
  Z[p] = exp(R[I, p])
"""
SMALL = {
    name: check(parse(text))
    for name, text in {
        "matmul": MATMUL,
        "chain": CHAIN,
        "two": TWO,
        "softmax": SOFTMAX,
        "softmax-rows": SOFTMAX_ROWS,
        "running": RUNNING,
    }.items()
}


@dataclass(frozen=True)
class Case:
    """A space: a cascade on a machine at some sizes, and what is fixed of it."""

    checked: Checked
    arch: Arch
    shapes: Mapping[str, int]
    accounting: str = "full"
    fix: tuple[str, ...] = field(default=())
    keep: tuple[str, ...] = field(default=())

    def space(self) -> Generated:
        """Its space."""
        return Generated(
            self.checked, self.arch, self.shapes, fixed_of(self.fix, self.keep, self.checked, self.arch, None)
        )


def value_of(estimate: Estimate, objective: str) -> float:
    """The figure of one mapping that an objective minimizes."""
    latency, energy = float(estimate.latency_s), float(estimate.energy_j)
    return {
        "latency": latency,
        "energy": energy,
        "edp": latency * energy,
        "dram": float(estimate.dram_bytes),
    }[objective]


def everything(case: Case) -> Iterator[tuple[GeneratedStructure, Estimate]]:
    """Every candidate of a space that is a mapping, costed one by one; on the way, as it is costed in bulk."""
    space = case.space()
    charged = Accounting(case.accounting)
    for structure in space.structures():
        assert not isinstance(structure, Cutoff)
        for candidates in trees_of(space, structure):
            try:
                costs: Costs | str = priced(space, candidates, charged)
            except FusemaxError as error:
                costs = error.problems[0].message
            for at in range(candidates.size):
                mapping = concrete(candidates.mapping, candidates.member(at))
                try:
                    found = evaluate(case.checked, case.arch, mapping, case.shapes, accounting=case.accounting)
                except FusemaxError as error:
                    reason = error.problems[0].message
                    if isinstance(costs, str):
                        assert reason == costs
                    else:
                        assert not costs.feasible[at]
                        assert "less than the tiles held at once" in reason
                    continue
                assert isinstance(costs, Costs), costs
                bulk = (costs.latency_s[at], costs.energy_j[at], costs.dram_bytes[at])
                assert bulk == pytest.approx((found.latency_s, found.energy_j, found.dram_bytes), rel=1e-12, abs=0)
                tidied = exact(case.checked, case.arch, candidates, at, case.shapes, charged)[1]
                shown = (tidied.latency_s, tidied.energy_j, tidied.dram_bytes)
                assert shown == pytest.approx(bulk, rel=1e-12, abs=0), mapping
                yield structure, found


def assert_optimal(case: Case, objectives: Sequence[str] = OBJECTIVES) -> int:
    """No objective has a better candidate than the search finds, and no bound is above a candidate's cost."""
    best = dict.fromkeys(objectives, float("inf"))
    least_bytes = case.space().least_bytes
    number = 0
    for structure, found in everything(case):
        number += 1
        assert structure.least_s <= found.latency_s * (1 + 1e-12)
        assert structure.least_j <= found.energy_j * (1 + 1e-12)
        assert least_bytes <= found.dram_bytes
        best = {objective: min(value, value_of(found, objective)) for objective, value in best.items()}
    for objective, value in best.items():
        if number == 0:
            with pytest.raises(FusemaxError):
                searched(case, objective)
            continue
        result = searched(case, objective)
        first = result.best[0]
        assert value_of(first.estimate, objective) == pytest.approx(value, rel=1e-8, abs=0)
        assert first.value == pytest.approx(value, rel=1e-8, abs=0)
        assert result.statistics.proven
        assert result.least <= first.value * (1 + 1e-8)
    return number


def searched(case: Case, objective: str) -> MapResult:
    """The best value of the search."""
    return map_cascade(
        case.checked, case.arch, case.shapes, objective=objective, fix=case.fix, keep=case.keep, top=1,
        accounting=case.accounting, limit=1 << 30,
    )  # fmt: skip


@st.composite
def cases(draw: DrawFn) -> Case:
    """A small cascade at tiny sizes on a machine of 2 x 2 or 4 x 4, with more or less bandwidth and room."""
    name = draw(st.sampled_from(sorted(SMALL)))
    checked = SMALL[name]
    sizes = st.sampled_from((1, 2, 3, 4, 6) if name != "matmul" else (1, 2, 3, 4))
    arch = small(
        draw(st.sampled_from(("fusemax-cloud", "flat-cloud"))),
        draw(st.sampled_from((2, 4))),
        entries=draw(st.sampled_from((2, 4, 10, None))),
        buffer=draw(st.sampled_from((2, 4, 8, 16, 48, 1 << 20))),
        bandwidth=draw(st.sampled_from((1e8, 1e9, 2e10, 4e11))),
    )
    shapes = {rank: draw(sizes) for rank in checked.ranks if rank not in ("M0", "M1")}
    return Case(checked, arch, shapes, draw(st.sampled_from(("full", "published"))))


@settings(max_examples=25, deadline=None, phases=[Phase.generate])
@given(cases())
def test_the_best_of_small_spaces(case: Case) -> None:
    """For every objective the search finds the best of all candidates; bounds hold; bulk costs are those one by one."""
    space = case.space()
    size = sum(candidates.size for structure in space.structures() for candidates in trees_of(space, structure))
    if size <= MOST:
        assert_optimal(case)


def test_a_slow_unit_that_takes_less_energy() -> None:
    """Where a slow unit takes a hundredth of the energy, structures come in another order for each objective."""
    machine = small("fusemax-cloud", 4)
    units = []
    for unit in machine.units:
        times = 1e6 if len(unit.axes) == 2 else 1e4
        units.append(
            replace(unit, ops=tuple(replace(op, energy_j=op.energy_j and op.energy_j * times) for op in unit.ops))
        )
    arch = replace(machine, units=tuple(units))
    for sizes in ({"M": 1, "N": 3, "K": 4}, {"M": 4, "N": 3, "K": 1}):
        assert assert_optimal(Case(SMALL["matmul"], arch, sizes)) > 0


# ----------------------------------------------------------------------------------------------------------- attention

ONE_PASS = ("BQK=array2d", "LM=array2d", "SLN=array2d", "SLD=array1d", "SLNV=array2d", "PRM=array1d", "SPD=array1d",
            "RD=array1d", "SPNV=array1d", "RNV=array1d", "AV=array1d")  # fmt: skip
TWO_PASS = ("BQK=array2d", "LM=array2d", "SLN=array2d", "SLD=array1d", "PLM=array1d", "SD=array1d", "A=array1d",
            "AV=array2d")  # fmt: skip
THREE_PASS = ("QK=array2d", "GM=array1d", "SN=array1d", "SD=array1d", "A=array1d", "AV=array2d")
BETWEEN = tuple(f"{tensor}=buffer" for tensor in ("LM", "SLN", "SLD", "GM", "PLM", "SD"))


def attention(
    name: str, sizes: str, fix: tuple[str, ...], keep: tuple[str, ...] = (), buffer: int = 1 << 20,
    bandwidth: float | None = None,
) -> Case:  # fmt: skip
    """A cascade of attention on a small machine, at `E F M P`; inputs that are kept in DRAM are not held nearer."""
    shapes = {"B": 1, "H": 1, **dict(zip("EFMP", map(int, sizes.split()), strict=True))}
    if "3pass" not in name:
        shapes["M0"] = 2
    arch = small("fusemax-cloud", 2, buffer=buffer, bandwidth=bandwidth)
    return Case(check(load_cascade(name)), arch, shapes, "full", fix, keep)


@pytest.mark.parametrize(
    ("case", "objectives"),
    [
        (attention("attention-1pass", "1 1 4 1", ONE_PASS, ("BV=dram", "Q=dram"), bandwidth=1e9), ("latency", "energy")),
        (attention("attention-1pass", "1 1 2 2", ONE_PASS, ("Q=dram", "BK=dram", "AV=dram"), buffer=8), ("edp",)),
        (attention("attention-2pass", "1 1 2 1", TWO_PASS, (*BETWEEN, "BK=dram", "BV=dram"), buffer=14), ("dram", "energy")),
        (attention("attention-3pass", "1 1 2 1", THREE_PASS, ("QK=buffer", "SN=buffer", "K=dram"), buffer=16), ("latency", "edp")),
        (attention("attention-3pass", "1 1 3 1", THREE_PASS, ("GM=buffer", "SD=buffer", "K=dram"), bandwidth=1e9), ("latency", "dram")),
    ],
    ids=("1pass", "1pass-tight", "2pass", "3pass", "3pass-spilling"),
)  # fmt: skip
def test_the_best_of_attention(case: Case, objectives: tuple[str, ...]) -> None:
    """The same for attention with its Einsums fixed to units, in one, two and three passes."""
    assert assert_optimal(case, objectives) > 0
