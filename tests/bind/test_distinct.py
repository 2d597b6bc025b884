"""The counting rule against enumeration with Python's sets, against values known by hand, and against itself.

The oracle walks all points of a space, one by one: an iteration of the loops has the set of the words that its points
name. It shares nothing with the rule but the definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from fusemax.bind.distinct import (
    Forms,
    IterationSpace,
    Occurrence,
    capacity,
    fills,
    inside,
    joined,
    steps,
    touched,
    visits,
    words,
)
from fusemax.bind.distinct.formulas import between, sums
from fusemax.bind.distinct.linear import Number
from fusemax.errors import FusemaxError
from fusemax.ir.affine import Affine, Term, constant, total
from fusemax.ir.checked import Constraint, Relation

# ---------------------------------------------------------------------------------------------------------- the oracle

Tiles = list[set[tuple[int, ...]]]


def holds(constraint: Constraint, space: IterationSpace, point: Mapping[str, int]) -> bool:
    """Whether a point is within a filter."""
    value = constraint.form.evaluate(plain(space.sizes), point)
    match constraint.relation:
        case Relation.NOT_NEGATIVE:
            return bool(value >= 0)
        case Relation.ZERO:
            return bool(value == 0)
        case Relation.NOT_ZERO:
            return bool(value != 0)


def plain(numbers: Mapping[str, object]) -> dict[str, int]:
    """Numbers of one shape point."""
    return {name: int(np.asarray(number).item()) for name, number in numbers.items()}


def points(space: IterationSpace) -> Iterator[dict[str, int]]:
    """All points of a space, one by one."""
    extents = plain(space.extents)
    for coordinates in product(*map(range, extents.values())):
        point = dict(zip(extents, coordinates, strict=True))
        if all(holds(constraint, space, point) for constraint in space.filters):
            yield point


def tiles(operands: Sequence[Occurrence], loops: Sequence[str]) -> Tiles:
    """The words of each iteration in which some point exists, in the order of time."""
    found: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    for operand in operands:
        sizes = plain(operand.space.sizes)
        for point in points(operand.space):
            word = tuple(form.evaluate(sizes, point) for form in operand.place)
            found.setdefault(tuple(point[loop] for loop in loops), set()).add(word)
    return [found[time] for time in sorted(found)]


def needed(operands: Sequence[Occurrence], loops: Sequence[str]) -> Sequence[str]:
    """The loops down to the innermost that some place depends on."""
    depends = {variable for operand in operands for form in operand.place for variable in form.variables}
    extents = plain(operands[0].space.extents)
    last = max((i for i, loop in enumerate(loops) if loop in depends and extents[loop] > 1), default=-1)
    return loops[: last + 1]


def sliding(sequence: Tiles) -> int:
    """The words of each tile that the one before it has not."""
    return sum(len(tile - before) for before, tile in zip([set(), *sequence], sequence, strict=False))


def expected(operands: Sequence[Occurrence], loops: Sequence[str]) -> dict[str, int]:
    """All counts, by enumeration."""
    mine = tiles(operands, needed(operands, loops))
    return {
        "touched": sum(map(len, tiles(operands, ()))),
        "capacity": max(map(len, mine), default=0),
        "visits": sum(map(len, tiles(operands[:1], needed(operands[:1], loops)))),
        "fills": sliding(mine),
        "refilled": sum(map(len, tiles(operands, loops))),
        "steps": len(tiles(operands[:1], loops)),
    }


def counted(operands: Sequence[Occurrence], loops: Sequence[str]) -> dict[str, object]:
    """All counts, by the rule."""
    return {
        "touched": touched(operands),
        "capacity": capacity(operands, loops),
        "visits": visits(operands[0], loops),
        "fills": fills(operands, loops),
        "refilled": fills(operands, loops, refilled=True),
        "steps": steps(operands[0].space, loops),
    }


# --------------------------------------------------------------------------------------------------------- the spaces


def variable(name: str, factor: int = 1) -> Affine:
    """A variable times an integer."""
    return Affine((Term(factor, (), name),))


def plus(*forms: Affine | int) -> Affine:
    """The sum of forms and integers."""
    return total(*((form if isinstance(form, Affine) else constant(form), 1) for form in forms))


def times(form: Affine, factor: int) -> Affine:
    """A form times an integer."""
    return total((form, factor))


def at_most(low: Affine, high: Affine) -> Constraint:
    """The filter low <= high."""
    return Constraint(total((high, 1), (low, -1)), Relation.NOT_NEGATIVE)


Case = tuple[tuple[Occurrence, ...], tuple[str, ...]]
MOST_POINTS = 3000


@st.composite
def any_cases(draw: DrawFn) -> Case:
    """Any forms in up to four ranks, any filters, any loops."""
    names = "abcde"[: draw(st.integers(1, 5))]
    extents = {name: draw(st.integers(1, 6 if len(names) < 5 else 4)) for name in names}

    def form() -> Affine:
        chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
        factors = st.sampled_from((-3, -2, -1, 1, 1, 1, 2, 3, 4))
        return plus(*(variable(name, draw(factors)) for name in chosen), draw(st.integers(-4, 4)))

    relations = st.sampled_from((Relation.NOT_NEGATIVE,) * 4 + (Relation.ZERO, Relation.NOT_ZERO))
    filters = tuple(Constraint(form(), draw(relations)) for _ in range(draw(st.integers(0, 2))))
    place = tuple(form() for _ in range(draw(st.integers(0, 3))))
    loops = draw(st.lists(st.sampled_from(names), unique=True))
    return (Occurrence(place, IterationSpace(extents, filters)),), tuple(loops)


@dataclass(frozen=True)
class Structure:
    """A case without its numbers: m and p, whole or split, evenly or not, with a mask or a window between them."""

    parts: Mapping[str, tuple[str, ...]]
    uneven: frozenset[str]
    width: int | None
    causal: bool
    place: Forms
    looks_back: bool
    loops: tuple[str, ...]

    def case(self, extents: Mapping[str, Number], sizes: Mapping[str, Number]) -> Case:
        """The case with numbers."""
        m, p = (joined(self.parts[name]) for name in ("m", "p"))
        filters = [inside(self.parts[name], name.upper()) for name in sorted(self.uneven)]
        filters += [at_most(m, p)] if self.causal else []
        filters += [at_most(p, plus(m, self.width))] if self.width is not None else []
        space = IterationSpace(extents, tuple(filters), sizes)
        back = [(plus(self.place[0], -1), *self.place[1:])] if self.looks_back else []
        return tuple(Occurrence(place, space) for place in (self.place, *back)), self.loops


@st.composite
def structures(draw: DrawFn) -> Structure:
    """Places with halos, strides, diagonals, reversed and joint; any loops in any order."""
    parts = {v: draw(st.sampled_from(((v,), (f"{v}1", f"{v}0"), (f"{v}2", f"{v}1", f"{v}0")))) for v in "mp"}
    m, p, e, r, h = joined(parts["m"]), joined(parts["p"]), variable("e"), variable("r"), variable("h")
    a, b = draw(st.sampled_from(((1, 1), (1, 1), (2, 1), (1, 2), (3, 2))))
    places: tuple[Forms, ...] = (
        (e, m), (e, p), (m, p), (m, h), (p, p), (plus(times(p, a), times(r, b)), e), (plus(p, r), plus(h, e)),
        (plus(times(p, -1), 40),), (plus(times(m, 2), 1), h), (m, plus(m, r)), (plus(m, p),),
    )  # fmt: skip
    mask = draw(st.sampled_from(("all", "all", "causal", "window")))
    names = sorted(("e", "r", "h", *parts["m"], *parts["p"]))
    return Structure(
        parts,
        frozenset(v for v in "mp" if len(parts[v]) > 1 and draw(st.booleans())),
        draw(st.integers(0, 5)) if mask == "window" else None,
        mask != "all",
        draw(st.sampled_from(places)),
        draw(st.integers(0, 5)) == 0,
        tuple(draw(st.permutations(names))[: draw(st.integers(0, len(names)))]),
    )


def numbers(draw: DrawFn, structure: Structure) -> tuple[dict[str, int], dict[str, int]]:
    """Extents and sizes for a structure."""
    extents = {"e": draw(st.integers(1, 2)), "r": draw(st.integers(1, 4)), "h": draw(st.integers(1, 3))}
    sizes: dict[str, int] = {}
    for name, parts in structure.parts.items():
        extents.update((part, draw(st.integers(1, 4))) for part in parts)
        sizes.update((part.upper(), extents[part]) for part in parts)
        full = prod(extents[part] for part in parts)
        if name in structure.uneven:
            sizes[name.upper()] = draw(st.integers(full - full // extents[parts[0]] + 1, full))
    return extents, sizes


@st.composite
def split_cases(draw: DrawFn) -> Case:
    """A structure with numbers."""
    structure = draw(structures())
    return structure.case(*numbers(draw, structure))


@st.composite
def grids(draw: DrawFn) -> tuple[Case, list[Case]]:
    """A structure with arrays, of 64 bits or of Python's integers, and with the numbers of each of their elements."""
    structure = draw(structures())
    each = [numbers(draw, structure) for _ in range(3)]
    kind = draw(st.sampled_from((np.int64, object)))
    stacked = ({name: np.array([one[i][name] for one in each], kind) for name in each[0][i]} for i in (0, 1))
    return structure.case(*stacked), [structure.case(*one) for one in each]


