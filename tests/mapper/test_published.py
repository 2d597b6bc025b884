"""Results that the mapper must reach: mappings no slower than the published ones, proven, and right when they are simulated."""

from __future__ import annotations

from functools import cache

import pytest

from fusemax import Estimate, check, evaluate, load_arch, load_cascade, load_mapping
from fusemax.bind.bind import bind
from fusemax.bind.parameters import chosen_for
from fusemax.mapper import MapResult, map_cascade
from fusemax.report.simulations import check_numbers
from fusemax.sim.simulate import run
from fusemax.sim.trace import TOLERANCE
from tests.model.test_published import at
from tests.sim.machines import small

pytestmark = pytest.mark.slow

LENGTHS = [1024 * 4**n for n in range(6)]
POINTS = [*(("bert", length) for length in LENGTHS), *(("xlm", length) for length in LENGTHS[::2])]

LIGHT = ("RM", "PRM", "SPD", "RD", "SPNV", "RNV", "GM", "SD")
"""Einsums that stay on the 1D array of the small machine, which has few of the choices of a large one."""


def published(name: str, model: str, length: int) -> Estimate:
    """A shipped mapping at a model and a length, with its table's choice."""
    mapping = load_mapping(name)
    chosen = chosen_for(mapping, model, length).values
    return evaluate(mapping.cascade, mapping.arch, mapping, at(model, length), parameters=chosen)


@cache
def flat(model: str, length: int) -> MapResult:
    """The best of FLAT's own space."""
    return map_cascade("attention-3pass", "flat-cloud", at(model, length), template="flat", top=1)


@cache
def one_pass(model: str) -> MapResult:
    """The best for the 1-pass cascade at 1K, from the cascade and the machine alone."""
    return map_cascade("attention-1pass", "fusemax-cloud", at(model, 1024), top=1)


# ---------------------------------------------------------------------------------------------------------------- FLAT


@pytest.mark.parametrize(("model", "length"), POINTS)
def test_flat(model: str, length: int) -> None:
    """The best of FLAT's own space is at least as fast as its table's choice, and proven."""
    found = flat(model, length)
    assert found.best[0].estimate.latency_s <= published("flat", model, length).latency_s * (1 + 1e-12)
    assert found.statistics.proven
    assert found.statistics.fitting > 0


@pytest.mark.parametrize(("model", "length", "seconds"), [("bert", LENGTHS[4], 984.1), ("xlm", LENGTHS[4], 1313.7)])
def test_flat_where_dram_binds(model: str, length: int, seconds: float) -> None:
    """At 256K there are faster mappings than the published: larger blocks of queries load the keys less often."""
    found, before = flat(model, length).best[0], published("flat", model, length)
    assert found.estimate.latency_s <= seconds < before.latency_s
    assert found.estimate.dram_bytes < before.dram_bytes
    assert before.bound == "dram"


# ------------------------------------------------------------------------------------------------------------- FuseMax


@pytest.mark.parametrize("model", ["bert", "xlm"])
def test_fusemax(model: str) -> None:
    """From the 1-pass cascade and the machine alone: faster than the published binding, and no mapping can be better."""
    found = one_pass(model)
    best, before = found.best[0].estimate, published("fusemax-binding", model, 1024)
    assert best.latency_s < before.latency_s
    assert best.dram_bytes <= before.dram_bytes
    assert found.statistics.proven
    assert best.latency_s == pytest.approx(found.least, rel=1e-8, abs=0)
    assert any(reason.startswith("no mapping can be better") for reason in found.reasons)


def test_the_simulator_confirms_it() -> None:
    """Tile by tile the mapping found is faster than the published one too, and its numbers are right for one head."""
    checked, arch = check(load_cascade("attention-1pass")), load_arch("fusemax-cloud")
    mapping = one_pass("bert").best[0].mapping
    found = run(bind(checked, arch, mapping, at("bert", 1024), {}))
    before = run(bind(checked, arch, load_mapping("fusemax-binding"), at("bert", 1024), {}))
    assert found.closed_form <= found.makespan <= found.closed_form * 1.002
    assert found.makespan < before.makespan
    one_head = bind(checked, arch, mapping, {**at("bert", 1024), "B": 1, "H": 1}, {})
    assert check_numbers(one_head) <= TOLERANCE


@pytest.mark.parametrize(
    ("cascade", "shapes"),
    [
        ("attention-1pass", {"B": 1, "H": 1, "E": 2, "F": 2, "M": 8, "M0": 4, "P": 4}),
        ("attention-1pass", {"B": 1, "H": 2, "E": 2, "F": 3, "M": 8, "M0": 4, "P": 8}),
        ("attention-1pass", {"B": 2, "H": 1, "E": 3, "F": 1, "M": 12, "M0": 3, "P": 5}),
        ("attention-3pass", {"B": 1, "H": 1, "E": 2, "F": 1, "M": 4, "P": 4}),
        ("matmul", {"M": 8, "N": 12, "K": 6}),
        ("softmax-stable", {"M": 12, "P": 8}),
    ],
)
def test_numbers_on_a_small_machine(cascade: str, shapes: dict[str, int]) -> None:
    """The mapping found for a machine of 4 x 4 computes the cascade, and has the limit of the model."""
    checked, arch = check(load_cascade(cascade)), small(lengths=4)
    fix = [f"{einsum.name}=array1d" for einsum in checked.einsums if einsum.name in LIGHT]
    for found in map_cascade(checked, arch, shapes, fix=fix, top=2, limit=60, even=True).best:
        bound = bind(checked, arch, found.mapping, shapes, {})
        assert check_numbers(bound) <= TOLERANCE
        assert run(bound, latencies=False).makespan >= float(found.estimate.cycles) * (1 - 1e-9)
