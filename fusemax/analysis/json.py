"""The JSON of an analysis: documented in docs/json.md, stable for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusemax.analysis.footprint import BoundaryFootprint
from fusemax.analysis.result import Analysis, GroupFacts, Work
from fusemax.view import Json, Record

if TYPE_CHECKING:
    import sympy


def analysis_json(analysis: Analysis) -> Json:
    """The analysis as JSON data: symbols as text, numbers beside them where the sizes are known, else null."""
    return {
        "cascade": analysis.cascade,
        "inputs": sorted(analysis.inputs),
        "outputs": sorted(analysis.outputs),
        "shapes": dict(analysis.sizes),
        "tiles": dict(analysis.tiles),
        "einsums": [
            {"output": e.output, "text": e.text, "pass": dict(e.passes), **_operations(analysis, e.work)}
            for e in analysis.einsums
        ],
        "passes": {name: _group(analysis, facts) for name, facts in analysis.groups.items()},
        **_operations(analysis, analysis.work),
        "operators": {name: dict(counts) for name, counts in analysis.operators.items()},
        "traffic": {
            "reads": {name: str(expr) for name, expr in analysis.traffic.reads.items()},
            "writes": {name: str(expr) for name, expr in analysis.traffic.writes.items()},
            **_value(analysis, "elements", analysis.traffic.total),
            "bytes": analysis.traffic_bytes if analysis.sizes else None,
        },
        "intensity_ops_per_byte": analysis.intensity,
        "word_bits": analysis.word_bits,
        "buffer_bytes": analysis.buffer_bytes,
        "roofline": _roofline(analysis),
        "notes": [problem.message for problem in analysis.notes],
    }


def group_records(analysis: Analysis) -> list[Record]:
    """A row for each rank group, with its footprint in symbols and, for known sizes, in elements and bytes."""
    rows: list[Record] = []
    for name, facts in analysis.groups.items():
        spill = facts.spill
        rows.append({
            "rank": name,
            "passes": facts.passes.passes,
            "per_step_of": " ".join(facts.passes.per_step_of),
            "live": " ".join(facts.passes.live_tensors),
            **_value(analysis, "footprint", facts.footprint.elements),
            "grows_with_rank": facts.footprint.grows_with_rank,
            **({} if spill is None else {"fits": spill.fits, "extra_dram_bytes": spill.extra_dram_bytes}),
        })  # fmt: skip
    return rows


def _operations(analysis: Analysis, work: Work) -> Json:
    return {"ops": {kind: str(expr) for kind, expr in work.symbolic().items()}, "ops_count": analysis.numbers(work)}


def _group(analysis: Analysis, facts: GroupFacts) -> Json:
    passes, footprint, spill = facts.passes, facts.footprint, facts.spill
    return {
        "ranks": list(passes.group.parts or (passes.group.name,)),
        "passes": passes.passes,
        "per_step_of": list(passes.per_step_of),
        "live": list(passes.live_tensors),
        "partial": list(passes.partial_tensors),
        "per_tensor": dict(passes.per_tensor),
        **_value(analysis, "footprint", footprint.elements),
        "grows_with_rank": footprint.grows_with_rank,
        "running_state": list(footprint.running.tensors),
        "boundaries": [
            {"after": b.after, "completes": b.completes, "waits_for": b.waits_for, "rereads": b.rereads, "by": b.by}
            for b in passes.boundaries
        ],
        "kept": [_kept(analysis, boundary) for boundary in footprint.boundaries],
        "buffer": None
        if spill is None
        else {
            "fits": spill.fits,
            "footprint_bytes": spill.footprint_bytes,
            "extra_dram_bytes": spill.extra_dram_bytes,
        },
    }


def _kept(analysis: Analysis, boundary: BoundaryFootprint) -> Json:
    kept, other = boundary.kept, boundary.recompute
    return {
        "after": boundary.after,
        "tensors": list(kept.tensors),
        **_value(analysis, "elements", kept.elements),
        **_value(analysis, "fibers", kept.fibers),
        "recompute": None
        if other is None
        else {
            "keep": list(other.keep),
            "instead_of": list(other.instead_of),
            **_value(analysis, "elements", other.elements),
        },
    }


def _value(analysis: Analysis, key: str, expr: sympy.Expr) -> Json:
    """An expression, and its number beside it."""
    return {key: str(expr), f"{key}_count": analysis.number(expr) if analysis.sizes or expr.is_number else None}


def _roofline(analysis: Analysis) -> Json | None:
    roofline = analysis.roofline
    if roofline is None:
        return None
    return {
        "arch": roofline.arch,
        "compute_s": roofline.compute_s,
        "memory_s": roofline.memory_s,
        "bound": roofline.bound,
        "busiest": list(roofline.busiest),
        "lacking": list(roofline.lacking),
    }
