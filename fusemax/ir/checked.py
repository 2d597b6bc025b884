"""A cascade whose meaning is known: every name resolved, every place given its rank, every Einsum its space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from fusemax.errors import Problem, Span
from fusemax.ir.affine import Affine
from fusemax.ir.cascade import Cascade, Einsum, Role
from fusemax.ir.expr import Access, Expr


class When(Enum):
    """Which coordinate of an iterative rank an access names."""

    INITIAL = "initial"
    OLD = "v"
    NEW = "v+1"
    FINAL = "final"


class Relation(Enum):
    """The condition of a filter on its form."""

    NOT_NEGATIVE = ">= 0"
    ZERO = "== 0"
    NOT_ZERO = "!= 0"


@dataclass(frozen=True, slots=True)
class Constraint:
    """A filter in normal form: the points where `form` has the relation to zero."""

    form: Affine
    relation: Relation
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Rank:
    """A rank and the ways in which it splits into others; a rank with splits heads a family."""

    name: str
    splits: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor: the rank of each place, its role, and, if it is iterative, the place and the rank of the iteration.

    An iterative tensor has one coordinate more than its iterative rank: 0 to N.
    """

    name: str
    ranks: tuple[str, ...]
    role: Role
    empty: Expr | None = None
    iterative: int | None = None
    span: Span | None = field(default=None, compare=False, repr=False)

    @property
    def iterative_rank(self) -> str | None:
        """The rank of the iteration, if there is one."""
        return None if self.iterative is None else self.ranks[self.iterative]


@dataclass(frozen=True, slots=True)
class Use:
    """An access resolved: the affine index and the rank of each place; `variables` are the rank variables of all."""

    tensor: str
    indices: tuple[Affine, ...]
    ranks: tuple[str, ...]
    when: When | None = None
    span: Span | None = field(default=None, compare=False, repr=False)
    variables: tuple[str, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        variables = tuple(dict.fromkeys(v for index in self.indices for v in index.variables))
        object.__setattr__(self, "variables", variables)


@dataclass(frozen=True, slots=True)
class CheckedReduction:
    """Variables that one reducer combines."""

    variables: tuple[str, ...]
    reducer: str


@dataclass(frozen=True, slots=True)
class CheckedEinsum:
    """An Einsum with its iteration space: kept variables in the order of the target, then reduced ones.

    `reduced` are the variables that disappear, `variables` all of the space.
    In `expr` scalar tensors are accesses without places; the bare names left are rank variables, parameters and
    shapes. `uses` has the meaning of each access in it.
    """

    source: Einsum = field(repr=False)
    target: Use
    reads: tuple[Use, ...]
    uses: Mapping[Access, Use] = field(repr=False, compare=False)
    expr: Expr = field(repr=False)
    kept: tuple[str, ...]
    reductions: tuple[CheckedReduction, ...]
    constraints: tuple[Constraint, ...]
    reduced: tuple[str, ...] = field(init=False, compare=False, repr=False)
    variables: tuple[str, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reduced", tuple(v for reduction in self.reductions for v in reduction.variables))
        object.__setattr__(self, "variables", self.kept + self.reduced)

    def __hash__(self) -> int:
        """Equal Einsums have equal hashes; their expressions are not hashed."""
        return hash((self.target.tensor, self.variables))

    @property
    def name(self) -> str:
        """The tensor that it writes."""
        return self.target.tensor

    @property
    def initial(self) -> bool:
        """Whether it gives an iterative tensor its initial value."""
        return self.target.when is When.INITIAL

    @property
    def step(self) -> bool:
        """Whether it writes an iterative tensor at `v+1`."""
        return self.target.when is When.NEW


@dataclass(frozen=True, slots=True)
class Equation:
    """An equation between sizes, `left = right`, and the reason for it; a default gives way to a given size."""

    left: str
    right: Expr
    because: str
    default: bool = False
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Loop:
    """Einsums that must be computed step by step along a variable, in order; loops nest."""

    variable: str
    body: tuple[Loop | CheckedEinsum, ...]


@dataclass(frozen=True, eq=False)
class Checked:
    """A cascade with the results of `check`; two of them are equal only if they are the same object.

    `incomplete` holds what keeps it from running but not from being analyzed: initial values and trip counts that
    are missing. `notes` holds remarks. `schedule` is one order in which the Einsums can be computed.
    """

    cascade: Cascade
    tensors: Mapping[str, Tensor]
    einsums: tuple[CheckedEinsum, ...]
    ranks: Mapping[str, Rank]
    equations: tuple[Equation, ...]
    schedule: tuple[Loop | CheckedEinsum, ...]
    notes: tuple[Problem, ...] = ()
    incomplete: tuple[Problem, ...] = ()

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The input tensors, as declared or in the order in which they are first read."""
        return tuple(tensor for tensor in self.tensors.values() if tensor.role is Role.INPUT)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The output tensors: those declared, else those written and never read."""
        return tuple(tensor for tensor in self.tensors.values() if tensor.role is Role.OUTPUT)
