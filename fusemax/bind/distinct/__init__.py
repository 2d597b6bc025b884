"""The counting rule: every count of words is a number of distinct pairs of iterations and words.

An operand is a tensor *at a place*, read or written by the points of an Einsum. A point x of the Einsum's `IterationSpace`
names one word of it, the values of the place's affine forms f at x, and runs in one iteration t(x) of the loops:

- `touched`: the words f(x) of the whole run, which is compulsory traffic;
- `words`: those of one tile, the points with given coordinates of some variables; `capacity`: of the largest tile;
- `visits`: the pairs (t(x), f(x)) for the loops down to the innermost that the place depends on;
- `fills`: the pairs for all loops outside (`refilled`), or, where a memory slides, the words of each tile that the
  one before it in time had not;
- `steps`: the iterations t(x) in which some point exists.

All but the sliding fills are the numbers of distinct values of affine forms over the points of a box within filters,
`image.distinct`: a loop is a form, too. With the words W(t) of a tile, the fills of the tiles t1, t2, .. are

    sum over i of |W(t_i)| - |W(t_i) & W(t_(i-1))|

The first term is the number of pairs. For the second, let loop j be the outermost that moves from t_(i-1) to t_i:
loops around it stay, those inside of it go from their last iteration to their first. Variables fall into groups that
no form and no filter has in common, so that a tile is a product over groups, and so are the steps of loop j:

    shared = sum over loops j of the product over groups g of  sum over t in g of |W_g(t) & W_g(t')|

At t the loops inside of j are in their first iteration, at t' in their last; the loops around j are in the same one, and
j itself, if it is in g, is one step further at t. Tiles in which the filters leave no point do not exist, and are neither
first nor last: the one before is the last that does.

Tensors that are read at several places have the union of the words in their tiles. Places that differ by equal steps
(`X[t]`, `X[t-1]`) are one place with one more variable; others are listed.

Limits. A split that does not divide is a filter between its parts (`inside`), with the extents of full tiles; extents
are integers, never means. Exact in closed form are places of which no two ranks share a variable that neither a loop
nor another rank determines, without filters, or within filters whose variables, once the parts of splits are joined
and those of no loop and no rank are eliminated, are two between parallel lines: masks and windows between two variables.
Sliding fills below a mask list the iterations of the mask's loops down to loop j, up to `sliding.MOST_ITERATIONS`, and
list none where each word belongs to one iteration of j. All else is listed point by point, up to `listing.MOST_LISTED`
points at each shape point. What is beyond that is refused, never approximated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from fusemax.bind.distinct.image import distinct
from fusemax.bind.distinct.linear import Filter, Image, Linear, Number, always, apart, every, identity, product
from fusemax.bind.distinct.listing import PairTable, TooMany, each_point, points_in, table
from fusemax.bind.distinct.sliding import capacity_of, shared
from fusemax.bind.extents import Extent
from fusemax.errors import FusemaxError, Problem
from fusemax.ir.affine import Affine, Term, constant, total
from fusemax.ir.checked import Constraint, Relation
from fusemax.ir.expr import rank_of

Forms: TypeAlias = tuple[Affine, ...]
"""The affine form in each rank of a tensor."""
MOST_64_BITS = 2.0**60
"""Numbers that may become larger are counted with Python's integers instead of 64 bits."""


