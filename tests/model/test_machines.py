"""Machines and cascades that no shipped file has: operators of a cascade, edges along one axis, outputs that copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fusemax import FusemaxError, check, evaluate, load_arch, parse
from fusemax.bind.extents import Amount
from fusemax.ir.arch import Arch, Operation, Unit
from fusemax.model import Estimate
from fusemax.syntax.mapping.parser import parse_mapping

FLAT = load_arch("flat-cloud")
LANES = FLAT.units[-1]
POINTS = 256


def with_unit(unit: Unit) -> Arch:
    """FLAT's machine with another 1D array."""
    return replace(FLAT, units=(*FLAT.units[:-1], unit))


def cost(cascade: str, body: str, sizes: Mapping[str, Amount], arch: Arch = FLAT, title: str = "a") -> Estimate:
    """The cost of a mapping that is a body only."""
    mapping = parse_mapping(f"mapping {title}\ncascade own\narch flat-cloud\n{body}", "a.mapping")
    return evaluate(check(parse(cascade, "own.cascade")), arch, mapping, sizes)


# --------------------------------------------------------------------------------------------- operators of the cascade

GATED = "op f(x) = x * exp(x) + {}\ninput A[M]\noutput Z[M]\nZ[m] = f(A[m])"
ON_LANES = "on array1d (lanes: m): Z"


def test_an_operator_of_the_cascade_is_its_parts() -> None:
    """Where a unit has no operation of that name, it takes the slots and joules of what the operator consists of."""
    own = cost(GATED.format("x"), ON_LANES, {"M": POINTS})
    plain = cost("input A[M]\noutput Z[M]\nZ[m] = A[m] * exp(A[m]) + A[m]", ON_LANES, {"M": POINTS})
    assert own.operations == plain.operations == {"mac": POINTS, "exp": POINTS, "add": POINTS}
    assert own.einsums[0].slot_cycles == plain.einsums[0].slot_cycles == 3
    assert own.energy_j == pytest.approx(plain.energy_j, rel=1e-15)


def test_an_operator_of_the_cascade_in_another() -> None:
    """Operators of operators come down to what the unit has."""
    nested = "op g(x) = exp(x) + 1\n" + GATED.format("g(x)")
    found = cost(nested, ON_LANES, {"M": POINTS})
    assert found.operations == {"mac": POINTS, "exp": 2 * POINTS, "add": 2 * POINTS}


def test_a_unit_with_an_operation_of_that_name() -> None:
    """A unit that has an operation of the operator's name does it in one."""
    fast = with_unit(replace(LANES, ops=(*LANES.ops, Operation("f", 2, 5e-12))))
    found = cost(GATED.format("x"), ON_LANES, {"M": POINTS}, fast)
    assert found.operations == {"f": POINTS}
    assert found.einsums[0].slot_cycles == 2


# ------------------------------------------------------------------------------------------------------------- edges


@pytest.mark.parametrize(
    ("edges", "cycles"),
    [(("north",), 2), (("north", "west"), 1), (("north", "west", "east"), 1)],
)
def test_entering_edges_along_one_axis_add_up(edges: tuple[str, ...], cycles: int) -> None:
    """Two operands a point enter in two cycles by one edge, and in one by two; the result leaves in one in any case."""
    sides = (*((edge, "lanes") for edge in edges), ("south", "lanes"))
    arch = with_unit(replace(LANES, edges=sides))
    text = "input A[M], B[M]\noutput Z[M]\nZ[m] = A[m] + B[m]"
    found = cost(text, ON_LANES, {"M": POINTS}, arch)
    assert found.einsums[0].edge_cycles == cycles


# --------------------------------------------------------------------------------------------------- outputs that copy

COPY = "input A[M]\noutput Z[M]\nB[m] = A[m]\nC[m] = B[m]\nT[m] = C[m] * 2\nZ[m] = T[m]"


def test_an_output_that_copies_an_intermediate() -> None:
    """It is placed like any other Einsum, and goes to the outermost memory; parts of parts of inputs are not placed."""
    found = cost(COPY, "on array1d (lanes: m): T; Z", {"M": POINTS})
    assert found.words["dram"] == (POINTS, POINTS)
    assert found.operations == {"mac": POINTS}


def test_an_output_that_copies_an_input() -> None:
    """Every word is read and written once."""
    found = cost("input A[M]\noutput Z[M]\nZ[m] = A[m]", ON_LANES, {"M": POINTS})
    assert found.words["dram"] == (POINTS, POINTS)
    assert FLAT.outermost.bandwidth_bytes_s is not None
    assert found.latency_s == pytest.approx(2 * POINTS * 2 / FLAT.outermost.bandwidth_bytes_s)