def small(case: Case) -> bool:
    """Whether a case can be enumerated."""
    return prod(plain(case[0][0].space.extents).values()) <= MOST_POINTS


# ---------------------------------------------------------------------------------------------------------- properties


@given(any_cases().filter(small))
def test_any_forms_filters_and_loops_are_counted_as_enumerated(case: Case) -> None:
    """For all affine forms, filters and orders of loops, each count is that of the enumeration."""
    assert counted(*case) == expected(*case)


@given(split_cases().filter(small))
def test_splits_masks_and_halos_are_counted_as_enumerated(case: Case) -> None:
    """Splits with short last tiles, masks, windows, halos, strides and several places are counted as enumerated."""
    assert counted(*case) == expected(*case)


@given(grids())
@settings(max_examples=30)
def test_a_grid_is_its_points_one_by_one(grid: tuple[Case, list[Case]]) -> None:
    """Arrays of extents and sizes give at each shape point the count of that point."""
    together, each = grid
    apart = [counted(*case) for case in each]
    for what, found in counted(*together).items():
        assert np.broadcast_to(np.asarray(found), len(each)).tolist() == [one[what] for one in apart], what


@given(any_cases().filter(small), st.integers(0, 5))
@settings(max_examples=40)
def test_a_variable_of_one_value_changes_nothing(case: Case, where: int) -> None:
    """A loop of one iteration, anywhere in the nest, changes no count."""
    operands, loops = case
    more = [replace(o, space=replace(o.space, extents={**o.space.extents, "one": 1})) for o in operands]
    assert counted(more, (*loops[:where], "one", *loops[where:])) == counted(operands, loops)


