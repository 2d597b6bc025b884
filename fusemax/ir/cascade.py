"""A cascade as it is written: one node a statement, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import TypeVar

from fusemax.errors import Problem, Source, Span
from fusemax.ir.expr import Access, Expr, accesses, all_names, index_variables, is_shape, rank_of


@dataclass(frozen=True, slots=True)
class Comments:
    """The comments of a statement, which a formatter keeps: full lines above it, and the remark behind it."""

    above: tuple[str, ...] = ()
    behind: str | None = None


NO_COMMENTS = Comments()


@dataclass(frozen=True, slots=True)
class Header:
    """`cascade NAME`"""

    name: str
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ShapeDefault:
    """`R = expr` of a `shape` statement: a default size, or an equation between sizes."""

    rank: str
    value: Expr
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Shapes:
    """`shape R = expr, ...`"""

    defaults: tuple[ShapeDefault, ...]
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Param:
    """`param x = expr`: a scalar constant."""

    name: str
    value: Expr
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Op:
    """`op f(x, y) = expr`: an element-wise operator of the file's own."""

    name: str
    args: tuple[str, ...]
    body: Expr
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)


class Role(Enum):
    """The role that a declaration gives to its tensors."""

    INPUT = "input"
    OUTPUT = "output"
    TENSOR = "tensor"


@dataclass(frozen=True, slots=True)
class TensorDeclaration:
    """`T[R, ...]`, with the value of points that are not written."""

    name: str
    ranks: tuple[str, ...]
    empty: Expr | None = None
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Declare:
    """`input ...`, `output ...` or `tensor ...`"""

    role: Role
    tensors: tuple[TensorDeclaration, ...]
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)


class SectionKind(Enum):
    """The headings; they are hints to a reader."""

    INIT = "init"
    LOOP = "loop"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class Section:
    """`init:`, `loop v:` or `final:`"""

    kind: SectionKind
    variable: str | None = None
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Stop:
    """`stop: v >= N`"""

    variable: str
    count: Expr
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Reduction:
    """`reduce[m, n] max`: variables that disappear, and the reducer that combines them."""

    variables: tuple[str, ...]
    reducer: str
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Einsum:
    """`T[...] = expr :: reductions`. Without reductions, variables that disappear are summed."""

    target: Access
    expr: Expr
    reductions: tuple[Reduction, ...] = ()
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)

    @property
    def name(self) -> str:
        """An Einsum goes by the name of the tensor that it writes."""
        return self.target.tensor


Statement = Header | Shapes | Param | Op | Declare | Section | Stop | Einsum
S = TypeVar("S", bound=Statement)


@dataclass(frozen=True)
class Cascade:
    """A parsed cascade file.

    Two cascades are equal if their statements are; where they came from and their comments do not count.

    >>> from fusemax import parse
    >>> parse("Z[m] = A[k, m] * B[k]") == parse("Z_{m} = A_{k,m} × B_{k}")
    True
    """

    statements: tuple[Statement, ...]
    source: Source = field(compare=False, repr=False, default=Source("<cascade>", ""))
    notes: tuple[Problem, ...] = field(compare=False, repr=False, default=())
    comments_below: tuple[str, ...] = field(compare=False, repr=False, default=())

    def _all(self, kind: type[S]) -> Iterator[S]:
        return (statement for statement in self.statements if isinstance(statement, kind))

    @property
    def name(self) -> str:
        """The header's name, else the name of the source without folder and extension."""
        for header in self._all(Header):
            return header.name
        return self.source.name.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0] or "cascade"

    @cached_property
    def einsums(self) -> tuple[Einsum, ...]:
        """The Einsums in the order of the file."""
        return tuple(self._all(Einsum))

    @cached_property
    def shapes(self) -> tuple[ShapeDefault, ...]:
        """The sizes and equations of all `shape` statements."""
        return tuple(default for shapes in self._all(Shapes) for default in shapes.defaults)

    @cached_property
    def params(self) -> tuple[Param, ...]:
        """The scalar constants."""
        return tuple(self._all(Param))

    @cached_property
    def ops(self) -> tuple[Op, ...]:
        """The operators that the file defines."""
        return tuple(self._all(Op))

    @cached_property
    def declarations(self) -> tuple[tuple[Role, TensorDeclaration], ...]:
        """Each declared tensor with its role."""
        return tuple((declare.role, tensor) for declare in self._all(Declare) for tensor in declare.tensors)

    @cached_property
    def stops(self) -> tuple[Stop, ...]:
        """The `stop` statements."""
        return tuple(self._all(Stop))

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The headings."""
        return tuple(self._all(Section))

    @property
    def accesses(self) -> Iterator[Access]:
        """Every access of the Einsums, written or read, in the order of the file."""
        for einsum in self.einsums:
            yield einsum.target
            yield from accesses(einsum.expr)

    @cached_property
    def shape_names(self) -> frozenset[str]:
        """Every upper-case name that has, or may be given, a size: ranks, and names in `shape` and `stop`.

        >>> from fusemax import parse
        >>> sorted(parse("shape M0 = 256, M1 = M / M0\\nZ[b] = A[b, E: d]").shape_names)
        ['B', 'D', 'E', 'M', 'M0', 'M1']
        """
        declared = {rank for _, tensor in self.declarations for rank in tensor.ranks}
        places = [place for access in self.accesses for place in access.places]
        indexed = {place.rank for place in places if place.rank}
        variables = {rank_of(variable) for place in places for variable in index_variables(place)}
        sizes = [default.value for default in self.shapes] + [stop.count for stop in self.stops]
        stated = {name for name in all_names(*sizes) if is_shape(name)}
        return frozenset(declared | indexed | variables | stated | {default.rank for default in self.shapes})

    def __str__(self) -> str:
        from fusemax.ir.print_cascade import print_cascade

        return print_cascade(self)

    def _repr_html_(self) -> str:
        from fusemax.ir.print_cascade import cascade_html

        return cascade_html(self)
