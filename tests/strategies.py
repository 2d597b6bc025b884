"""Hypothesis strategies for cascades and expressions as IR.

`cascades()` draws cascades that mean something: `check` accepts every one of them. They are canonical as well, so
`parse(str(c)) == c`. Between them they have most of what the language has: headers, defaults, parameters, operators,
declared and inferred inputs, splits, joins, halos, aliases, filters, all reducers, scalars and iterations.

`expressions()` draws any expression that can be written, whether it means something or not.

    @given(cascades())
    def test_something(cascade: Cascade) -> None: ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from fusemax.ir.cascade import (
    Cascade,
    Declare,
    Einsum,
    Header,
    Op,
    Param,
    Reduction,
    Role,
    Section,
    SectionKind,
    ShapeDefault,
    Shapes,
    Statement,
    Stop,
    TensorDeclaration,
)
from fusemax.ir.expr import Access, Apply, Expr, Name, Number, Place, is_shape, term_without, variable_of, variables_of

UNARY = ("neg", "exp", "log", "sqrt", "rsqrt", "abs", "tanh", "sigmoid", "relu", "silu", "gelu", "floor")
BINARY = ("add", "sub", "mul", "div", "pow", "lt", "le", "gt", "ge", "eq", "ne", "max", "min")
COMPARISONS = ("lt", "le", "gt", "ge")
REDUCERS = ("add", "mul", "max", "min", "and", "or")

# --------------------------------------------------------------------------------------------------------- expressions


def numbers() -> SearchStrategy[Number]:
    """Numbers as they are written: never negative."""
    floats = st.floats(0, allow_nan=False, allow_infinity=True)
    return st.builds(Number, st.one_of(st.integers(0, 10), st.integers(0, 10**29), floats))


def expressions(leaves: int = 12) -> SearchStrategy[Expr]:
    """Any expression that can be written."""
    tensors, variables = (
        st.sampled_from(("A", "QK", "Z'", "max", "e", "input", "a_1")),
        st.sampled_from("m k p e".split()),
    )
    names = st.builds(Name, st.one_of(tensors, variables, st.sampled_from(("M", "M0"))))
    filters = st.builds(
        lambda operator, variable, bound: Apply(operator, (Name(variable), bound)),
        st.sampled_from((*COMPARISONS, "eq", "ne")), variables, names,
    )  # fmt: skip
    indices = st.recursive(
        st.one_of(names, st.builds(Number, st.integers(0, 9))),
        lambda part: st.builds(Apply, st.sampled_from(("add", "sub", "mul")), st.tuples(part, part)),
        max_leaves=3,
    )
    ranks, lists = st.sampled_from((None, None, "M", "K1")), st.lists(filters, max_size=2).map(tuple)
    places = st.builds(Place, indices, ranks, lists).map(_written)
    accesses = st.builds(Access, tensors, st.lists(places, max_size=3).map(tuple))
    return st.recursive(st.one_of(numbers(), names, accesses), _combined, max_leaves=leaves)


def _written(place: Place) -> Place:
    """The place, if it can be written: of `M: m <= p`, M would be the rank."""
    ambiguous = place.rank is None and isinstance(place.index, Name) and is_shape(place.index.name)
    return Place(place.index) if ambiguous else place


def _combined(part: SearchStrategy[Expr]) -> SearchStrategy[Expr]:
    def applied(names: Sequence[str], arity: int) -> SearchStrategy[Expr]:
        return st.builds(Apply, st.sampled_from(names), st.tuples(*[part] * arity))

    return st.one_of(
        applied(UNARY, 1), applied(BINARY, 2), applied(("where", "max", "take", "phi"), 3), applied(("phi", "f'"), 0)
    )


# ------------------------------------------------------------------------------------------------------------ cascades


@dataclass
class World:
    """The statements of a cascade under construction."""

    tensors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    params: list[str] = field(default_factory=list)
    ops: dict[str, int] = field(default_factory=dict)
    body: list[Statement] = field(default_factory=list)

    def fresh(self, prefix: str) -> str:
        """A tensor name that is not taken."""
        return f"{prefix}{len(self.tensors)}"


# What may stand at a place of a rank: the index and, if it is not the rank's own variable, the rank.
# L aliases K, D is P and W with a halo, M splits into M1 and M0.
_M1, _M0, _P, _W = Name("m1"), Name("m0"), Name("p"), Name("w")
SPLIT = Apply("add", (Apply("mul", (_M1, Name("M0"))), _M0))
SUBSCRIPTS: dict[str, tuple[Place, ...]] = {
    "K": (Place(Name("k")), Place(Name("k")), Place(Name("l"), "K"), Place(Number(0))),
    "N": (Place(Name("n")), Place(Name("n"), "N"), Place(Apply("sub", (Apply("sub", (Name("N"), Name("n"))), Number(1))))),
    "M": (Place(Name("m")), Place(SPLIT)),
    "L": (Place(Name("l")),),
    "M1": (Place(_M1),),
    "M0": (Place(_M0),),
    "P": (Place(_P),),
    "W": (Place(_W),),
    "D": (Place(Apply("add", (_P, _W))), Place(Name("d"))),
}  # fmt: skip
DEFAULTS = {"K": 4, "N": 3, "M": 12, "M0": 4, "P": 5, "W": 2, "D": 6}


@st.composite
def cascades(draw: DrawFn) -> Cascade:
    """Cascades that `check` accepts, in canonical form."""
    world = World()
    preamble = [*_preamble(draw, world)]
    inferred = draw(st.booleans())
    inputs = _inputs(draw, world, inferred)
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.integers(0, 3)) == 0:
            _iteration(draw, world)
        else:
            world.body.append(_einsum(draw, world))
    declared: list[Statement] = [] if inferred else [Declare(Role.INPUT, inputs)]
    if draw(st.booleans()):
        declared += _results(draw, world)
    return Cascade((*preamble, *declared, *world.body))


def _preamble(draw: DrawFn, world: World) -> list[Statement]:
    """The header, defaults that agree with each other, parameters and operators."""
    statements: list[Statement] = []
    if draw(st.booleans()):
        statements.append(Header(draw(st.sampled_from(("attention", "a-1.b", "x2")))))
    ranks = draw(st.lists(st.sampled_from(list(DEFAULTS)), unique=True))
    defaults = [ShapeDefault(rank, Number(DEFAULTS[rank])) for rank in ranks]
    defaults.append(ShapeDefault("M1", Apply("div", (Name("M"), Name("M0")))))
    statements.append(Shapes(tuple(defaults)))
    for name in draw(st.sampled_from(((), ("scale",), ("scale", "eps")))):
        known = [Name(n) for n in (*world.params, "M", "M0")]
        root: Expr = Apply("div", (Number(1), Apply("sqrt", (known[0],))))
        value = draw(st.sampled_from((Number(1e-6), root)))
        statements.append(Param(name, value))
        world.params.append(name)
    if draw(st.booleans()):
        world.ops["phi"] = 2
        body = Apply("add", (Apply("max", (Name("x"), Number(0))), Name("y")))
        statements.append(Op("phi", ("x", "y"), body))
    return statements


def _inputs(draw: DrawFn, world: World, inferred: bool) -> tuple[TensorDeclaration, ...]:
    """Inputs of random ranks; if they are to be inferred, a first Einsum reads each as it would be declared."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        ranks = tuple(draw(st.lists(st.sampled_from(list(SUBSCRIPTS)), min_size=1, max_size=3, unique=True)))
        name = world.fresh(draw(st.sampled_from(("A", "IN", "a_"))))
        world.tensors[name] = ranks
        found.append(TensorDeclaration(name, ranks))
        if inferred:
            places = tuple(Place(Name(variable_of(rank))) for rank in ranks)
            copy = world.fresh("C")
            world.body.append(Einsum(Access(copy, places), Access(name, places)))
            world.tensors[copy] = ranks
            world.written.append(copy)
    return tuple(found)


