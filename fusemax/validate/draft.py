"""What the check knows while it works: the cascade, the problems so far, and what the tables say of its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fusemax.errors import FusemaxError, Problem, Span
from fusemax.ir.affine import Affine
from fusemax.ir.cascade import Cascade, Einsum, Role, TensorDeclaration
from fusemax.ir.checked import Equation, Tensor, When
from fusemax.ir.expr import Access, Expr, accesses, is_shape, names, rank_of


@dataclass(frozen=True, slots=True)
class Write:
    """The left side of an Einsum with its indices, and, for an iterative tensor, which coordinate it writes."""

    einsum: Einsum
    indices: tuple[Affine, ...]
    when: When | None


@dataclass
class Draft:
    """The working state of one check."""

    cascade: Cascade
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    incomplete: list[Problem] = field(default_factory=list)
    declared: dict[str, tuple[Role, TensorDeclaration]] = field(default_factory=dict)
    writes: dict[str, list[Write]] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    splits: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    equations: list[Equation] = field(default_factory=list)

    def refuse(self, message: str, span: Span | None, hint: str | None = None) -> None:
        """Take down a problem."""
        self.problems.append(Problem(message, span, hint))

    def refuse_all(self, error: FusemaxError) -> None:
        """Take down the problems of an error."""
        self.problems.extend(error.problems)

    @property
    def infers_inputs(self) -> bool:
        """With no `input` at all, tensors that are never written are inputs."""
        return all(role is not Role.INPUT for role, _ in self.declared.values())

    @property
    def own_ranks(self) -> set[str]:
        """Ranks and shapes that the file states: a variable of such a rank is no alias for another."""
        stated = {rank for _, tensor in self.declared.values() for rank in tensor.ranks}
        inferred = {rank for t in self.tensors.values() if t.role is Role.INPUT for rank in t.ranks}
        return stated | inferred | {default.rank for default in self.cascade.shapes}

    @property
    def shape_names(self) -> set[str]:
        """Every upper-case name that has, or may be given, a size."""
        variables = {rank_of(v) for access in self.all_accesses() for v in _variables(access)}
        stops = {name.name for stop in self.cascade.stops for name in names(stop.count)}
        of_shapes = {n.name for default in self.cascade.shapes for n in names(default.value)}
        return self.own_ranks | variables | {n for n in stops | of_shapes if is_shape(n)}

    def all_accesses(self) -> Iterable[Access]:
        """Every access, written or read, in the order of the file."""
        for einsum in self.cascade.einsums:
            yield einsum.target
            yield from accesses(einsum.expr)

    def equate(self, left: str, right: Expr, because: str, span: Span | None) -> None:
        """Take down an equation between sizes, once."""
        equation = Equation(left, right, because, span=span)
        if all((e.left, e.right) != (left, right) for e in self.equations):
            self.equations.append(equation)


def _variables(access: Access) -> Iterable[str]:
    for place in access.places:
        for name in names(place.index):
            if not is_shape(name.name):
                yield name.name


def sizes(tensors: Mapping[str, Tensor]) -> set[str]:
    """The ranks of the tensors."""
    return {rank for tensor in tensors.values() for rank in tensor.ranks}
