"""What a buffer that is too small costs: the least extra DRAM traffic for what lives across passes."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from fusemax.analysis.counting import symbol
from fusemax.analysis.facts import Spill
from fusemax.analysis.footprint import BoundaryFootprint, Footprint
from fusemax.errors import FusemaxError

if TYPE_CHECKING:
    import sympy


def spill(name: str, footprint: Footprint, sizes: Mapping[str, int], buffer_bytes: int, word_bits: int) -> Spill:
    """Whether the footprint of a group fits a buffer, and the least DRAM traffic if it does not.

    An input that does not fit is read again, once a boundary; anything else is written out and read back; and if
    loading the inputs from which it is computed again is less, that is done. Raises `FusemaxError` for missing sizes.
    """
    needed = _number(name, footprint.elements, sizes)
    extra = Fraction(0)
    for boundary in footprint.boundaries:
        extra += _boundary(name, footprint, boundary, sizes, Fraction(buffer_bytes * 8, word_bits))
    bits = Fraction(word_bits, 8)
    return Spill(needed * bits <= buffer_bytes, _ceil(needed * bits), _ceil(extra * bits))


def _boundary(
    name: str, footprint: Footprint, boundary: BoundaryFootprint, sizes: Mapping[str, int], room: Fraction
) -> Fraction:
    """The extra words of one boundary; what can be read again goes first, for it costs half."""
    kept = boundary.kept
    inputs = _number(name, kept.inputs, sizes)
    over = max(Fraction(0), _number(name, kept.elements + footprint.running.elements, sizes) - room)
    again = min(over, inputs)
    spilled = (again + 2 * (over - again)) * _number(name, kept.fibers, sizes)
    if boundary.recompute is None:
        return spilled
    return min(spilled, _number(name, boundary.recompute.loaded, sizes))


def _number(group: str, expr: sympy.Expr, sizes: Mapping[str, int]) -> Fraction:
    missing = sorted(s.name for s in expr.free_symbols if s.name not in sizes)
    if missing:
        hint = "give " + " ".join(f"--shape {rank}=64" for rank in missing)
        raise FusemaxError(f"rank '{group}' cannot be compared with a buffer: {_no_size(missing)}", hint)
    value = expr.subs({symbol(rank): size for rank, size in sizes.items()})
    numerator, denominator = value.as_numer_denom()
    return Fraction(int(numerator), int(denominator))


def _no_size(missing: list[str]) -> str:
    return f"{', '.join(missing)} {'has' if len(missing) == 1 else 'have'} no size"


def _ceil(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)