def _results(draw: DrawFn, world: World) -> list[Statement]:
    """Declarations of some written tensors, as outputs and as intermediates with a value for unwritten points."""
    names = draw(st.lists(st.sampled_from(world.written), unique=True))
    outputs = [world.written[-1], *(n for n in names if n != world.written[-1])]
    cut = draw(st.integers(1, len(outputs)))
    declared: list[Statement] = [
        Declare(Role.OUTPUT, tuple(TensorDeclaration(n, world.tensors[n]) for n in outputs[:cut]))
    ]
    empty = draw(st.sampled_from((None, Number(0), Apply("neg", (Number(float("inf")),)))))
    if outputs[cut:]:
        declared.append(
            Declare(Role.TENSOR, tuple(TensorDeclaration(n, world.tensors[n], empty) for n in outputs[cut:]))
        )
    return declared


def _read(draw: DrawFn, world: World) -> Expr:
    """A tensor at random subscripts; a scalar as a bare name."""
    name = draw(st.sampled_from(list(world.tensors)))
    places = tuple(draw(st.sampled_from(SUBSCRIPTS[rank])) for rank in world.tensors[name])
    return Access(name, places) if places else Name(name)


def _term(draw: DrawFn, world: World, variables: Sequence[str]) -> Expr:
    """A product, quotient or function of a read and something else."""
    read = _read(draw, world)
    other = draw(st.sampled_from(["read", "number", "param", "shape", "variable", "unary", "op", "where", "none"]))
    match other:
        case "read":
            return Apply(draw(st.sampled_from(("mul", "div", "max"))), (read, _read(draw, world)))
        case "number":
            return Apply("pow", (read, Number(draw(st.sampled_from((2, 0.5))))))
        case "param" if world.params:
            return Apply("mul", (read, Name(draw(st.sampled_from(world.params)))))
        case "shape":
            return Apply("div", (read, Name("M")))
        case "variable" if bound := variables_of(read):
            return Apply("mul", (Name(bound[0]), read))
        case "unary":
            return Apply(draw(st.sampled_from(UNARY)), (read,))
        case "op" if world.ops:
            return Apply("phi", (read, Number(1)))
        case "where":
            condition = Apply(draw(st.sampled_from(COMPARISONS)), (read, Number(0)))
            return Apply("where", (condition, read, Apply("neg", (Number(1),))))
    return read