@given(split_cases().filter(small))
@settings(max_examples=40)
def test_names_mean_nothing(case: Case) -> None:
    """Other names, in another order, change no count."""
    operands, loops = case
    names = {name: f"x{i}" for i, name in enumerate(sorted(operands[0].space.extents, reverse=True))}

    def renamed(form: Affine) -> Affine:
        return Affine(tuple(replace(t, variable=names.get(t.variable or "")) for t in form.terms))

    def other(operand: Occurrence) -> Occurrence:
        space = operand.space
        filters = tuple(replace(c, form=renamed(c.form)) for c in reversed(space.filters))
        extents = {names[v]: space.extents[v] for v in reversed(list(space.extents))}
        return Occurrence(tuple(map(renamed, reversed(operand.place))), IterationSpace(extents, filters, space.sizes))

    assert counted([other(o) for o in operands], [names[v] for v in loops]) == counted(operands, loops)


@given(any_cases().filter(small))
@settings(max_examples=40)
def test_what_is_no_order_of_time_does_not_depend_on_it(case: Case) -> None:
    """The loops of a refilled memory may run in any order, and a sliding one takes no less than all words once."""
    operands, loops = case
    again = fills(operands, loops[::-1], refilled=True)
    assert fills(operands, loops, refilled=True) == again
    assert touched(operands) <= fills(operands, loops) <= again


TERMS = st.lists(st.tuples(st.integers(-12, 12).filter(bool), st.integers(1, 7)), min_size=1, max_size=4)


