"""The state of the check: the cascade, the problems so far, and the tables of its tensors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from fusemax.errors import MOST_SHOWN, FusemaxError, Problem, Span, did_you_mean, nearest
from fusemax.ir.affine import Affine
from fusemax.ir.cascade import Cascade, Einsum, Param, Role, TensorDeclaration
from fusemax.ir.checked import Equation, Tensor, Use, When
from fusemax.ir.expr import Access, Expr, accesses, variables_of


@dataclass(frozen=True, slots=True)
class Write:
    """The left side of an Einsum with its indices, and, for an iterative tensor, which coordinate it writes."""

    einsum: Einsum
    position: int
    indices: tuple[Affine, ...]
    when: When | None


@dataclass
class Draft:
    """The working state of one check.

    `tensors` has the tensors whose ranks are known; what is wrong with the others has been taken down. `uses` has
    the reads of each Einsum, by its position in the file, that could be resolved.
    """

    cascade: Cascade
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    incomplete: list[Problem] = field(default_factory=list)
    declared: dict[str, tuple[Role, TensorDeclaration]] = field(default_factory=dict)
    writes: dict[str, list[Write]] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    splits: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    own_ranks: frozenset[str] = frozenset()
    uses: dict[int, dict[Access, Use]] = field(default_factory=dict)
    equations: dict[tuple[str, Expr], Equation] = field(default_factory=dict)

    def refuse(self, message: str, span: Span | None, hint: str | None = None) -> None:
        """Take down a problem."""
        self.problems.append(Problem(message, span, hint))

    def refuse_all(self, error: FusemaxError) -> None:
        """Take down the problems of an error."""
        self.problems.extend(error.problems)

    @property
    def many_problems(self) -> bool:
        """Whether there are more problems than are shown, so that hints need no more effort."""
        return len(self.problems) > MOST_SHOWN

    def nearest(self, name: str, known: Iterable[str]) -> str | None:
        """The known name most like `name`, if one is near."""
        return None if self.many_problems else nearest(name, known)

    def did_you_mean(self, name: str, known: Iterable[str]) -> str | None:
        """A hint that offers the nearest known name."""
        return None if self.many_problems else did_you_mean(name, known)

    def equate(self, left: str, right: Expr, because: str, span: Span | None, default: bool = False) -> None:
        """Take down an equation between sizes, once."""
        self.equations.setdefault((left, right), Equation(left, right, because, default, span))

    @cached_property
    def infers_inputs(self) -> bool:
        """With no `input` at all, tensors that are never written are inputs."""
        return all(role is not Role.INPUT for role, _ in self.cascade.declarations)

    @cached_property
    def params(self) -> dict[str, Param]:
        """The parameters by name."""
        return {param.name: param for param in self.cascade.params}

    @cached_property
    def accesses(self) -> dict[str, list[Access]]:
        """Every access of each tensor, written or read, in the order of the file."""
        found: dict[str, list[Access]] = {}
        for access in self.cascade.accesses:
            found.setdefault(access.tensor, []).append(access)
        return found

    @cached_property
    def reads(self) -> dict[str, list[Access]]:
        """The accesses that read each tensor, in the order of the file."""
        found: dict[str, list[Access]] = {}
        for einsum in self.cascade.einsums:
            for access in accesses(einsum.expr):
                found.setdefault(access.tensor, []).append(access)
        return found

    @cached_property
    def written(self) -> dict[str, int]:
        """The position of the first Einsum that writes each tensor, well or not."""
        found: dict[str, int] = {}
        for position, einsum in enumerate(self.cascade.einsums):
            found.setdefault(einsum.name, position)
        return found

    @cached_property
    def positions(self) -> dict[str, set[int]]:
        """The positions of the Einsums in which each rank variable stands."""
        found: dict[str, set[int]] = {}
        for position, einsum in enumerate(self.cascade.einsums):
            for variable in (*variables_of(einsum.target), *variables_of(einsum.expr)):
                found.setdefault(variable, set()).add(position)
        return found

    def used_elsewhere(self, variable: str, position: int) -> bool:
        """Whether a rank variable stands in another Einsum than the one at the position."""
        return bool(self.positions.get(variable, set()) - {position})

    def step(self, tensor: str) -> Write | None:
        """The write at `v+1` of an iterative tensor."""
        return next((write for write in self.writes.get(tensor, ()) if write.when is When.NEW), None)