def test_a_part_of_an_input_that_is_placed() -> None:
    """Parts of inputs are refused in `on` blocks."""
    with pytest.raises(FusemaxError) as caught:
        cost(COPY, "on array1d (lanes: m): C; T; Z", {"M": POINTS})
    assert str(caught.value) == (
        "a.mapping:4:24: 'C' is a part of an input under another name and is not placed\n"
        "  on array1d (lanes: m): C; T; Z\n"
        "                         ^\n"
        "hint: leave it out; `hold` it where it shall be kept"
    )


# ------------------------------------------------------------------------------------------------- phases, shares, grids

TWICE = "input A[M]\noutput Z[M]\nT[m] = A[m] * 2\nZ[m] = T[m] * 2"


def test_phases_in_a_case() -> None:
    """Phases in the branch of a `case` are as good as phases outside of it."""
    phases = "phase: on array1d (lanes: m): {}\n"
    plain = cost(TWICE, phases.format("T") + phases.format("Z"), {"M": POINTS})
    cases = "case how:\n  cut:\n    " + phases.format("T") + "    " + phases.format("Z")
    found = cost(TWICE, cases, {"M": POINTS}, title="a(how = cut)")
    assert len(found.phases) == len(plain.phases) == 2
    assert found.latency_s == plain.latency_s


def test_a_share_is_looked_at_each_time() -> None:
    """That a plan was right with one share does not make it right with another."""
    checked = check(parse(TWICE, "own.cascade"))
    text = (
        "mapping a(share = 0)\ncascade own\narch flat-cloud\nfor m:\n  hold T in buffer spill share\n  on array1d: T; Z"
    )
    mapping = parse_mapping(text, "a.mapping")

    def shared(share: Amount) -> Estimate:
        return evaluate(checked, FLAT, mapping, {"M": 4}, parameters={"share": share})

    assert shared(0.5).latency_s > 0
    for wrong, shown in ((7, "7"), (-1, "-1"), (np.array([0.5, 1.5]), "1.5"), (float("nan"), "nan")):
        with pytest.raises(FusemaxError) as caught:
            shared(wrong)
        assert str(caught.value) == (
            f"a.mapping:5:3: 'T' spills a share of {shown}\n"
            "  hold T in buffer spill share\n"
            "  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
            "hint: give a share from 0 to 1"
        )
    assert shared(0.5).latency_s > 0


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (4.5, "size 4.5 of rank 'M' is not an integer\nhint: give a positive integer"),
        (np.linspace(4, 5, 3), "size 4.0 of rank 'M' is not an integer\nhint: give a positive integer\n"
                               "size 5.0 of rank 'M' is not an integer\nhint: give a positive integer"),
        (np.array([4, 0]), "size 0 of rank 'M' is not positive\nhint: give a positive integer"),
        (np.array([4, -8, 8]), "size -8 of rank 'M' is not positive\nhint: give a positive integer"),
        (np.array([], dtype=int), "a grid without a point\nhint: give at least one size"),
        (np.array([[4, 8], [8, 16]]),
         "sizes that are no one list of points: M (2, 2)\nhint: give arrays of one dimension and one length"),
    ],
)  # fmt: skip
def test_sizes_that_are_none(size: Any, said: str) -> None:
    """Sizes are positive integers, one by one and in grids, which are flat."""
    with pytest.raises(FusemaxError) as caught:
        cost(TWICE, "for m: on array1d: T; Z", {"M": size})
    assert str(caught.value) == said


@pytest.mark.parametrize("sizes", [[4, 8], np.array([4, 8], dtype=np.int8), np.array([4, 8], dtype=object)])
def test_grids_of_any_kind(sizes: Any) -> None:
    """A list is a grid too, and small integers do not overflow."""
    many = cost(
        "input A[M, N]\noutput Z[M, N]\nZ[m, n] = A[m, n] * 2", "for m, n: on array1d: Z", {"M": sizes, "N": 100}
    )
    assert np.asarray(many.cycles).tolist() == pytest.approx([400, 800])


def test_grids_of_two_lengths() -> None:
    """Grids of two ranks have as many points."""
    with pytest.raises(FusemaxError) as caught:
        cost("Z[m, n] = A[m, n] * 2", "for m, n: on array1d: Z", {"M": np.array([4, 8]), "N": np.array([1, 2, 3])})
    assert str(caught.value) == (
        "sizes that are no one list of points: M (2,), N (3,)\nhint: give arrays of one dimension and one length"
    )