@dataclass(frozen=True, slots=True)
class IterationSpace:
    """The points of an Einsum: 0 <= v < extents[v] for each variable, within filters.

    Variables that are split stand in it as their parts. Loops around an Einsum that does not use their variable are
    variables of its space if it runs in all of their iterations. `sizes` has the shapes that forms mention. Extents and
    sizes are integers from 1, or arrays of them, one element a shape point.
    """

    extents: Mapping[str, Extent | Fraction]
    filters: tuple[Constraint, ...] = ()
    sizes: Mapping[str, Extent | Fraction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A tensor at one place, for the points that read or write it there."""

    place: Forms
    space: IterationSpace


def joined(parts: Sequence[str]) -> Affine:
    """A split variable in its parts, outermost first; the extent of a part has the name of its rank.

    >>> [(term.shapes, term.variable) for term in joined(("p2", "p1", "p0")).terms]
    [(('P1', 'P0'), 'p2'), (('P0',), 'p1'), ((), 'p0')]
    """
    return Affine(tuple(Term(1, tuple(map(rank_of, parts[i + 1 :])), part) for i, part in enumerate(parts)))


def inside(parts: Sequence[str], size: str) -> Constraint:
    """The filter of a split that does not divide: the last tile ends where the variable does."""
    bound = total((Affine((Term(1, (size,)),)), 1), (constant(1), -1), (joined(parts), -1))
    return Constraint(bound, Relation.NOT_NEGATIVE)


# ------------------------------------------------------------------------------------------------------------- counts


def touched(operands: Sequence[Occurrence]) -> Number:
    """The distinct words of a tensor over the whole run, at all of its places: compulsory traffic.

    >>> p, r, two = Term(1, (), "p"), Term(1, (), "r"), Term(2, (), "q")
    >>> touched([Occurrence((Affine((p, r)),), IterationSpace({"p": 16, "r": 3}))])
    18
    >>> even, odd = Affine((two,)), Affine((two, Term(1)))
    >>> touched([Occurrence((place,), IterationSpace({"q": np.array([4, 1024])})) for place in (even, odd)])
    array([   8, 2048])
    """
    return _count(operands, distinct, PairTable.different)


def words(operand: Occurrence, coordinates: Mapping[str, Number]) -> Number:
    """The distinct words of one tile: of the points with these coordinates of some variables, all others spanning it.

    >>> m = joined(("m1", "m0"))
    >>> ragged = IterationSpace({"m1": 3, "m0": 2}, (inside(("m1", "m0"), "M"),), {"M": 5, "M0": 2})
    >>> [words(Occurrence((m,), ragged), {"m1": i}) for i in range(3)]
    [2, 2, 1]
    """
    at = {variable: _whole(value) for variable, value in coordinates.items()}
    return _count([operand], distinct, PairTable.different, at=at)


def capacity(operands: Sequence[Occurrence], loops: Sequence[str]) -> Number:
    """The words of the largest tile that a memory keeps for one iteration of the loops outside (rule 9).

    >>> causal = Constraint(Affine((Term(1, (), "p"), Term(-1, (), "m"))), Relation.NOT_NEGATIVE)
    >>> capacity([Occurrence((Affine((Term(1, (), "m"),)),), IterationSpace({"p": 8, "m": 20}, (causal,)))], ("p",))
    8
    """
    return _count(operands, lambda image: capacity_of(image, _reuse([image], loops)), PairTable.largest, loops)


def visits(operand: Occurrence, loops: Sequence[str]) -> Number:
    """The words that an array gets of an operand, or gives of a result, over the run (rules 10 and 11).

    `loops` are those of the Einsum, outermost first: those around it that it uses, then those inside the array. The
    variables that are not among them span the tile, axes of the array for instance. A tile comes anew at each iteration
    of the loops down to the innermost that the place depends on and that has several iterations.

    >>> m, n = joined(("m1", "m0")), joined(("n1", "n0"))
    >>> space = IterationSpace(dict.fromkeys(("m1", "m0", "n1", "n0"), 4), (), {"M0": 4, "N0": 4})
    >>> [visits(Occurrence((place,), space), ("m1", "n1")) for place in (m, n)]
    [16, 64]
    """
    return _count([operand], lambda image: _pairs(image, _reuse([image], loops)), PairTable.pairs, loops)


def steps(space: IterationSpace, loops: Sequence[str]) -> Number:
    """The iterations of loops in which some point exists (rule 14)."""
    return _count([Occurrence((), space)], lambda image: _pairs(image, loops), PairTable.pairs, loops, reuse=False)


def fills(operands: Sequence[Occurrence], loops: Sequence[str], refilled: bool = False) -> Number:
    """The words by which a memory is filled over the run, inside of `loops`, outermost first (rule 9).

    A tile stays for one iteration of the loops down to the innermost that a place depends on, and takes from the tile
    before it in time the words of both. With `refilled` it is filled whole, at each iteration of all loops.

    >>> halo = Affine((Term(1, ("P0",), "p1"), Term(1, (), "p0"), Term(1, (), "r")))
    >>> read = Occurrence((halo,), IterationSpace({"k": 5, "p1": 4, "p0": 4, "r": 3}, (), {"P0": 4}))
    >>> fills([read], ("p1", "k")), fills([read], ("p1",), refilled=True), fills([read], ("k", "p1"))
    (18, 24, 90)
    """
    if refilled:
        return _count(operands, lambda image: _pairs(image, loops), PairTable.pairs, loops, reuse=False)

    def slides(image: Image) -> Number:
        mine = _reuse([image], loops)
        return _pairs(image, mine) - shared(image, mine)

    return _count(operands, slides, PairTable.fresh, loops)


def _pairs(image: Image, loops: Sequence[str]) -> Number:
    """The distinct pairs of an iteration of loops and a word."""
    return distinct(replace(image, forms=identity(loops) + image.forms))


def _reuse(images: Sequence[Image], loops: Sequence[str]) -> tuple[str, ...]:
    """The loops down to the innermost that a place depends on: the iterations of those inside of it find the same
    tile. Loops of one iteration do not count."""
    depends = {variable for image in images for form in image.forms for variable in form.coefficients}
    number = len(loops)
    while number and not (loops[number - 1] in depends and every(images[0].extents[loops[number - 1]] > 1)):
        number -= 1
    return tuple(loops[:number])


# ---------------------------------------------------------------------------------------------------------- the images


def _count(
    operands: Sequence[Occurrence], closed: Callable[[Image], Number], listed: Callable[[PairTable], int],
    loops: Sequence[str] = (), reuse: bool = True, at: Mapping[str, Number] | None = None,
) -> Number:  # fmt: skip
    """A count in closed form, or of the table of all pairs: of several places, and where no closed form is known."""
    images = [_image(operand, loops).fixed(at or {}) for operand in operands]
    images = [_asked(image, loops) for image in images]
    images = [image for i, image in enumerate(images) if not any(map(image.same, images[:i]))]
    one = _one_place(images)

    def counted(*images: Image) -> int:
        return listed(table(_reuse(images, loops) if reuse else loops, images))

    try:
        try:
            return each_point(counted, *images) if one is None else apart(closed, one)
        except TooMany:
            return each_point(counted, *images)
    except TooMany as error:
        what = f"the words at `{', '.join(map(_text, operands[0].place))}`" if operands[0].place else "the steps"
        message = f"no closed form counts {what}, and {error.points:,} points are too many to list"
        span = next((form.span for form in operands[0].place), None)
        raise FusemaxError([Problem(message, span, "give smaller shapes")]) from None


def _image(operand: Occurrence, loops: Sequence[str]) -> Image:
    """The words of an operand as values of forms with numbers for shapes; numbers are wide enough for pairs with loops."""
    space = operand.space
    sizes = {name: _whole(number) for name, number in space.sizes.items()}
    extents = {variable: _whole(number) for variable, number in space.extents.items()}
    filters = tuple(Filter(_linear(constraint.form, sizes), constraint.relation) for constraint in space.filters)
    forms = tuple(_linear(form, sizes) for form in operand.place)
    image = Image(forms, extents, filters)
    return image if _narrow(image, loops) else image.numbers(_wide)


def _asked(image: Image, loops: Sequence[str]) -> Image:
    """The image without the variables that neither a form, a filter nor a loop has."""
    used = {*loops, *(variable for row in image.rows for variable in row.coefficients)}
    return replace(image, extents={variable: n for variable, n in image.extents.items() if variable in used})


def _whole(number: Extent | Fraction) -> Number:
    """A number that may be of any kind as Python's or, of 64 bits, as NumPy's integers."""
    if np.ndim(number):  # type: ignore[arg-type]
        values = np.asarray(number)
        assert values.dtype.kind in "iuO", "extents are integers"
        return values if values.dtype == object else values.astype(np.int64)
    whole = int(number)
    assert whole == number, "an extent is no mean: a split that does not divide is a filter"
    return whole


def _wide(number: Number) -> Number:
    """A number as Python's integer."""
    return number if isinstance(number, int) else number.astype(object)


def _linear(form: Affine, sizes: Mapping[str, Number]) -> Linear:
    """A form with numbers for shapes."""
    result = Linear({})
    for term in form.terms:
        factor = term.factor * product(sizes[shape] for shape in term.shapes)
        result = result.plus(Linear({}, factor) if term.variable is None else Linear({term.variable: factor}))
    return result


def _narrow(image: Image, loops: Sequence[str]) -> bool:
    """Whether 64 bits are enough: for the pairs of iterations and words, and for squares of what forms and filters
    reach. Python's own integers always are."""
    if points_in(image) is None:
        return True
    counted = {*loops, *(variable for form in image.forms for variable in form.coefficients)}
    pairs = float(np.max(product(np.asarray(image.extents[variable], np.float64) for variable in counted)))
    reach = 0.0
    for form in image.rows:
        each = [abs(np.asarray(c, np.float64)) * image.extents[v] for v, c in form.coefficients.items()]
        reach += float(np.max(sum(each, abs(np.asarray(form.constant, np.float64)))))
    return max(pairs, reach**2) < MOST_64_BITS


def _text(form: Affine) -> str:
    """A form as it is written.

    >>> _text(Affine((Term(2, ("P0",), "p1"), Term(-1, (), "p0"), Term(3))))
    '2*P0*p1 - p0 + 3'
    """
    text = ""
    for term in form.terms:
        names = [*term.shapes, *([term.variable] if term.variable else [])]
        number = [str(abs(term.factor))] if abs(term.factor) != 1 or not names else []
        text += f"{'-' if term.factor < 0 else '+'} {'*'.join(number + names)} "
    return text.removeprefix("+ ").rstrip() or "0"


def _one_place(images: Sequence[Image]) -> Image | None:
    """Places that differ by equal steps as one, with a variable that steps from each to the next."""
    first, *others = images
    if not others:
        return first
    bare = [replace(image, forms=tuple(Linear(form.coefficients) for form in image.forms)) for image in images]
    if not all(map(bare[0].same, bare[1:])):
        return None
    starts = [[form.constant for form in image.forms] for image in images]
    if all(isinstance(number, int) for start in starts for number in start):
        starts.sort()
    distances = [[b - a for a, b in zip(*pair, strict=True)] for pair in pairwise(starts)]
    if any(not always(a == b) for step in distances for a, b in zip(step, distances[0], strict=True)):
        return None
    if any(not (always(distance == 0) or always(distance != 0)) for distance in distances[0]):
        return None
    forms = tuple(
        Linear(form.coefficients, start).plus(Linear({"place": distance}))
        for form, start, distance in zip(first.forms, starts[0], distances[0], strict=True)
    )
    return replace(first, forms=forms, extents={**first.extents, "place": len(images)})
