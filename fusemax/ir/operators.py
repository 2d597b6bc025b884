"""Every operator of the language in one table: how it is written, how tightly it binds, how it is counted."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Operator:
    """An element-wise operator.

    `symbol` is its infix or prefix spelling, if it has one; `precedence` grows with how tightly it binds;
    `most` is the largest number of operands (None: any). `kind` is the name under which it is counted.
    """

    name: str
    least: int
    most: int | None
    kind: str
    symbol: str | None = None
    precedence: int = 9


@dataclass(frozen=True, slots=True)
class Reducer:
    """An operator that may reduce a rank: its spelling, the identity it starts from, how it is counted."""

    name: str
    symbol: str
    identity: float
    kind: str


COMPARISON, SUM, PRODUCT, UNARY, POWER, ATOM = 1, 2, 3, 4, 5, 9


def _function(name: str, arity: int, kind: str | None = None, most: int | None = -1) -> Operator:
    return Operator(name, arity, arity if most == -1 else most, kind or name)


_TABLE = (
    Operator("add", 2, 2, "add", "+", SUM),
    Operator("sub", 2, 2, "sub", "-", SUM),
    Operator("mul", 2, 2, "mul", "*", PRODUCT),
    Operator("div", 2, 2, "div", "/", PRODUCT),
    Operator("neg", 1, 1, "neg", "-", UNARY),
    Operator("pow", 2, 2, "pow", "^", POWER),
    Operator("lt", 2, 2, "cmp", "<", COMPARISON),
    Operator("le", 2, 2, "cmp", "<=", COMPARISON),
    Operator("gt", 2, 2, "cmp", ">", COMPARISON),
    Operator("ge", 2, 2, "cmp", ">=", COMPARISON),
    Operator("eq", 2, 2, "cmp", "==", COMPARISON),
    Operator("ne", 2, 2, "cmp", "!=", COMPARISON),
    *(_function(n, 1) for n in "exp log sqrt rsqrt abs tanh sigmoid relu silu gelu floor".split()),
    _function("max", 2, most=None),
    _function("min", 2, most=None),
    _function("where", 3, "select"),
    _function("take", 3),
)

OPERATORS: dict[str, Operator] = {operator.name: operator for operator in _TABLE}
INFIX: dict[str, str] = {o.symbol: o.name for o in _TABLE if o.symbol and o.least == 2}
FUNCTIONS: frozenset[str] = frozenset(o.name for o in _TABLE if not o.symbol) | {"pow"}
COMPARISONS: frozenset[str] = frozenset(o.name for o in _TABLE if o.kind == "cmp")

REDUCERS: dict[str, Reducer] = {
    reducer.name: reducer
    for reducer in (
        Reducer("add", "+", 0.0, "add"),
        Reducer("mul", "*", 1.0, "mul"),
        Reducer("max", "max", -inf, "max"),
        Reducer("min", "min", inf, "min"),
        Reducer("and", "and", 1.0, "and"),
        Reducer("or", "or", 0.0, "or"),
    )
}
REDUCER_SYMBOLS: dict[str, str] = {reducer.symbol: reducer.name for reducer in REDUCERS.values()}
