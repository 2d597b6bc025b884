"""Does a cascade mean something? All problems of a file at once, else the cascade with its meaning."""

from __future__ import annotations

from dataclasses import replace

from fusemax.errors import FusemaxError, in_order
from fusemax.ir.cascade import Cascade
from fusemax.ir.checked import Checked, CheckedEinsum, Rank
from fusemax.ir.expr import Apply, Expr, Name, rank_of
from fusemax.validate.draft import Draft
from fusemax.validate.einsums import resolve
from fusemax.validate.filters import note_unfiltered_reads
from fusemax.validate.names import check_constants, infer_scalars
from fusemax.validate.order import check_definitions, check_iterations, schedule
from fusemax.validate.shapes import solve_shapes
from fusemax.validate.tensors import collect, note_inferred

__all__ = ["check", "solve_shapes"]


def check(cascade: Cascade, *, complete: bool = True) -> Checked:
    """The cascade with its meaning: tensors, ranks, iteration spaces, and an order of computation.

    Raises `FusemaxError` with all problems of the file. Missing initial values and trip counts are problems too,
    unless `complete` is False: then they are found in `Checked.incomplete` (enough for `analyze`, not for `execute`).

    >>> from fusemax import parse
    >>> checked = check(parse("Z[m] = A[k, m] * B[k]"))
    >>> [tensor.name for tensor in checked.inputs], checked.einsums[0].reduced
    (['A', 'B'], ('k',))
    """
    draft = Draft(cascade)
    collect(draft)
    infer_scalars(draft)
    check_constants(draft)
    einsums = _resolve_all(draft)
    _stop_if_wrong(draft)
    check_definitions(draft, einsums)
    _equations_of_splits(draft, einsums)
    check_iterations(draft, einsums)
    _equations_of_shapes(draft)
    _stop_if_wrong(draft)
    order = schedule(draft, einsums)
    note_inferred(draft)
    note_unfiltered_reads(draft, einsums)
    checked = Checked(
        cascade, draft.tensors, tuple(einsums), _ranks(draft, einsums), tuple(draft.equations), order,
        (*cascade.notes, *in_order(draft.notes)), in_order(draft.incomplete),
    )  # fmt: skip
    if complete and checked.incomplete:
        raise FusemaxError(checked.incomplete)
    solve_shapes(checked, complete=False)
    return checked


def _stop_if_wrong(draft: Draft) -> None:
    if draft.problems:
        raise FusemaxError(in_order(draft.problems))


def _resolve_all(draft: Draft) -> list[CheckedEinsum]:
    """Every Einsum that can be resolved, in the order of the file; the others have left a problem."""
    writes = {id(write.einsum): write for writes in draft.writes.values() for write in writes}
    resolved = (resolve(draft, einsum, writes[id(einsum)]) for einsum in draft.cascade.einsums if id(einsum) in writes)
    return [einsum for einsum in resolved if einsum is not None]


def _equations_of_splits(draft: Draft, einsums: list[CheckedEinsum]) -> None:
    """A split or join says that the joined rank is the product of its parts."""
    for einsum in einsums:
        for use in (einsum.target, *einsum.reads):
            for index, rank in zip(use.indices, use.ranks, strict=True):
                if index.split and rank not in index.split:
                    draft.equate(rank, _product(index.split), f"'{rank}' is split", index.span)


def _product(ranks: tuple[str, ...]) -> Expr:
    product: Expr = Name(ranks[0])
    for rank in ranks[1:]:
        product = Apply("mul", (product, Name(rank)))
    return product


def _equations_of_shapes(draft: Draft) -> None:
    """The `shape` statements come first, so that their form is the one that errors show."""
    from fusemax.ir.checked import Equation

    stated = [Equation(d.rank, d.value, "the `shape` statement says so", True, d.span) for d in draft.cascade.shapes]
    draft.equations = [*stated, *draft.equations]


def _ranks(draft: Draft, einsums: list[CheckedEinsum]) -> dict[str, Rank]:
    """Every rank, in the order in which the tensors and Einsums mention them, with the splits that are in use."""
    ranks: dict[str, Rank] = {rank: Rank(rank) for tensor in draft.tensors.values() for rank in tensor.ranks}
    for einsum in einsums:
        for variable in einsum.variables:
            ranks.setdefault(rank_of(variable), Rank(rank_of(variable)))
        for use in (einsum.target, *einsum.reads):
            for index, rank in zip(use.indices, use.ranks, strict=True):
                parts = index.split
                if parts and rank not in parts and parts not in ranks[rank].splits:
                    ranks[rank] = replace(ranks[rank], splits=(*ranks[rank].splits, parts))
    return ranks
