"""The cost of a buffer that is too small: the least extra DRAM traffic of the tensors that live across passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from fusemax.analysis.counting import missing_sizes, symbol
from fusemax.analysis.footprint import BoundaryFootprint, Footprint
from fusemax.analysis.passes import GroupPasses
from fusemax.analysis.result import Spill
from fusemax.units import bytes_of_words

if TYPE_CHECKING:
    import sympy


def spills(
    passes: Sequence[GroupPasses],
    footprints: Mapping[str, Footprint],
    sizes: Mapping[str, int],
    buffer_bytes: int,
    word_bits: int,
) -> dict[str, Spill]:
    """Every group against a buffer. Raises `FusemaxError` for sizes that are missing.

    At each boundary an input that does not fit is read again, other tensors are written and read back; or all are computed
    again from inputs that are loaded again, if these are fewer words. A family without a boundary of its own costs the
    sum of its parts (docs/passes.md, rule P15).
    """
    capacity = Fraction(buffer_bytes * 8, word_bits)
    extra = {name: extra_words(name, footprint, sizes, capacity) for name, footprint in footprints.items()}
    found: dict[str, Spill] = {}
    for group in (p.group for p in passes):
        footprint, parts = footprints[group.name], group.parts
        words = extra[group.name] if footprint.boundaries else sum(extra[part] for part in parts if part in extra)
        needed = _number(group.name, footprint.elements, sizes)
        found[group.name] = Spill(
            needed <= capacity,
            bytes_of_words(needed, word_bits),
            bytes_of_words(words if needed > capacity else 0, word_bits),
        )
    return found


def extra_words(name: str, footprint: Footprint, sizes: Mapping[str, int], capacity: Fraction) -> Fraction:
    """The extra words of all boundaries."""
    running = footprint.running.elements
    return sum((boundary_words(name, b, running, sizes, capacity) for b in footprint.boundaries), Fraction(0))


def boundary_words(
    name: str, boundary: BoundaryFootprint, running: sympy.Expr, sizes: Mapping[str, int], capacity: Fraction
) -> Fraction:
    """The extra words of one boundary; inputs go first, since they are only read."""
    kept = boundary.kept
    over = _number(name, kept.elements + running, sizes) - capacity
    if over <= 0:
        return Fraction(0)
    again = min(over, _number(name, kept.inputs, sizes))
    spilled = (again + 2 * (over - again)) * _number(name, kept.fibers, sizes)
    if boundary.recompute is None:
        return spilled
    return min(spilled, _number(name, boundary.recompute.loaded, sizes))


def _number(group: str, expr: sympy.Expr, sizes: Mapping[str, int]) -> Fraction:
    missing = {s.name for s in expr.free_symbols} - sizes.keys()
    if missing:
        raise missing_sizes(f"comparing rank '{group}' with a buffer", missing)
    value = expr.subs({symbol(rank): size for rank, size in sizes.items()})
    numerator, denominator = value.as_numer_denom()
    return Fraction(int(numerator), int(denominator))
