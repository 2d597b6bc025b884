"""The number of points within filters, against enumeration of all points."""

from __future__ import annotations

from itertools import product

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from fusemax.analysis import counting
from fusemax.analysis.counting import ONCE, Points, missing_sizes, points, symbol
from fusemax.errors import FusemaxError
from fusemax.ir.affine import Affine, Term
from fusemax.ir.checked import Constraint, Rank, Relation

pytestmark = pytest.mark.slow

VARIABLES = ("i", "j", "k")
SHAPES = ("I", "J", "K", "W")


def enumerated(space: Points, sizes: dict[str, int]) -> int:
    """The points, one by one."""
    total = 0
    for values in product(*(range(sizes[v.upper()]) for v in space.variables)):
        point = dict(zip(space.variables, values, strict=True))
        total += all(meets(constraint, point, sizes) for constraint in space.constraints)
    for rank in space.ranks:
        total *= sizes[rank]
    return total


def meets(constraint: Constraint, point: dict[str, int], sizes: dict[str, int]) -> bool:
    """Whether a point meets a filter."""
    value = 0
    for term in constraint.form.terms:
        part = term.factor * (1 if term.variable is None else point[term.variable])
        for shape in term.shapes:
            part *= sizes[shape]
        value += part
    match constraint.relation:
        case Relation.NOT_NEGATIVE:
            return value >= 0
        case Relation.ZERO:
            return value == 0
        case Relation.NOT_ZERO:
            return value != 0


factors = st.integers(-3, 3).filter(bool)
variable_terms = st.builds(Term, factors, st.sampled_from([(), (), ("W",)]), st.sampled_from(VARIABLES))
offsets = st.builds(Term, st.integers(-6, 6), st.sampled_from([(), (), *((shape,) for shape in SHAPES)]))


@st.composite
def forms(draw: st.DrawFn) -> Affine:
    """A sum over some of the variables, each once, and an offset."""
    terms = draw(st.lists(variable_terms, max_size=3, unique_by=lambda term: term.variable))
    return Affine((*terms, draw(offsets)))


constraints = st.builds(Constraint, forms(), st.sampled_from(Relation))


@st.composite
def spaces(draw: st.DrawFn) -> tuple[Points, dict[str, int]]:
    """A space with up to four filters, and sizes."""
    filters = tuple(draw(st.lists(constraints, min_size=1, max_size=4)))
    variables = tuple(sorted({v for c in filters for v in c.form.variables}))
    free = tuple(shape for shape in ("I", "J", "K") if shape.lower() not in variables)
    return Points(free, variables, filters), {shape: draw(st.integers(1, 5)) for shape in SHAPES}


@settings(max_examples=400)
@given(spaces())
def test_numbers_equal_an_enumeration(drawn: tuple[Points, dict[str, int]]) -> None:
    """Any filters over any variables leave as many points as are found one by one."""
    space, sizes = drawn
    assert space.number(sizes) == enumerated(space, sizes)


@settings(max_examples=120)
@given(spaces())
def test_symbols_equal_the_numbers(drawn: tuple[Points, dict[str, int]]) -> None:
    """The symbolic count, with sizes put in and evaluated by SymPy, is the number; it depends on no other size."""
    space, sizes = drawn
    expr = space.symbolic()
    names = {s.name for s in expr.free_symbols}
    assert names <= space.sizes
    assert int(expr.subs({s: sizes[s.name] for s in expr.free_symbols}).doit()) == enumerated(space, sizes)