@given(TERMS)
def test_sums_of_strided_variables_are_counted_as_enumerated(terms: list[tuple[int, int]]) -> None:
    """The closed form of `a*x + b*y + ..` is the number of its values, wherever there is one: always for two terms."""
    factors, extents = zip(*terms, strict=True)
    found = sums(factors, extents)
    values = {sum(a * x for a, x in zip(factors, point, strict=True)) for point in product(*map(range, extents))}
    assert found == len(values) or (found is None and len(terms) > 2)


def test_sums_that_meet_have_no_closed_form() -> None:
    """5*x reaches what 3*y + 2*z reaches together, so that 5 comes twice; 6*x does not."""
    assert (sums((5, 3, 2), (2, 2, 2)), sums((6, 3, 2), (2, 2, 2))) == (None, 8)


def test_terms_without_other_values_add_none() -> None:
    """4*x + 2*y has six values; a third variable with the factor 0, or with one value, changes nothing."""
    assert (sums((0, 4, 2), (5, 3, 2)), sums((7, 4, 2), (1, 3, 2)), sums((4, 0, 2), (3, 5, 2))) == (6, 6, 6)


@given(st.tuples(*[st.integers(-9, 9).filter(bool)] * 2), st.tuples(*[st.integers(1, 9)] * 2), st.integers(-99, 99),
       st.integers(-30, 60))  # fmt: skip
def test_points_between_parallel_lines_are_counted_as_enumerated(
    factors: tuple[int, int], extents: tuple[int, int], low: int, width: int
) -> None:
    """The closed form of low <= a*x + b*y <= high is the number of its points, also where there are none."""
    (a, b), high = factors, low + width
    points = [1 for x, y in product(*map(range, extents)) if low <= a * x + b * y <= high]
    assert between(factors, extents, low, high) == len(points)


# ------------------------------------------------------------------------------------------------- values known by hand

P, Q, R, S, M, N = map(variable, "pqrsmn")


def read(place: Forms, filters: Sequence[Constraint] = (), **extents: int) -> Occurrence:
    """An operand whose shapes are its extents."""
    sizes = {name.upper(): extent for name, extent in extents.items()}
    return Occurrence(
        place, IterationSpace({n: e for n, e in extents.items() if n == n.lower()}, tuple(filters), sizes)
    )


def test_a_halo_is_counted_once() -> None:
    """`p + r` runs over P + R - 1 coordinates: 4 for P=3, R=2; 18 for P=16, R=3, filled once though p runs outside."""
    assert touched([read((plus(P, R),), p=3, r=2)]) == 4
    whole = read((plus(P, R),), p=16, r=3, k1=8, k0=4)
    assert (fills([whole], ("p",)), capacity([whole], ()), capacity([whole], ("p",))) == (18, 18, 3)


def test_a_halo_of_two_dimensions_is_counted_once() -> None:
    """`I[c, p + r, q + s]` of 4 x 8 x 8 has 256 words; with stride 2, 4 x 9 x 9 are 324."""
    conv = read((variable("c"), plus(P, R), plus(Q, S)), c=4, p=6, q=6, r=3, s=3, k=4)
    assert (touched([conv]), fills([conv], ()), capacity([conv], ())) == (256, 256, 256)
    pool = read((variable("c"), plus(times(P, 2), R), plus(times(Q, 2), S)), c=4, p=4, q=4, r=3, s=3)
    assert touched([pool]) == 324


def test_strides_that_leave_gaps_are_not_filled_in() -> None:
    """A stride of 2 without a halo reads 4 x 4 x 4 = 64 of 256 words, and the last row of X[M - 1, d] is 4 words."""
    assert touched([read((variable("c"), times(P, 2), times(Q, 2)), c=4, p=4, q=4, k=4)]) == 64
    last = Affine((Term(1, ("M",)), Term(-1)))
    assert touched([read((last, variable("d")), M=1000, d=4, n=4)]) == 4


def test_keys_that_no_query_sees_are_not_read() -> None:
    """With m <= p, two queries see keys 0 and 1 of seven: 4 words of `K[e, m]` for E=2."""
    assert touched([read((variable("e"), M), [at_most(M, P)], e=2, p=2, m=7)]) == 4


