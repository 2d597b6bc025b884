"""The members of a space: nests, layouts, trees that are mappings, and those that machines and sizes allow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from fusemax import FusemaxError, check, load_arch, load_cascade, parse
from fusemax.analysis.passes import all_passes
from fusemax.bind.bind import bind
from fusemax.bind.splits import divisors
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.expr import variable_of
from fusemax.mapper.constraints import Fixed
from fusemax.mapper.space.generated import Generated, GeneratedStructure
from fusemax.mapper.space.nests import nests, placed
from fusemax.mapper.space.protocol import Cutoff, trees_of
from fusemax.validate.shapes import shape_names
from tests.sim.machines import small

pytestmark = pytest.mark.slow

ZOO = sorted(path.stem for path in (Path(__file__).parents[2] / "cascades").glob("*.cascade"))
MACHINES = ("flat-cloud", "fusemax-cloud")
SIZES = dict.fromkeys("B D E F G H I J K LKV M N P S T V".split(), 4) | {"B": 2, "J": 2, "M": 8, "M0": 4, "W": 3}
LACKING = ("attention-sigmoid", "attention-softcap", "cascade-3", "cross-entropy", "encoder-layer", "ffn", "ffn-gated",
           "layernorm", "layernorm-moments", "linear-attention", "linear-attention-causal", "rmsnorm", "rmsnorm-ffn")  # fmt: skip
"""Cascades with operators that no shipped machine has."""
LIGHT = ("GM", "PLM", "SD", "SLD")
"""Einsums that stay on the 1D array where all choices would be too many for a test."""
ATTENTION = {"B": 1, "H": 1, "E": 4, "F": 4, "P": 8}


def shipped(name: str) -> Checked:
    """A shipped cascade."""
    return check(load_cascade(name))


def sizes_of(checked: Checked) -> dict[str, int]:
    """Small sizes of the ranks of a cascade that do not follow from others."""
    follow = {e.left for e in checked.equations if e.default and e.left not in ("M0", "W")}
    return {rank: SIZES[rank] for rank in shape_names(checked) if rank not in follow}


def space_of(name: str, arch: Arch, shapes: dict[str, int], fixed: Fixed | None = None) -> Generated:
    """All that a shipped cascade and a machine allow."""
    return Generated(shipped(name), arch, shapes, fixed or Fixed())


def structures_of(space: Generated) -> Iterator[GeneratedStructure]:
    """The structures of a space, without the parts that are left out."""
    return (each for each in space.structures() if not isinstance(each, Cutoff))


# --------------------------------------------------------------------------------------------------------------- nests


@pytest.mark.parametrize("name", ZOO)
def test_passes_end_bodies(name: str) -> None:
    """No body that loops over a rank both completes something over it and reads again what waited for that."""
    checked = shipped(name)
    every = list(nests(checked))
    assert every
    for of_group in all_passes(checked):
        for boundary in of_group.boundaries:
            for nest in every:
                for body in nest.bodies:
                    looped = of_group.group.ranks & {v.upper() for v in (*nest.blocked, *nest.batch, *body.looped)}
                    assert not (looped and {boundary.completes, boundary.by} <= set(body.names)), (
                        nest.looped,
                        body.names,
                    )


@pytest.mark.parametrize("name", ZOO)
def test_nests_have_everything(name: str) -> None:
    """Each Einsum is in one body, after those whose results it reads; all share the loops that every result has."""
    checked = shipped(name)
    expected = {einsum.name for einsum in placed(checked)}
    for nest in nests(checked):
        names = [each for body in nest.bodies for each in body.names]
        assert len(names) == len(expected) == len(set(names))
        assert set(names) == expected
        for number, body in enumerate(nest.bodies):
            assert [nest.body_of(each) for each in body.names] == [number] * len(body.names)
            for einsum in body.einsums:
                assert {*nest.batch, *nest.blocked} <= set(einsum.kept)
                assert set(body.looped) == set(nest.looped) & set(einsum.variables)
                before = [nest.body_of(use.tensor) for use in einsum.reads]
                assert all(at is None or at <= number for at in before)


def test_steps_stay_together() -> None:
    """The running tensors of the 1-pass cascade are made step by step: no nest does without the loop over m1."""
    checked = shipped("attention-1pass")
    assert all("m1" in nest.looped for nest in nests(checked))
    iterative = {variable_of(t.iterative_rank) for t in checked.tensors.values() if t.iterative_rank is not None}
    assert iterative == {"m1"}


# ------------------------------------------------------------------------------------------------------------- layouts


@pytest.mark.parametrize(("entries", "longest"), [(4, 4), (10, 16)])
def test_registers_bound_chunks(entries: int, longest: int) -> None:
    """With few registers a chunk that waits in the 2D array for its maximum is no larger than the axis; with more it may be."""
    space = space_of("attention-1pass", small(lengths=4, entries=entries), {**ATTENTION, "M": 32})
    found = set()
    for nest, _, sizes, combined in space.listed:
        if nest.looped != ("m1",):
            continue
        names = [each for body in nest.bodies for each in body.names]
        at = [names.index("BQK"), names.index("SLN")]
        for number in range(0, len(combined.least), 97):
            layouts = combined.layouts(number)
            units = [unit for layout in layouts for unit in layout.units]
            if {units[i] for i in at} == {"array2d"}:
                found.add(int(sizes["M0"]))
    assert max(found) == longest


@pytest.mark.parametrize("arch", MACHINES)
@pytest.mark.parametrize("name", ["attention-3pass", "softmax-stable", "matmul"])
def test_layouts(name: str, arch: str) -> None:
    """Einsums are on units with their operators, axes have variables of them, and what leaves varies along a way out."""
    machine = small(arch, lengths=4)
    lacking = {"flat-cloud": {"GM", "SN", "SD", "A"}, "fusemax-cloud": {"A"}}[arch] if name != "matmul" else set()
    lacking -= {"SD"}
    space = space_of(name, machine, sizes_of(shipped(name)))
    number = 0
    for structure in islice(structures_of(space), 400):
        for body, layout in zip(structure.nest.bodies, structure.layouts, strict=True):
            number += 1
            on = dict(zip(body.names, layout.units, strict=True))
            assert not {each for each in lacking if on.get(each) == "array2d"}
            for unit, spread in layout.spreads:
                mine = [einsum for einsum in body.einsums if on[einsum.name] == unit]
                assert all(any(v in einsum.variables for einsum in mine) for _, v in spread)
                assert len(dict(spread).values()) == len(set(dict(spread).values()))
            for einsum in body.einsums:
                spread = layout.spread(on[einsum.name])
                along = {axis for axis, v in spread if v in einsum.kept}
                readers = [e.name for e in placed(space.checked) if any(use.tensor == einsum.name for use in e.reads)]
                leaves = not readers or any(on.get(reader) != on[einsum.name] for reader in readers)
                if on[einsum.name] == "array2d" and along and leaves:
                    assert "columns" in along
    assert number > 0


@pytest.mark.parametrize("arch", MACHINES)
@pytest.mark.parametrize("name", LACKING)
def test_operators_that_no_unit_has(name: str, arch: str) -> None:
    """A cascade that no unit can run is refused at once: every unit with what it lacks."""
    with pytest.raises(FusemaxError) as caught:
        space_of(name, load_arch(arch), sizes_of(shipped(name)))
    assert caught.value.problems[0].message.startswith(f"no unit of '{arch}' can run '")
    assert "'array2d' lacks '" in str(caught.value)
    assert "'array1d' lacks '" in str(caught.value)


# --------------------------------------------------------------------------------------------------------------- trees


@pytest.mark.parametrize("arch", MACHINES)
@pytest.mark.parametrize("name", [name for name in ZOO if name not in LACKING])
def test_trees_are_mappings(name: str, arch: str) -> None:
    """The text of the most promising structures is a mapping of its cascade, whatever its tile sizes."""
    checked, machine = shipped(name), small(arch, lengths=4)
    light = {einsum.name: "array1d" for einsum in checked.einsums if einsum.name in LIGHT}
    space = Generated(checked, machine, sizes_of(checked), Fixed(units=light))
    number = 0
    for structure in islice(structures_of(space), 5):
        for candidates in islice(trees_of(space, structure), 10):
            number += 1
            bind(checked, machine, candidates.mapping, space.shapes, dict(candidates.member(candidates.size - 1)))
    assert number > 0


@pytest.mark.parametrize(("length", "text"), [(8, "split b: b1, b0 = 4"), (7, "split b uneven: b1, b0 = 4")])
def test_splits_are_uneven_where_a_tile_is_short(length: int, text: str) -> None:
    """A variable of all tensors that is spread over an axis has tiles of a fixed length, uneven if it does not divide."""
    products = check(parse("input A[B, K, M], W[B, K]\noutput Z[B, M]\nZ[b, m] = A[b, k, m] * W[b, k]"))
    space = Generated(products, small(lengths=4), {"B": length, "M": 2, "K": 2}, Fixed())
    found = {
        line
        for structure in structures_of(space)
        for candidates in islice(trees_of(space, structure), 1)
        for line in str(candidates.mapping).splitlines()
        if line.startswith("split b")
    }
    assert found == {text}


@pytest.mark.parametrize(("most", "points", "whole"), [(9, 9, True), (8, 4, True), (4, 4, True), (3, 3, False)])
def test_tile_sizes_that_are_too_many(most: int, points: int, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """All balanced tile sizes are costed up to a number of them, else those that divide, and else a part of these."""
    # Of 7 tiles of m blocks of 1, 4 and 7 are balanced, of 5 tiles of n those of 1, 3 and 5; 1 and 7, 1 and 5 divide.
    monkeypatch.setattr("fusemax.mapper.space.generated.MOST_GRID", most)
    space = space_of("matmul", small(lengths=4), {"M": 28, "N": 20, "K": 4})
    for structure in structures_of(space):
        batches = list(space.batches(structure))
        grids = [batch.grid for batch in batches if not isinstance(batch, Cutoff)]
        if {name: int(max(lengths)) for name, lengths in grids[0].items()} == {"m1_extent": 7, "n1_extent": 5}:
            break
    assert len(grids[0]["m1_extent"]) == points
    assert any(isinstance(batch, Cutoff) for batch in batches) is not whole


def test_bounds_of_too_many_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not all bounds can be made sharper, what was looked at is still searched, and the space is a part."""
    monkeypatch.setattr("fusemax.mapper.space.generated.MOST_REFINED", 3)
    space = space_of("attention-3pass", small("flat-cloud", lengths=4), sizes_of(shipped("attention-3pass")))
    found = list(space.structures())
    assert sum(isinstance(each, Cutoff) for each in found) == 1
    assert len(found) == 4


def test_no_loops_around_anything() -> None:
    """A cascade whose results have no rank in common has nothing to block: only chunks of the reduced rank are open."""
    checked = check(parse("input A[M], B[M]\noutput Z\nZ = A[m] * B[m]"))
    space = Generated(checked, small(), {"M": 6}, Fixed())
    trees = [tree for structure in structures_of(space) for tree in trees_of(space, structure)]
    assert trees
    assert {tree.size for tree in trees} == {1, len(divisors(2))}
    assert all(nest.blocked == nest.batch == () for nest in nests(checked))
