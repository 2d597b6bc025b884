"""Properties of a cascade alone: passes, live footprints, operations and compulsory traffic. SymPy is used here."""

from __future__ import annotations

from collections.abc import Mapping

from fusemax.analysis.counting import symbol
from fusemax.analysis.footprint import footprints
from fusemax.analysis.passes import group_passes
from fusemax.analysis.rank_groups import rank_groups, views
from fusemax.analysis.result import Analysis, CompulsoryTraffic, EinsumFacts, GroupFacts, Work
from fusemax.analysis.roofline import roofline_of
from fusemax.analysis.spill import spills
from fusemax.analysis.work import elements, expanded, operations
from fusemax.errors import FusemaxError, did_you_mean, listed
from fusemax.ir.arch import Arch
from fusemax.ir.cascade import Cascade
from fusemax.ir.checked import Checked
from fusemax.ir.print_cascade import print_einsum
from fusemax.validate import check, solve_shapes

__all__ = ["Analysis", "analyze"]


def analyze(
    cascade: Cascade | Checked,
    shapes: Mapping[str, int] | None = None,
    *,
    tiles: Mapping[str, int] | None = None,
    buffer_bytes: int | None = None,
    word_bits: int = 16,
    arch: Arch | None = None,
) -> Analysis:
    """Derive passes, live footprints, operations and compulsory traffic (FuseMax, MICRO 2024, section III).

    Results are symbolic in the rank shapes; with `shapes` (elements by rank) they have numbers, too. `tiles` are the
    tile sizes of ranks other than the traversed one. With `buffer_bytes` every footprint is compared with a buffer, in
    words of `word_bits`; with `arch` the work is compared with the machine's roofline.
    Raises `FusemaxError` for cascades that `check` refuses, and for shapes and tiles that the cascade cannot have.

    >>> from fusemax import parse
    >>> analysis = analyze(parse("Y = A[k] * B[k]\\nZ = Y * A[k]"))
    >>> analysis.passes, analysis.groups["K"].passes.live_tensors
    ({'K': 2}, ('A',))
    """
    checked = check(cascade, complete=False) if isinstance(cascade, Cascade) else cascade
    sizes = solve_shapes(checked, shapes, complete=False) if shapes else {}
    tiles = _checked_tiles(checked, tiles or {}, sizes)
    einsums = views(checked)
    passes = tuple(group_passes(checked, einsums, group) for group in rank_groups(checked, einsums))
    kept = footprints(checked, einsums, passes, tiles)
    costs = {} if buffer_bytes is None else spills(passes, kept, sizes, buffer_bytes, word_bits)
    groups = {p.group.name: GroupFacts(p, kept[p.group.name], costs.get(p.group.name)) for p in passes}
    facts = tuple(
        EinsumFacts(
            einsum.name,
            print_einsum(einsum.source),
            {p.group.name: p.of[i] for p in passes if i in p.of},
            Work(operations(checked, einsum)),
        )
        for i, einsum in enumerate(checked.einsums)
    )
    analysis = Analysis(
        checked.cascade.name,
        tuple(tensor.name for tensor in checked.inputs),
        tuple(tensor.name for tensor in checked.outputs),
        facts, groups, _traffic(checked), expanded(checked), sizes, tiles, word_bits, checked, buffer_bytes,
        notes=(*checked.incomplete, *checked.notes),
    )  # fmt: skip
    return analysis if arch is None else roofline_of(analysis, arch)


def _checked_tiles(checked: Checked, tiles: Mapping[str, int], sizes: Mapping[str, int]) -> dict[str, int]:
    for rank, tile in tiles.items():
        if rank not in checked.ranks:
            hint = did_you_mean(rank, checked.ranks) or f"its ranks are {listed(checked.ranks)}"
            raise FusemaxError(f"this cascade has no rank '{rank}' to tile", hint)
        if tile < 1:
            raise FusemaxError(f"a tile of {tile} along rank '{rank}'", "give a positive integer")
        if tile > sizes.get(rank, tile):
            raise FusemaxError(f"a tile of {tile} along rank '{rank}', which has {sizes[rank]}", "give a smaller one")
    return dict(tiles)


def _traffic(checked: Checked) -> CompulsoryTraffic:
    sizes = {rank: symbol(rank) for rank in checked.ranks}
    reads, writes = (
        {tensor.name: elements(tensor, sizes) for tensor in tensors} for tensors in (checked.inputs, checked.outputs)
    )
    return CompulsoryTraffic(reads, writes)