def test_a_window_at_the_edges_of_an_array() -> None:
    """n - 128 < m <= n, M=N=4096, K=128, tiles of 128 x 64: 126 tiles have points; `A` is filled once, `Z` has 516,160
    points, and `B` loses the last column of 31 of its tiles."""
    m, n, k = joined(("m1", "m0")), joined(("n1", "n0")), variable("k")
    window = (at_most(m, n), at_most(n, plus(m, 127)))
    sizes = {"M0": 128, "N0": 64}
    space = IterationSpace({"m1": 32, "m0": 128, "n1": 64, "n0": 64, "k": 128}, window, sizes)
    loops = ("m1", "n1", "k")
    assert steps(space, loops) == 126 * 128
    assert touched([Occurrence((m, n), space)]) == 516_160
    assert fills([Occurrence((k, m), space)], ("m1",)) == 524_288
    assert visits(Occurrence((k, n), space), loops) == 126 * 64 * 128 - 31 * 128


def test_masked_tiles_are_half_of_all() -> None:
    """With m <= p in square tiles, (M1 + 1)/(2*M1) of the tiles run; of a window of 1K in 16K in tiles of 256, 310 of
    4,096."""
    m, p = joined(("m1", "m0")), joined(("p1", "p0"))
    split = {"M0": 256, "P0": 256}
    for m1 in (4, 16, 4096):
        space = IterationSpace({"m1": m1, "m0": 256, "p1": m1, "p0": 256}, (at_most(m, p),), split)
        assert steps(space, ("p1", "m1")) == m1 * (m1 + 1) // 2
    window = (at_most(m, p), at_most(p, plus(m, 1023)))
    assert steps(IterationSpace({"m1": 64, "m0": 256, "p1": 64, "p0": 256}, window, split), ("p1", "m1")) == 310


def test_each_place_of_a_tensor_is_fetched_for_itself() -> None:
    """`Z[m, n] = X[m] * X[n]`, M = N = 16 in tiles of 4 x 4: 16 words at the place of m, 64 at that of n, 80 in all."""
    m, n = joined(("m1", "m0")), joined(("n1", "n0"))
    space = IterationSpace(dict.fromkeys(("m1", "m0", "n1", "n0"), 4), (), {"M0": 4, "N0": 4})
    assert [visits(Occurrence((place,), space), ("m1", "n1")) for place in (m, n)] == [16, 64]


def test_even_and_odd_words_are_all_words() -> None:
    """X[2*q] and X[2*q + 1], Q = 4, are 8 words together, and halves that exclude each other share none."""
    even, odd = (read((plus(times(Q, 2), i),), q=4) for i in (0, 1))
    assert touched([even, odd]) == 8
    low, high = read((M,), [at_most(M, constant(2))], m=8), read((M,), [at_most(constant(3), M)], m=8)
    assert (touched([low]), touched([high]), touched([low, high])) == (3, 5, 8)


def test_a_history_is_one_word_a_step() -> None:
    """`R[i + 1, p]`, written for I = P = 4, has 16 words; with `R[i, p]`, which is read, 20: the initial ones too."""
    new, old = (read((plus(variable("i"), i), P), i=4, p=4) for i in (1, 0))
    assert (touched([new]), touched([new, old])) == (16, 20)
    assert (fills([new], ("i",)), capacity([new, old], ("i",))) == (16, 8)


def test_a_last_chunk_may_be_short() -> None:
    """Chunks of 2, 2 and 1 keys of 5, P=3, E=4: 60 products, and each chunk's keys are its own."""
    m = joined(("m1", "m0"))
    space = IterationSpace({"m1": 3, "m0": 2, "e": 4, "p": 3}, (inside(("m1", "m0"), "M"),), {"M0": 2, "M": 5})
    keys = Occurrence((variable("e"), m), space)
    assert [words(keys, {"m1": i}) for i in range(3)] == [8, 8, 4]
    assert steps(space, ("e", "m1", "m0", "p")) == 60
    assert (fills([keys], ("p", "m1")), fills([keys], ("m1", "p")), capacity([keys], ("m1",))) == (60, 20, 8)


