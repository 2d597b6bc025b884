"""Reads of a filtered tensor where it was not written: legal, and easily an oversight."""

from __future__ import annotations

from collections.abc import Sequence

from fusemax.errors import Problem
from fusemax.ir.affine import Affine, substitute, total
from fusemax.ir.checked import CheckedEinsum, Constraint, Relation, Use
from fusemax.validate.draft import Draft


def note_unfiltered_reads(draft: Draft, einsums: Sequence[CheckedEinsum]) -> None:
    """Note every read of a filtered tensor outside of its filter, if no `empty` was declared for it."""
    writers = {
        e.name: e for e in einsums if e.constraints and e.target.when is None and draft.tensors[e.name].empty is None
    }
    for einsum in einsums:
        for use in einsum.reads:
            writer = writers.get(use.tensor)
            if writer is not None:
                _note(draft, writer, einsum, use)


def _note(draft: Draft, writer: CheckedEinsum, reader: CheckedEinsum, use: Use) -> None:
    indices = {
        written.variable: read
        for written, read in zip(writer.target.indices, use.indices, strict=True)
        if written.variable is not None
    }
    for constraint in writer.constraints:
        if not set(constraint.form.variables) <= set(indices):
            continue  # it limits what is combined, not what is written
        here = Constraint(substitute(constraint.form, indices), constraint.relation)
        if not any(_implies(known, here) for known in (_trivial(here), *reader.constraints)):
            place = constraint.span
            message = f"'{use.tensor}' is read where it is not written: its filter stands at {place}"
            hint = (
                "state the filter here too; else such points count, with the value 0 (declare `empty = v` for another)"
            )
            draft.notes.append(Problem(message, use.span, hint))
            return


def _trivial(constraint: Constraint) -> Constraint:
    """The bounds of every point: coordinates and shapes are not negative."""
    form = constraint.form
    positive = all(term.factor > 0 for term in form.terms)
    return Constraint(form if positive else Affine(()), Relation.NOT_NEGATIVE)


def _implies(known: Constraint, wanted: Constraint) -> bool:
    """Whether one filter implies another: the same form, or one that is at least as strict by a known amount."""
    slack = total((wanted.form, 1), (known.form, -1)).number
    if known.relation is wanted.relation:
        if wanted.relation is Relation.NOT_NEGATIVE:
            return slack is not None and slack >= 0 and bool(known.form.terms or slack == 0)
        return slack == 0 or total((wanted.form, 1), (known.form, 1)).number == 0
    if known.relation is Relation.ZERO and wanted.relation is Relation.NOT_NEGATIVE:
        other = total((wanted.form, 1), (known.form, 1)).number
        return any(amount is not None and amount >= 0 for amount in (slack, other))
    return False
