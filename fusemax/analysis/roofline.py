"""The roofline of a machine: no implementation is faster than its units or its outermost memory allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

from fusemax.analysis.counting import missing_sizes
from fusemax.ir.arch import Arch, Unit

if TYPE_CHECKING:
    from fusemax.analysis.result import Analysis


@dataclass(frozen=True, slots=True)
class Roofline:
    """The least time by operations and by compulsory traffic, in seconds.

    `busiest` are the units that need it, `memory` the outermost one; `lacking` are kinds that no unit has.
    """

    arch: str
    compute_s: float
    memory_s: float
    busiest: tuple[str, ...]
    memory: str
    lacking: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """The greater of the two."""
        return max(self.compute_s, self.memory_s)

    @property
    def bound(self) -> str:
        """What limits: `compute` or `memory`."""
        return "compute" if self.compute_s >= self.memory_s else "memory"


def roofline_of(analysis: Analysis, arch: Arch) -> Analysis:
    """The analysis with the roofline of a machine. Raises `FusemaxError` if sizes are missing.

    >>> from fusemax import analyze, load_cascade
    >>> from fusemax.syntax.load import load_arch
    >>> shapes = {"M": 1024, "N": 1024, "K": 1024}
    >>> analyze(load_cascade("matmul"), shapes, arch=load_arch("fusemax-cloud")).roofline.bound
    'compute'
    """
    counts, moved = analysis.numbers(analysis.work), analysis.traffic_bytes
    if counts is None or moved is None:
        spaces = {at for counts in analysis.work.tally.values() for at in counts}
        names = {s.name for s in analysis.traffic.total.free_symbols}.union(*(at.sizes for at in spaces))
        raise missing_sizes("a roofline", names - analysis.sizes.keys())
    cycles, busiest, lacking = least_cycles(_built_in(counts, analysis.operators), arch.units)
    outermost = arch.outermost
    assert outermost.bandwidth_bytes_s is not None, "the reader of architectures asks for it"
    memory_s = moved / outermost.bandwidth_bytes_s
    roofline = Roofline(arch.name, cycles / arch.clock_hz, memory_s, busiest, outermost.name, lacking)
    return replace(analysis, roofline=roofline)


def _built_in(counts: Mapping[str, int], operators: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """The counts with the file's own operators expanded."""
    total: dict[str, int] = {}
    for kind, number in counts.items():
        for inner, times in operators.get(kind, {kind: 1}).items():
            total[inner] = total.get(inner, 0) + number * times
    return total


def least_cycles(counts: Mapping[str, int], units: tuple[Unit, ...]) -> tuple[float, tuple[str, ...], tuple[str, ...]]:
    """The least cycles for these operations, the units that need them, and the kinds that no unit has.

    For every set of units: the operations that only these units have, over all their elements. The greatest of these
    bounds is reached by spreading operations evenly (Hall's condition), as long as nothing else is in the way.

    >>> from fusemax.ir.arch import Operation
    >>> unit = Unit("u", (("x", 4),), (), None, (Operation("mac", 1, 0.0),))
    >>> least_cycles({"mac": 8, "div": 1}, (unit,))
    (2.0, ('u',), ('div',))
    """
    slots = {kind: {unit.name: s for unit in units if (s := unit.slots(kind)) is not None} for kind in counts}
    best: tuple[float, tuple[str, ...]] = (0.0, ())
    for size in range(1, len(units) + 1):
        for chosen in combinations(units, size):
            names = {unit.name for unit in chosen}
            only_here = {kind: by for kind, by in slots.items() if by and by.keys() <= names}
            work = sum(counts[kind] * min(by.values()) for kind, by in only_here.items())
            cycles = work / sum(unit.elements for unit in chosen)
            if cycles > best[0]:
                best = cycles, tuple(unit.name for unit in chosen)
    return (*best, tuple(kind for kind, by in slots.items() if not by))