def _einsum(draw: DrawFn, world: World) -> Einsum:
    """An Einsum over tensors that there are."""
    expr = _term(draw, world, ())
    if draw(st.booleans()):
        expr = Apply(draw(st.sampled_from(("add", "sub"))), (expr, _term(draw, world, ())))
    bound = variables_of(expr)
    kept = tuple(draw(st.lists(st.sampled_from(bound), unique=True))) if bound else ()
    gone = tuple(v for v in bound if v not in kept)
    expr = _filtered(draw, expr, bound)
    ranks = [v.upper() for v in kept]
    places = [Place(Name(v)) for v in kept]
    if {"m1", "m0"} <= set(kept) and "M" not in ranks and draw(st.booleans()):  # a join
        ranks, places = [r for r in ranks if r not in ("M1", "M0")], [p for p in places if p.index not in (_M1, _M0)]
        ranks, places = ["M", *ranks], [Place(SPLIT), *places]
    name = world.fresh(draw(st.sampled_from(("Z", "QK", "b'"))))
    world.tensors[name] = tuple(ranks)
    world.written.append(name)
    return Einsum(Access(name, tuple(places)), expr, _reductions(draw, expr, gone))


def _filtered(draw: DrawFn, expr: Expr, bound: Sequence[str]) -> Expr:
    """The expression, perhaps with a filter on the first place of its first access."""
    if not (isinstance(expr, Access) and isinstance(expr.places[0].index, Name) and draw(st.booleans())):
        return expr
    variable = expr.places[0].index
    other = Name(draw(st.sampled_from(bound)))
    below = Apply(draw(st.sampled_from(("le", "lt"))), (variable, Apply("add", (other, Number(2)))))
    above = Apply("lt", (Apply("sub", (other, Name("M"))), variable))
    filters = draw(st.sampled_from(((below,), (above, below), (Apply("ne", (variable, Number(1))),))))
    first = Place(variable, expr.places[0].rank, filters)
    return Access(expr.tensor, (first, *expr.places[1:]))


def _reductions(draw: DrawFn, expr: Expr, gone: tuple[str, ...]) -> tuple[Reduction, ...]:
    """What combines the variables that are gone, as the parser writes it down."""
    if not gone:
        return ()
    reducer = draw(st.sampled_from(REDUCERS))
    if len(gone) > 1 and draw(st.booleans()):
        other = draw(st.sampled_from([r for r in REDUCERS if r != reducer]))
        return (Reduction(gone[:1], reducer), Reduction(gone[1:], other))
    if reducer == "add" and term_without(expr, gone) is None:
        return ()
    return (Reduction(gone, reducer),)


def _iteration(draw: DrawFn, world: World) -> None:
    """A running sum, product or maximum of an input over a rank, and what it is in the end."""
    name, source = world.fresh("R"), draw(st.sampled_from([n for n, ranks in world.tensors.items() if ranks]))
    ranks = world.tensors[source]
    along = draw(st.integers(0, len(ranks) - 1))
    rank, variable = ranks[along], variable_of(ranks[along])

    def at(index: Expr) -> tuple[Place, ...]:
        return tuple(Place(index if i == along else Name(variable_of(r))) for i, r in enumerate(ranks))

    old, new, read = at(Name(variable)), at(Apply("add", (Name(variable), Number(1)))), at(Name(variable))
    operator, start = draw(st.sampled_from((("add", 0), ("mul", 1), ("max", float("-inf")))))
    value: Expr = Number(start) if start >= 0 else Apply("neg", (Number(-start),))
    headings = draw(st.booleans())
    initial = Einsum(Access(name, at(Number(0))), value)
    step = Einsum(Access(name, new), Apply(operator, (Access(name, old), Access(source, read))))
    final = world.fresh("R_")
    rest = tuple(p for i, p in enumerate(old) if i != along)
    last = Einsum(Access(final, rest), Access(name, at(Name(rank))))
    if headings:
        count = draw(st.sampled_from((None, Stop(variable, Name(rank)))))
        world.body += [Section(SectionKind.INIT), initial, Section(SectionKind.LOOP, variable), step]
        world.body += [*([count] if count else []), Section(SectionKind.FINAL), last]
    else:
        world.body += [initial, step, last]
    world.tensors[final] = tuple(r for i, r in enumerate(ranks) if i != along)
    world.written.append(final)