def test_a_last_tile_of_one_iteration_is_a_tile() -> None:
    """M=N=5 in tiles of 4, K=3: 12 steps, 30 words of `A` and of `B` to the array, 15 filled of each."""
    m, n, k = joined(("m1", "m0")), joined(("n1", "n0")), variable("k")
    bounds = (inside(("m1", "m0"), "M"), inside(("n1", "n0"), "N"))
    space = IterationSpace({"m1": 2, "m0": 4, "n1": 2, "n0": 4, "k": 3}, bounds, {"M0": 4, "N0": 4, "M": 5, "N": 5})
    loops = ("n1", "m1", "k")
    assert steps(space, loops) == 12
    for place in ((m, k), (k, n)):
        assert (visits(Occurrence(place, space), loops), fills([Occurrence(place, space)], ())) == (30, 15)
    assert steps(space, ("n1", "m1", "k", "m0", "n0")) == 75


def test_a_row_inside_of_an_element_is_kept_whole() -> None:
    """`T over n, k` keeps the 64 values of a row in an element, and one value where n runs outside."""
    row = read((M, N), m=4, n=64, k=4)
    assert (capacity([row], ("m",)), capacity([row], ("m", "n"))) == (64, 1)


def test_what_looks_back_keeps_what_it_looks_back_to() -> None:
    """`T[t]` and `T[t - 1]` keep two words at each t, and each step fills one of them."""
    now, back = (read((plus(variable("t"), i),), t=2**20) for i in (1, 0))
    assert (capacity([now, back], ("t",)), fills([now, back], ("t",)), touched([now, back])) == (
        2,
        2**20 + 1,
        2**20 + 1,
    )


def test_short_tiles_end_earlier_wherever_their_loops_stand() -> None:
    """With a short last tile, the last iteration of an inner loop depends on the outer one: `m1` below `m0` of 4 points
    is 0, 1, 0, 0 and fills 3 words; `m + r` of 3 points, each chunk twice, is m = 0, 1, 0, 1, 2, 2 and fills 6."""
    short = IterationSpace({"m1": 2, "m0": 3}, (inside(("m1", "m0"), "M"),), {"M0": 3, "M": 4})
    assert fills([Occurrence((variable("m1"),), short)], ("m0", "m1")) == 3
    halo = IterationSpace({"m1": 2, "h": 2, "m0": 2, "r": 2}, (inside(("m1", "m0"), "M"),), {"M0": 2, "M": 3})
    assert fills([Occurrence((plus(joined(("m1", "m0")), R),), halo)], ("m1", "h", "m0")) == 6


def test_a_halo_below_a_mask_is_shared_by_neighbors_in_time_only() -> None:
    """`m + r` with m <= p, R=2, below p and m: m = 0, 0, 1, 0, 1, 2 fills 2, 0, 1, 1, 1 and 1 words."""
    halo = read((plus(M, R),), [at_most(M, P)], p=3, m=3, r=2)
    assert fills([halo], ("p", "m")) == 2 + 0 + 1 + 1 + 1 + 1
    assert counted([halo], ("p", "m")) == expected([halo], ("p", "m"))


def test_a_filter_without_variables_may_leave_nothing() -> None:
    """Where no point exists, nothing is counted."""
    nothing = read((plus(M, R), P), [at_most(constant(1), constant(0))], m=4, p=3, r=2)
    assert set(counted([nothing], ("p", "m")).values()) == {0}


def test_places_that_are_not_equally_spaced_are_listed() -> None:
    """X[t] and X[2*t] share words that no progression has; places listed in any order are one progression."""
    t = variable("t")
    single, double = read((t,), t=3), read((times(t, 2),), t=3)
    assert counted([single, double], ("t",)) == expected([single, double], ("t",))
    window = [read((plus(t, i),), t=2**30) for i in (2, 0, 1)]
    assert (capacity(window, ("t",)), fills(window, ("t",))) == (3, 2**30 + 2)


def test_places_that_coincide_at_some_shape_points_only() -> None:
    """X[m] and X[m + K - 1] are one place for K = 1, and reach 7 words for K = 4."""
    space = IterationSpace({"m": 4}, (), {"K": np.array([1, 4])})
    later = plus(M, Affine((Term(1, ("K",)),)), -1)
    assert np.asarray(touched([Occurrence((M,), space), Occurrence((later,), space)])).tolist() == [4, 7]


