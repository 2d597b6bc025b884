"""The passes of a rank explained in sentences: dependences at each boundary, and the tensors that live across it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fusemax.analysis.footprint import BoundaryFootprint
from fusemax.analysis.result import Analysis, GroupFacts
from fusemax.units import readable_bytes, readable_number
from fusemax.view import Table, joined

if TYPE_CHECKING:
    import sympy


def explain(analysis: Analysis, rank: str) -> Table:
    """Passes and footprint of one rank, boundary by boundary. Raises `FusemaxError` for an unknown rank.

    >>> from fusemax import analyze, parse
    >>> print(explain(analyze(parse("Y = A[k] * B[k]\\nZ = Y * A[k]")), "K").text())
    K: 2 passes are needed
      pass 1 completes Y; Z needs it and reads A again: pass 2
      A must live across the end of pass 1: K elements per fiber
      the least on chip is K elements, which grows with K
      passes that read each tensor: A 2, B 1
    """
    facts = analysis.group(rank)
    return Table(group_title(facts), below=(*sentences(facts), *_footprint(analysis, facts), *_reads(facts)))


def group_title(facts: GroupFacts) -> str:
    """The rank and its number of passes."""
    passes, group = facts.passes, facts.passes.group
    family = f" (with its parts {joined(group.parts)})" if group.parts else ""
    count = "1 pass is" if passes.passes == 1 else f"{passes.passes} passes are"
    per_step = f", per step of {joined(passes.per_step_of)}" if passes.per_step_of else ""
    return f"{group.name}{family}: {count} needed{per_step}"


def sentences(facts: GroupFacts) -> Iterator[str]:
    """For every boundary the completed tensor, the Einsum that depends on it, and the tensor that is read again."""
    if facts.passes.passes == 1:
        yield "no Einsum reads a fiber again after something computed from all of it"
    for boundary in facts.passes.boundaries:
        through = "" if boundary.waits_for == boundary.completes else f", from which {boundary.waits_for} is computed"
        done = f"pass {boundary.after} completes {boundary.completes}{through}"
        needs = f"{boundary.by} needs it and reads {boundary.rereads} again"
        yield f"{done}; {needs}: pass {boundary.after + 1}"


def _footprint(analysis: Analysis, facts: GroupFacts) -> Iterator[str]:
    passes, footprint = facts.passes, facts.footprint
    for boundary in footprint.boundaries:
        yield from _kept(analysis, boundary)
    if footprint.running.tensors:
        yield f"running state {joined(footprint.running.tensors)}: {sized(analysis, footprint.running.elements)} elements"
    if passes.partial_tensors:
        yield f"with a part of the family only, needed on both sides: {joined(passes.partial_tensors)}"
    grows = "grows" if footprint.grows_with_rank else "does not grow"
    yield f"the least on chip is {sized(analysis, footprint.elements)} elements, which {grows} with {passes.group.name}"
    if facts.spill is not None and analysis.buffer_bytes is not None:
        fits = "fits" if facts.spill.fits else "does not fit"
        extra = (
            f": at least {readable_bytes(facts.spill.extra_dram_bytes)} more DRAM traffic"
            if not facts.spill.fits
            else ""
        )
        yield f"it {fits} into {readable_bytes(analysis.buffer_bytes)}{extra}"


def _kept(analysis: Analysis, boundary: BoundaryFootprint) -> Iterator[str]:
    kept, other = boundary.kept, boundary.recompute
    if not kept.tensors:
        yield f"no tensor needs to live across the end of pass {boundary.after}"
        return
    size = sized(analysis, kept.elements)
    yield f"{joined(kept.tensors)} must live across the end of pass {boundary.after}: {size} elements per fiber"
    if other is not None:
        size = sized(analysis, other.elements)
        yield f"  or keep {joined(other.keep)}, {size} elements, and compute {joined(other.instead_of)} again"


def _reads(facts: GroupFacts) -> Iterator[str]:
    reads = joined([f"{name} {count}" for name, count in facts.passes.per_tensor.items()])
    yield f"passes that read each tensor: {reads}" if reads else "no tensor is read over it"


def sized(analysis: Analysis, expr: sympy.Expr) -> str:
    """An expression, and its value if the sizes are known."""
    number = analysis.number(expr)
    return str(expr) if number is None or expr.is_number else f"{expr} = {readable_number(number)}"
