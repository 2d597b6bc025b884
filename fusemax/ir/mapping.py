"""A mapping as data: tiles of ranks, the loop tree, storage, and the units of Einsums."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from fusemax.errors import Source, Span
from fusemax.ir.cascade import NO_COMMENTS, Comments
from fusemax.ir.expr import Expr


@dataclass(frozen=True, slots=True)
class Axis:
    """`array2d.columns`: the length of an axis of a unit."""

    unit: str
    axis: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """`16 MiB`: a size in bytes, as it is written."""

    text: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Fit:
    """`fit buffer`, `fit 16 MiB`: the largest divisor for which all that is held at once fits."""

    capacity: str | Quantity


@dataclass(frozen=True, slots=True)
class Open:
    """`?`: a length for the mapper to find."""


@dataclass(frozen=True, slots=True)
class Length:
    """A length: an expression over numbers, shapes, parameters and axes; axes stand in it as names `unit.axis`."""

    expr: Expr


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a split; without an extent it takes the rest that the others leave."""

    variable: str
    extent: Length | Fit | Open | None = None
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Split:
    """`split p: p2, p1 = fit buffer, p0 = array2d.columns`, outermost part first; `uneven` with shorter last tiles."""

    variable: str
    parts: tuple[Part, ...]
    uneven: bool = False
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a family of mappings and its default: an expression, or a list of words (`kept = QK A`)."""

    name: str
    default: Expr | tuple[str, ...]
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Choose:
    """`choose from flat.csv by model, seq`: the parameters come from the row of a table beside the mapping."""

    file: str
    by: tuple[str, ...]
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)


class Overlap(Enum):
    """The ways in which the iterations of a loop, and the statements below it, share time."""

    FOR = "for"
    PIPELINE = "pipeline"
    STAGES = "stages"


@dataclass(frozen=True, slots=True)
class For:
    """`for`, `pipeline` or `stages` over variables, outermost first."""

    overlap: Overlap
    variables: tuple[str, ...]
    body: tuple[Node, ...]
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)


class BlockKind(Enum):
    """Bodies without a loop of their own."""

    STAGE = "stage"
    PHASE = "phase"
    PREVIOUS = "previous"


@dataclass(frozen=True, slots=True)
class Block:
    """`stage:`, `phase:` or `previous:`"""

    kind: BlockKind
    body: tuple[Node, ...]
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Case:
    """`case qk:` with one body for each value of the parameter, and the comments of each branch."""

    parameter: str
    branches: tuple[tuple[str, tuple[Node, ...]], ...]
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)
    branch_comments: tuple[Comments, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Hold:
    """`hold Q, RM in buffer`, a storage node, also called *keep*; `unless kept` leaves out tensors that a parameter lists;
    `spill s` a share of them.

    A name in `tensors` is a tensor or a parameter that lists tensors.
    """

    tensors: tuple[str, ...]
    level: str
    unless: str | None = None
    spill: Expr | None = None
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Wait:
    """`wait LM`: a synchronization: the reduction that makes LM drains before the statements below start."""

    tensor: str
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class PlacedEinsum:
    """`BQK over e`, `SN chained`: an Einsum, the loops that run inside of the array, outermost first."""

    einsum: str
    over: tuple[str, ...] = ()
    chained: bool = False
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class UnitBlock:
    """`on array2d (rows: m0, columns: p0): BQK over e; LM`: Einsums on a unit, variables spread over its axes.

    `alternating` are groups of Einsums that take turns cycle by cycle (`A | B`), by their positions.
    """

    unit: str
    axes: tuple[tuple[str, str], ...]
    einsums: tuple[PlacedEinsum, ...]
    alternating: tuple[tuple[int, ...], ...] = ()
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Uncounted:
    """`published uncounted exp`: kinds of operations that the published numbers of this mapping leave out."""

    kinds: tuple[str, ...]
    span: Span | None = field(default=None, compare=False, repr=False)
    comments: Comments = field(default=NO_COMMENTS, compare=False, repr=False)


Leaf = Hold | Wait | UnitBlock
"""Nodes without a body."""
Node = For | Block | Case | Leaf


@dataclass(frozen=True)
class Mapping:
    """A parsed mapping file.

    `table` has the rows of the file that `choose` names, each as pairs of column and text. `comments` stand below its
    last line; `header_comments` belong to its lines `mapping`, `cascade` and `arch`.
    """

    name: str
    parameters: tuple[Parameter, ...]
    cascade: str
    arch: str
    choose: Choose | None
    splits: tuple[Split, ...]
    uncounted: Uncounted | None
    body: tuple[Node, ...]
    source: Source = field(compare=False, repr=False, default=Source("<mapping>", ""))
    table: tuple[tuple[tuple[str, str], ...], ...] = field(compare=False, repr=False, default=())
    comments: tuple[str, ...] = field(compare=False, repr=False, default=())
    header_comments: tuple[Comments, Comments, Comments] = field(
        compare=False, repr=False, default=(NO_COMMENTS, NO_COMMENTS, NO_COMMENTS)
    )

    def __str__(self) -> str:
        from fusemax.ir.print_mapping import print_mapping

        return print_mapping(self)
