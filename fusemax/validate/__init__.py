"""Does a cascade mean something? All problems of a file at once, else the cascade with its meaning."""

from __future__ import annotations

from dataclasses import replace

from fusemax.errors import FusemaxError, in_order, listed
from fusemax.ir.cascade import Cascade
from fusemax.ir.checked import Checked, CheckedEinsum, Rank
from fusemax.ir.expr import Apply, Expr, Name, rank_of
from fusemax.syntax.load import load_cascade
from fusemax.validate.bounds import check_bounds
from fusemax.validate.draft import Draft
from fusemax.validate.einsums import resolve
from fusemax.validate.filters import note_unfiltered_reads
from fusemax.validate.names import check_constants, infer_scalars
from fusemax.validate.order import check_definitions, check_iterations
from fusemax.validate.schedule import schedule
from fusemax.validate.shapes import solve, solve_shapes
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
    _equations_of_splits(draft, einsums)
    check_definitions(draft)
    check_iterations(draft)
    _check_sizes(draft, einsums)
    if draft.problems or (complete and draft.incomplete):
        raise FusemaxError(in_order([*draft.problems, *(draft.incomplete if complete else ())]))
    order = schedule(draft, einsums)
    note_inferred(draft)
    note_unfiltered_reads(draft, einsums)
    return Checked(
        cascade, draft.tensors, tuple(einsums), _ranks(draft, einsums), tuple(draft.equations.values()), order,
        (*cascade.notes, *in_order(draft.notes)), in_order(draft.incomplete),
    )  # fmt: skip


def checked_of(cascade: str | Cascade | Checked, *, complete: bool = True) -> Checked:
    """A cascade with its meaning, given so, as it is written, or by the name of a shipped file or of a file."""
    named = load_cascade(cascade) if isinstance(cascade, str) else cascade
    return check(named, complete=complete) if isinstance(named, Cascade) else named


def _resolve_all(draft: Draft) -> list[CheckedEinsum]:
    """Every Einsum that can be resolved, in the order of the file; the others have left a problem."""
    writes = {write.position: write for writes in draft.writes.values() for write in writes}
    resolved = (resolve(draft, einsum, i, writes.get(i)) for i, einsum in enumerate(draft.cascade.einsums))
    return [einsum for einsum in resolved if einsum is not None]


def _equations_of_splits(draft: Draft, einsums: list[CheckedEinsum]) -> None:
    """A split or join says that the joined rank is the product of its parts; no rank is a part of its own parts."""
    parts: dict[str, set[str]] = {}
    for einsum in einsums:
        for use in (einsum.target, *einsum.reads):
            for index, rank in zip(use.indices, use.ranks, strict=True):
                if not index.split or rank in index.split:
                    continue
                if rank in _all_parts(parts, index.split):
                    split = f"its parts {listed(index.split)} are split into it"
                    message = f"rank '{rank}' would be a part of itself: {split}"
                    draft.refuse(message, index.span, "give the parts ranks of their own")
                else:
                    parts.setdefault(rank, set()).update(index.split)
                    draft.equate(rank, _product(index.split), f"'{rank}' is split", index.span)


def _all_parts(parts: dict[str, set[str]], ranks: tuple[str, ...]) -> set[str]:
    """The ranks, their parts, the parts of these, and so on."""
    found: set[str] = set()
    waiting = list(ranks)
    while waiting:
        rank = waiting.pop()
        if rank not in found:
            found.add(rank)
            waiting += parts.get(rank, ())
    return found


def _product(ranks: tuple[str, ...]) -> Expr:
    product: Expr = Name(ranks[0])
    for rank in ranks[1:]:
        product = Apply("mul", (product, Name(rank)))
    return product


def _check_sizes(draft: Draft, einsums: list[CheckedEinsum]) -> None:
    """Whether the sizes that the file gives agree, and keep every access inside of its ranks."""
    sizes, problems = solve(draft.equations.values(), {})
    draft.problems.extend(problems)
    check_bounds(draft, einsums, {} if problems else sizes)


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
