"""Proofs of searches against mappings written by hand, and against searches in which a part is fixed."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fusemax import FusemaxError, check, evaluate, load_arch, load_cascade, parse
from fusemax.ir.arch import Operation
from fusemax.ir.checked import Checked
from fusemax.mapper import map_cascade
from fusemax.mapper.space.nests import placed
from fusemax.syntax.mapping.parser import parse_mapping
from tests.mapper.test_optimal import SMALL, value_of
from tests.sim.machines import small

pytestmark = pytest.mark.slow

SCORES = check(parse("""
input A[E, P], B[E, M], C[M, F]
output Z[F, P]
S[m, p] = A[e, p] * B[e, m]
G[p] = S[m, p] :: reduce[m] max
T[m, p] = S[m, p] * G[p]
Z[f, p] = T[m, p] * C[m, f]
"""))  # fmt: skip
OBJECTIVES = ("latency", "energy", "edp", "dram")


def test_a_rank_that_is_one_longer_than_an_axis() -> None:
    """257 rows on an axis of 256 are two tiles, of 129 and 128, and not one row after the other."""
    shapes = {"M": 257, "N": 257, "K": 257}
    text = (
        "mapping hand\ncascade matmul\narch fusemax-cloud\nsplit m uneven: m1, m0 = 129\nsplit n uneven: n1, n0 = 129\n"
    )
    hand = parse_mapping(f"{text}pipeline m1, n1: on array2d (rows: m0, columns: n0): Z over k\n", "hand.mapping")
    found = map_cascade("matmul", "fusemax-cloud", shapes, top=1)
    assert found.statistics.proven
    assert found.best[0].estimate.cycles <= evaluate("matmul", "fusemax-cloud", hand, shapes).cycles


@pytest.mark.parametrize("buffer", [360, 880])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_bodies_of_one_tile(buffer: int, objective: str) -> None:
    """Where the bodies of a block have one tile each, what is held in one of them is not held in the others."""
    arch = small("fusemax-cloud", 4, buffer=buffer, bandwidth=1e11)
    found = map_cascade(SCORES, arch, {"E": 32, "F": 32, "M": 4, "P": 16}, objective=objective, top=5, limit=500)
    for each in found.best:
        assert each.value == pytest.approx(value_of(each.estimate, objective), rel=1e-8)


STRIDE = check(parse("input A[L]\noutput Z[M]\nshape L = 2 * M\nZ[m] = exp(A[2 * m])"))
CONVOLUTION = check(parse("input A[L], B[K]\noutput Z[M]\nZ[m] = A[m + k] * B[k]"))


@pytest.mark.parametrize(
    ("checked", "shapes"),
    [(STRIDE, {"M": 64}), (CONVOLUTION, {"M": 8, "K": 3, "L": 10}), (CONVOLUTION, {"M": 3, "K": 8, "L": 10})],
)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_inputs_that_are_read_in_part(checked: Checked, shapes: dict[str, int], objective: str) -> None:
    """No mapping undercuts the bound where an input is read at every second place, or through a window."""
    found = map_cascade(checked, small(bandwidth=1e9), shapes, objective=objective, top=5)
    assert all(found.least <= each.value * (1 + 1e-9) for each in found.best)


PROVEN = [*product(SMALL, OBJECTIVES), ("scores", "latency"), ("scores", "dram")]
"""Cascades and objectives whose search ends within its limit."""


@settings(max_examples=30, deadline=None, phases=[Phase.generate])
@given(st.data(), st.sampled_from(PROVEN))
def test_what_is_fixed_is_in_the_space(data: st.DataObject, asked: tuple[str, str]) -> None:
    """To fix the units of some Einsums finds nothing better than a search that is proven without."""
    name, objective = asked
    checked = SMALL.get(name, SCORES)
    arch = small("fusemax-cloud", data.draw(st.sampled_from((2, 4))), bandwidth=data.draw(st.sampled_from((1e9, 4e11))))
    shapes = {rank: data.draw(st.sampled_from((1, 2, 3, 5, 6))) for rank in checked.ranks if rank not in ("M0", "M1")}
    free = map_cascade(checked, arch, shapes, objective=objective, top=1)
    names = [einsum.name for einsum in placed(checked)]
    chosen = data.draw(st.dictionaries(st.sampled_from(names), st.sampled_from(("array2d", "array1d")), min_size=1))
    try:
        fixed = map_cascade(
            checked,
            arch,
            shapes,
            objective=objective,
            top=1,
            fix=[f"{einsum}={unit}" for einsum, unit in chosen.items()],
        )
    except FusemaxError as error:
        assert "lacks" in str(error) or "no assignment" in str(error) or "cannot run" in str(error), error
        return
    assert free.statistics.proven
    assert free.best[0].value <= fixed.best[0].value * (1 + 1e-8)


def test_an_axis_may_stay_empty() -> None:
    """Of a sum and its exponential only one can use both axes: it is worth while to leave one empty."""
    checked = check(parse("input A[K, M], B[K]\noutput Z[M]\nY[m] = A[k, m] * B[k]\nZ[m] = exp(Y[m])"))
    arch, shapes = small("flat-cloud", 4), {"K": 64, "M": 64}
    free = map_cascade(checked, arch, shapes, top=1)
    assert free.statistics.proven
    for unit in ("array1d", "array2d"):
        assert free.best[0].value <= map_cascade(checked, arch, shapes, top=1, fix=[f"Y={unit}"]).best[0].value * (
            1 + 1e-8
        )


@pytest.mark.parametrize("objective", ["latency", "dram"])
def test_a_block_of_results_that_stays(objective: str) -> None:
    """With results held in the buffer and the reduced rank looped over in chunks outside of the array, large products move
    less on a small machine: the search finds what was written by hand, or better."""
    shapes = {"M": 4096, "K": 65536, "N": 4096}
    text = """mapping hand
