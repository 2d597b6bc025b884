"""Tensors under a mapping: those in the outermost memory, views of inputs, and the variables of ranks, split."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from fusemax.ir.cascade import Role
from fusemax.ir.checked import Checked, CheckedEinsum, Tensor
from fusemax.ir.expr import Access, variable_of

Splits = Mapping[str, tuple[str, ...]]
"""The parts of each variable that a mapping splits, outermost first."""


def _is_view(einsum: CheckedEinsum) -> bool:
    """Whether an Einsum is one read without an operator: a view, if it reads an input or a view."""
    only = isinstance(einsum.expr, Access) and not einsum.reductions and not einsum.initial
    return only and einsum.target.when is None and bool(einsum.reads)


def sources(checked: Checked) -> dict[str, Tensor]:
    """Tensors that lie in the outermost memory from the start: inputs and, by their own ranks, views of them."""
    names = {tensor.name for tensor in checked.inputs} | views_of(checked)
    return {name: tensor for name, tensor in checked.tensors.items() if name in names}


def views_of(checked: Checked) -> frozenset[str]:
    """Views: parts of inputs, or of other views, under another name; outputs are written, and so no views (docs/model.md, rule 6).

    >>> from fusemax import check, parse
    >>> sorted(views_of(check(parse("input A[M]\\noutput Z[M]\\nB[m] = A[m]\\nT[m] = B[m] * 2\\nZ[m] = T[m]"))))
    ['B']
    """
    copies = {
        e.name: e.reads[0].tensor for e in checked.einsums if _is_view(e) and not is_output(checked.tensors[e.name])
    }
    found: set[str] = set()
    known = {tensor.name for tensor in checked.inputs}
    while fresh := {name for name, source in copies.items() if source in known | found} - found:
        found |= fresh
    return frozenset(found)


def is_output(tensor: Tensor) -> bool:
    """Whether a tensor leaves to the outermost memory."""
    return tensor.role is Role.OUTPUT


def parts_of(variables: Iterable[str], splits: Splits) -> tuple[str, ...]:
    """Variables with those that the mapping splits replaced by their parts."""
    found: list[str] = []
    for variable in variables:
        found += splits.get(variable) or (variable,)
    return tuple(found)


def with_places(checked: Checked, splits: Splits) -> dict[str, tuple[str, ...]]:
    """Splits, and for ranks that no Einsum runs over the variables that stand in their places: `h` of `j*G + g`.

    >>> from fusemax import check, load_cascade
    >>> with_places(check(load_cascade("attention-gqa")), {"g": ("g1", "g0")})
    {'g': ('g1', 'g0'), 'h': ('j', 'g1', 'g0')}
    """
    variables = {variable for einsum in checked.einsums for variable in einsum.variables}
    found = dict(splits)
    for use in (use for einsum in checked.einsums for use in (einsum.target, *einsum.reads)):
        for index, rank in zip(use.indices, use.ranks, strict=True):
            if index.variables and variable_of(rank) not in variables:
                found.setdefault(variable_of(rank), parts_of(index.variables, splits))
    return found


def rank_variables(tensor: Tensor, splits: Splits) -> tuple[str, ...]:
    """The variables of a tensor's ranks, split, without its iterative rank."""
    ranks = (rank for i, rank in enumerate(tensor.ranks) if i != tensor.iterative)
    return parts_of(map(variable_of, ranks), splits)


def tile_variables(tensor: Tensor, splits: Splits, outside: Collection[str]) -> tuple[str, ...]:
    """The variables that the tile of a storage spans: those of the tensor's ranks without the loops outside of the hold
    (docs/model.md, rule 9)."""
    return tuple(v for v in dict.fromkeys(rank_variables(tensor, splits)) if v not in outside)


def running(tensor: Tensor) -> bool:
    """Whether a tensor is the running state of an iteration."""
    return tensor.iterative is not None