def test_counting_in_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A grid that is larger than one chunk is counted piece by piece."""
    form = Affine((Term(1, (), "i"), Term(1, (), "j"), Term(-1, (), "k")))
    space = Points((), VARIABLES, (Constraint(form, Relation.NOT_NEGATIVE),))
    sizes = {"I": 7, "J": 11, "K": 13, "W": 1}
    monkeypatch.setattr(counting, "CHUNK", 10)
    assert space.number(sizes) == enumerated(space, sizes)


def below(variable: str, limit: str) -> Constraint:
    """variable < limit"""
    return Constraint(Affine((Term(1, (limit,)), Term(-1, (), variable), Term(-1))), Relation.NOT_NEGATIVE)


def not_after(first: str, second: str) -> Constraint:
    """first <= second"""
    return Constraint(Affine((Term(1, (), second), Term(-1, (), first))), Relation.NOT_NEGATIVE)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ((), "K*M*P"),
        ((not_after("m", "p"),), "K*Sum(Min(M, p + 1), (p, 0, P - 1))"),
        ((below("m", "W"),), "K*P*Min(M, W)"),
        ((below("m", "W"), below("p", "W")), "K*Min(M, W)*Min(P, W)"),
        (
            (Constraint(Affine((Term(1, (), "m"),)), Relation.NOT_ZERO),),
            "K*P*Sum(Piecewise((1, Ne(m, 0)), (0, True)), (m, 0, M - 1))",
        ),
    ],
)
def test_symbols_as_people_read_them(filters: tuple[Constraint, ...], expected: str) -> None:
    """Filters that bound a variable become a minimum, those between variables a sum; none is a product."""
    ranks = {name: Rank(name) for name in ("M", "P", "K")}
    assert str(points(("m", "p", "k"), filters, ranks).symbolic()) == expected


def test_all_parts_of_a_split_are_the_joined_rank() -> None:
    """M1 and M0 together are M; one of them alone, or with a filter, is itself."""
    ranks = {"M": Rank("M", (("M1", "M0"),)), "M1": Rank("M1"), "M0": Rank("M0"), "P": Rank("P")}
    assert points(("m1", "p", "m0"), (), ranks) == Points(("M", "P"))
    assert points(("m1", "p"), (), ranks) == Points(("M1", "P"))
    assert points(("m1", "m0"), (below("m0", "P"),), ranks).ranks == ("M1",)
    assert points((), (), ranks) == ONCE


def test_a_filter_on_shapes_alone_holds_or_does_not() -> None:
    """A filter without a variable leaves everything or nothing."""
    holds = Constraint(Affine((Term(1, ("K",)), Term(-4))), Relation.NOT_NEGATIVE)
    space = points(("m",), (holds,), {"M": Rank("M"), "K": Rank("K")})
    assert (space.number({"M": 3, "K": 4}), space.number({"M": 3, "K": 3})) == (3, 0)
    assert space.symbolic().subs({symbol("M"): 3, symbol("K"): 5}) == 3


def test_a_filter_over_too_many_points_is_refused() -> None:
    """A count that would take minutes is an error that names the sizes."""
    space = Points((), ("m", "p"), (not_after("m", "p"),))
    with pytest.raises(FusemaxError) as caught:
        space.number({"M": 2**30, "P": 2**30})
    assert str(caught.value) == (
        "a filter over M=1073741824 x P=1073741824 is too large to count\nhint: give smaller shapes"
    )


def test_a_filter_beyond_64_bit_is_refused() -> None:
    """Products of sizes that leave the range of the machine's integers are an error and no wrong number."""
    form = Affine((Term(1, ("W", "W"), "m"), Term(-1, (), "p")))
    with pytest.raises(FusemaxError, match="too large to count"):
        Points((), ("m", "p"), (Constraint(form, Relation.NOT_NEGATIVE),)).number({"M": 8, "P": 8, "W": 2**40})


def test_large_filters_are_exact() -> None:
    """Causal attention over 2^20 tokens has 2^20 (2^20 + 1) / 2 points."""
    space = Points((), ("m", "p"), (not_after("m", "p"),))
    assert space.number({"M": 2**20, "P": 2**20}) == 2**20 * (2**20 + 1) // 2


def test_symbols_are_positive_integers() -> None:
    """A shape is a positive integer, and the same symbol every time."""
    assert symbol("M") is symbol("M")
    assert symbol("M").is_positive and symbol("M").is_integer
    assert symbol("E") != sympy.E


def test_missing_sizes_are_named_with_an_example() -> None:
    """The error of a number that cannot be given says what to type."""
    assert str(missing_sizes("a roofline", {"P", "M"})) == (
        "a roofline needs a size for 'M' and 'P'\nhint: give it, for instance `--shape M=64 P=64`"
    )