cascade matmul
arch flat-edge
split m: m2, m1 = 8, m0 = array2d.rows
split n: n2, n1 = 8, n0 = array2d.columns
split k: k1, k0 = 32
pipeline m2, n2:
  hold Z in buffer
  for k1:
    hold A, B in buffer
    for m1, n1: on array2d (rows: m0, columns: n0): Z over k0
"""
    hand = evaluate("matmul", "flat-edge", parse_mapping(text, "hand.mapping"), shapes)
    found = map_cascade("matmul", "flat-edge", shapes, top=1, objective=objective)
    assert value_of(found.best[0].estimate, objective) <= value_of(hand, objective) * (1 + 1e-9)


def test_a_cascade_with_too_many_assignments_is_not_proven() -> None:
    """Seventeen Einsums that two units can run have more assignments than are listed: fixing some finds a better one."""
    lines = ["input A[M]", "output Y17[M]", "Y1[m] = A[m] * 2"]
    lines += [f"Y{i}[m] = Y{i - 1}[m] * 2" for i in range(2, 18)]
    checked = check(parse("\n".join(lines)))
    arch, shapes = small("fusemax-cloud", 4), {"M": 4096}
    free = map_cascade(checked, arch, shapes, top=1)
    fixed = map_cascade(checked, arch, shapes, top=1, fix=["Y2=array1d", "Y3=array1d", "Y4=array1d"])
    assert not free.statistics.proven or free.best[0].value <= fixed.best[0].value


def test_a_cascade_that_is_too_long() -> None:
    """A whole encoder layer has more layouts than can be listed: it is refused at once, and the message says what to do."""
    units = load_arch("fusemax-cloud").units
    more = tuple(Operation(name, 1, 1e-12) for name in ("rsqrt", "gelu"))
    arch = replace(load_arch("fusemax-cloud"), units=tuple(replace(unit, ops=(*unit.ops, *more)) for unit in units))
    shapes = {"B": 8, "P": 1024, "M": 1024, "H": 12, "E": 64, "F": 64, "D": 768, "S": 3072}
    with pytest.raises(FusemaxError, match="too many Einsums to be fused as a whole: 28\nhint: map its parts"):
        map_cascade("encoder-layer", arch, shapes)


def test_attention_whose_layouts_are_too_many_to_list() -> None:
    """Of the layouts of attention with a sink a part is listed: the bound is that of all, found by another way."""
    shapes = {"B": 64, "H": 12, "E": 64, "F": 64, "M": 4096, "P": 4096}
    found = map_cascade(check(load_cascade("attention-1pass")), "fusemax-cloud", shapes, top=1)
    slots = {"BQK": 64, "LM": 1, "SLN": 7, "SLD": 1, "SLNV": 64}  # of each element, for each logit
    elements = sum(slots[name] for name in ("BQK", "SLN", "SLNV")) * 64 * 12 * 4096 * 4096 / 65536
    assert found.statistics.proven
    assert found.least * 940e6 >= elements