def test_readers_of_one_place_share_its_words() -> None:
    """Two Einsums that read a place over other variables of their own have one set of words, however large."""
    alone, other = read((M, P), m=2**20, p=2**20), read((M, P), m=2**20, p=2**20, f=64)
    assert fills([alone, other], ("p",)) == 2**40


def test_a_tile_without_points_is_no_tile() -> None:
    """Where the mask leaves only the first chunk of keys to the first two blocks of queries, it stays between them."""
    m, p = joined(("m1", "m0")), joined(("p1", "p0"))
    space = IterationSpace({"p1": 2, "p0": 2, "m1": 2, "m0": 4}, (at_most(m, p),), {"M0": 4, "P0": 2})
    assert fills([Occurrence((m,), space)], ("p1", "m1")) == 4


def test_large_sizes_cost_no_more() -> None:
    """A million keys and queries, causal: half of all pairs, as the triangle's formula says."""
    m, p = joined(("m1", "m0")), joined(("p2", "p1", "p0"))
    length = 2**20
    space = IterationSpace(
        {"p2": 128, "p1": 32, "p0": 256, "m1": 4096, "m0": 256}, (at_most(m, p),), {"P1": 32, "P0": 256, "M0": 256}
    )
    assert touched([Occurrence((m, p), space)]) == length * (length + 1) // 2
    assert steps(space, ("p2", "p1", "m1")) == 4096 * 4097 // 2
    assert visits(Occurrence((m,), space), ("p2", "m1", "p1")) == sum(range(8192, length + 1, 8192))


def test_numbers_beyond_64_bits_are_exact() -> None:
    """Counts of 2^80 are exact, for integers and for arrays of either kind."""
    place = (M, P)
    for kind in (int, lambda size: np.array([size], object), lambda size: np.array([size])):
        space = IterationSpace({"m": kind(2**40), "p": kind(2**40)}, (at_most(M, P),))
        found = touched([Occurrence(place, space)])
        assert np.ravel(np.asarray(found, object)).tolist() == [2**39 * (2**40 + 1)]


# -------------------------------------------------------------------------------------------------------------- limits


def test_what_no_closed_form_counts_is_listed_or_refused() -> None:
    """Three strides that leave gaps are listed while they are few, else refused with the place."""
    place = (plus(times(P, 15), times(Q, 10), times(R, 6)),)
    assert touched([read(place, p=9, q=9, r=9)]) == len(
        {15 * p + 10 * q + 6 * r for p, q, r in product(range(9), repeat=3)}
    )
    with pytest.raises(FusemaxError) as refused:
        touched([read(place, p=1024, q=1024, r=1024)])
    assert str(refused.value) == (
        "no closed form counts the words at `15*p + 10*q + 6*r`, and 1,073,741,824 points are too many to list\n"
        "hint: give smaller shapes"
    )


def test_a_variable_that_differs_from_others_needs_values_enough() -> None:
    """With m != p and n != p, two values of p leave m = n only; three leave all pairs, and so do 2^20, not listed."""
    different = [Constraint(total((form, 1), (P, -1)), Relation.NOT_ZERO) for form in (M, N)]
    assert [touched([read((M, N), different, m=2, n=2, p=size)]) for size in (1, 2, 3, 2**20)] == [1, 2, 4, 4]


def test_gaps_between_multiples_are_not_taken_for_integers() -> None:
    """Between m/2 and n/3 lies a fraction for m = 1, n = 2, and no integer: only the second is a point."""
    between_them = [at_most(M, times(P, 2)), at_most(times(P, 3), N)]
    case = ((read((M, N), between_them, m=9, n=9, p=9),), ("m",))
    assert counted(*case) == expected(*case)
    assert touched([read((M, N), between_them, m=2, n=3, p=9)]) == 3  # n = 0, 1, 2 with m = 0


def test_extents_are_integers() -> None:
    """A fraction that is whole is one; the mean extent of a short tile is no extent."""
    assert touched([Occurrence((P,), IterationSpace({"p": Fraction(4, 2)}))]) == 2
    with pytest.raises(AssertionError, match="mean"):
        touched([Occurrence((P,), IterationSpace({"p": Fraction(5, 2)}))])
