"""Uneven splits: the model against the literal walk, which leaves out what lies behind the end of a rank."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from fusemax import FusemaxError, check, evaluate, load_cascade
from fusemax.bind.bind import bind
from fusemax.bind.splits import balanced
from fusemax.sim.simulate import run
from fusemax.syntax.mapping.parser import parse_mapping
from tests.model.test_literal import assert_equal, small

pytestmark = pytest.mark.slow

MATMUL = check(load_cascade("matmul"))
ORDERS = ("m2, n2, m1, n1", "n2, m2, n1, m1", "m2, n2, n1, m1", "m2, m1, n2, n1")
AXES = ("rows: m0, columns: n0", "rows: n0, columns: m0")


def text(order: str, axes: str, holds: tuple[int, int], m: tuple[int, int], n: tuple[int, int], over: str = "k") -> str:
    """A mapping of a product with both results' ranks split unevenly, and operands held at depths of the loops."""
    lines = ["mapping u", "cascade matmul", "arch fusemax-cloud"]
    lines += [f"split m uneven: m2, m1 = {m[0]}, m0 = {m[1]}", f"split n uneven: n2, n1 = {n[0]}, n0 = {n[1]}"]
    for depth, loop in enumerate(order.split(", ")):
        indent = "  " * depth
        lines += [f"{indent}hold {tensor} in buffer" for tensor, at in zip("AB", holds, strict=True) if at == depth]
        lines.append(f"{indent}{'pipeline' if depth == 0 else 'for'} {loop}:")
    indent = "  " * (depth + 1)
    lines += [f"{indent}hold {tensor} in buffer" for tensor, at in zip("AB", holds, strict=True) if at == depth + 1]
    return "\n".join([*lines, f"{indent}on array2d ({axes}): Z over {over}", ""])


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(
    st.sampled_from(ORDERS), st.sampled_from(AXES), st.tuples(st.integers(0, 5), st.integers(0, 5)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)), st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(1, 13), st.integers(1, 13), st.integers(1, 2),
)  # fmt: skip
def test_counts(
    order: str,
    axes: str,
    holds: tuple[int, int],
    m: tuple[int, int],
    n: tuple[int, int],
    rows: int,
    columns: int,
    k: int,
) -> None:
    """Every count, and energies under both accountings, are those of the walk."""
    mapping = parse_mapping(text(order, axes, holds, m, n))
    try:
        bound = bind(MATMUL, small("fusemax-cloud", lengths=3), mapping, {"M": rows, "N": columns, "K": k}, {})
    except FusemaxError as error:
        assume("single iteration" not in str(error))
        raise
    assert_equal(bound)


def test_a_grid_is_its_points() -> None:
    """Costs over a grid are those of each point."""
    mapping = parse_mapping(text(ORDERS[0], AXES[0], (1, 3), (2, 3), (2, 2)))
    arch = small("fusemax-cloud", lengths=3)
    sizes = [size for size in range(1, 40) if _fine(size)]
    grid = evaluate(MATMUL, arch, mapping, {"M": np.array(sizes), "N": 8, "K": 2})
    each = [evaluate(MATMUL, arch, mapping, {"M": size, "N": 8, "K": 2}) for size in sizes]
    assert grid.cycles == pytest.approx([float(one.cycles) for one in each])
    assert grid.energy_j == pytest.approx([float(one.energy_j) for one in each])
    assert grid.dram_bytes == pytest.approx([float(one.dram_bytes) for one in each])


def _fine(size: int) -> bool:
    tiles = -(-size // 3)
    return not (size > 3 and size % 3 == 1) and not (tiles > 2 and tiles % 2 == 1)


def test_even_tiles_are_as_before() -> None:
    """Where everything divides, an uneven split costs what an even one costs."""
    uneven = text(ORDERS[0], AXES[0], (1, 3), (2, 3), (2, 2))
    shapes = {"M": 12, "N": 8, "K": 2}
    arch = small("fusemax-cloud", lengths=3)
    costs = [evaluate(MATMUL, arch, parse_mapping(t), shapes) for t in (uneven, uneven.replace(" uneven", ""))]
    assert (costs[0].cycles, costs[0].energy_j, costs[0].words) == (costs[1].cycles, costs[1].energy_j, costs[1].words)


@pytest.mark.parametrize("number", [1, 2, 7, 12, 97, 1000])
def test_balanced_lengths(number: int) -> None:
    """For any number of tiles there is a balanced length that needs no more of them, unless a last tile would be one long."""
    lengths = balanced(number)
    assert {1, number} <= set(lengths)
    for length in range(1, number + 1):
        tiles = -(-number // length)
        if number % -(-number // tiles) != 1:
            assert any(-(-number // other) == tiles and other <= length for other in lengths)


def test_what_fits_is_the_longest_tile() -> None:
    """A buffer has room for a long tile, not for the mean one."""
    mapping = parse_mapping(text(ORDERS[0], AXES[0], (1, 5), (2, 3), (1, 3)))
    shapes = {"M": 11, "N": 3, "K": 4}  # A in blocks of 6 and 5 rows: at most 24 words of 2 bytes
    evaluate(MATMUL, small("fusemax-cloud", lengths=3, buffer=48), mapping, shapes)
    with pytest.raises(FusemaxError, match="less than the tiles held at once"):
        evaluate(MATMUL, small("fusemax-cloud", lengths=3, buffer=46), mapping, shapes)


@pytest.mark.parametrize(
    ("line", "shapes", "message"),
    [
        ("split m uneven: m2, m1, m0 = 3", {"M": 9}, "an uneven split has a length for every part but the first"),
        (
            "split m uneven: m2, m1 = fit buffer, m0 = 3",
            {"M": 9},
            "an uneven split has a length for every part but the first",
        ),
        ("split m uneven: m2, m1 = 2, m0 = 3", {"M": 7}, "the last tile of 'm0' has a single iteration"),
    ],
)
def test_refusals(line: str, shapes: dict[str, int], message: str) -> None:
    """An uneven split that is not allowed is refused at its place."""
    good = text(ORDERS[0], AXES[0], (1, 3), (2, 3), (2, 2))
    mapping = parse_mapping(good.replace("split m uneven: m2, m1 = 2, m0 = 3", line))
    with pytest.raises(FusemaxError) as caught:
        evaluate(MATMUL, small("fusemax-cloud", lengths=3), mapping, {"N": 8, "K": 2, **shapes})
    assert message in str(caught.value)


def test_the_simulator_refuses() -> None:
    """The simulator says that it runs even tiles only."""
    bound = bind(MATMUL, small("fusemax-cloud", lengths=3), parse_mapping(text(ORDERS[0], AXES[0], (1, 3), (2, 3), (2, 2))),
                 {"M": 11, "N": 8, "K": 2}, {})  # fmt: skip
    with pytest.raises(FusemaxError, match=r"the last tile of .* is shorter than .*, which the simulator does not run"):
        run(bound)
