"""Filters in the cost model: operations and time steps, against every point of a small iteration space."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from fusemax import check, evaluate, load_arch, load_cascade, load_mapping
from fusemax.ir.arch import Arch

WINDOW = 3


def small() -> Arch:
    """FLAT's machine with arrays of 4 x 4 and 4 elements."""
    arch = load_arch("flat-cloud")
    return replace(arch, units=tuple(replace(u, axes=tuple((axis, 4) for axis, _ in u.axes)) for u in arch.units))


@pytest.mark.parametrize("cascade", ["attention-causal", "attention-window"])
@pytest.mark.parametrize("size", [8, 12])
def test_filtered_einsums_cost_their_points_only(cascade: str, size: int) -> None:
    """A product over filtered tiles takes the tiles with any point; a filtered softmax the points themselves."""
    shapes = {"B": 1, "H": 1, "E": 2, "F": 2, "M": size, "P": size} | ({"W": WINDOW} if "window" in cascade else {})
    mapping = replace(load_mapping("flat"), cascade=cascade)
    found = evaluate(check(load_cascade(cascade)), small(), mapping, shapes)
    inside = [
        (m, p) for m, p in product(range(size), repeat=2) if m <= p and ("window" not in cascade or p - WINDOW < m)
    ]
    cost = {einsum.einsum: einsum for einsum in found.einsums}
    tiles = {(m // 4, p // 4) for m, p in inside}
    fibers = {(m // 4, p) for m, p in inside}
    assert cost["QK"].slot_cycles == len(tiles) * shapes["E"]
    assert cost["GM"].slot_cycles == cost["A"].slot_cycles == len(fibers)
    assert cost["QK"].operations["mac"] == len(inside) * shapes["E"]
    assert cost["GM"].operations["max"] == len(inside)


def test_filtered_einsums_over_a_grid() -> None:
    """A grid of sizes costs what each of its points costs."""
    checked = check(load_cascade("attention-causal"))
    mapping = replace(load_mapping("flat"), cascade="attention-causal")
    at = {"B": 1, "H": 1, "E": 2, "F": 2}
    grid = evaluate(checked, small(), mapping, {rank: np.full(2, size) for rank, size in at.items()} | {
        "M": np.array([8, 16]), "P": np.array([8, 16])
    })  # fmt: skip
    single = [evaluate(checked, small(), mapping, at | {"M": size, "P": size}) for size in (8, 16)]
    assert np.asarray(grid.cycles).tolist() == [found.cycles for found in single]
    assert np.asarray(grid.energy_j).tolist() == pytest.approx([found.energy_j for found in single], rel=1e-15)
