"""The JSON of an analysis: documented in docs/json.md, stable for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fusemax.analysis.facts import Analysis, GroupFacts, Work

if TYPE_CHECKING:
    import sympy


def analysis_json(analysis: Analysis) -> dict[str, Any]:
    """The analysis as JSON data: symbols as text, numbers beside them where the sizes are known, else null."""
    elements = analysis.number(analysis.traffic.total)
    work = analysis.work
    numbers = work.numbers(analysis.sizes) if analysis.sizes else None
    count = None if elements is None else elements * analysis.word_bits / 8
    return {
        "cascade": analysis.cascade,
        "inputs": list(analysis.inputs),
        "outputs": list(analysis.outputs),
        "shapes": dict(analysis.sizes),
        "einsums": [
            {"output": e.output, "text": e.text, "pass": dict(e.passes), **_operations(analysis, e.work)}
            for e in analysis.einsums
        ],
        "passes": {name: _group(analysis, facts) for name, facts in analysis.groups.items()},
        **_operations(analysis, work),
        "operators": {name: dict(counts) for name, counts in analysis.operators.items()},
        "traffic": {
            "reads": {name: str(expr) for name, expr in analysis.traffic.reads.items()},
            "writes": {name: str(expr) for name, expr in analysis.traffic.writes.items()},
            "elements": str(analysis.traffic.total),
            "elements_count": elements,
            "bytes": None if count is None else int(count),
        },
        "intensity_ops_per_byte": sum(numbers.values()) / count if numbers is not None and count else None,
        "word_bits": analysis.word_bits,
        "buffer_bytes": analysis.buffer_bytes,
        "roofline": _roofline(analysis),
        "notes": [problem.message for problem in analysis.notes],
    }


def _operations(analysis: Analysis, work: Work) -> dict[str, Any]:
    numbers = work.numbers(analysis.sizes) if analysis.sizes else None
    return {"ops": {kind: str(expr) for kind, expr in work.symbolic().items()}, "ops_count": numbers}


def _group(analysis: Analysis, facts: GroupFacts) -> dict[str, Any]:
    passes, footprint = facts.passes, facts.footprint
    return {
        "ranks": [passes.group.name] if not passes.group.parts else list(passes.group.parts),
        "passes": passes.passes,
        "per_step_of": list(passes.per_step_of),
        "live": list(passes.live_tensors),
        "partial": list(passes.partial_tensors),
        "per_tensor": dict(passes.per_tensor),
        **_elements(analysis, "footprint", footprint.elements),
        "grows_with_rank": footprint.grows_with_rank,
        "running_state": list(footprint.running.tensors),
        "boundaries": [
            {"after": b.after, "completes": b.completes, "waits_for": b.waits_for, "rereads": b.rereads, "by": b.by}
            for b in passes.boundaries
        ],
        "kept": [
            {
                "after": b.after,
                "tensors": list(b.kept.tensors),
                **_elements(analysis, "elements", b.kept.elements),
                "fibers": str(b.kept.fibers),
                "recompute": None
                if b.recompute is None
                else {
                    "keep": list(b.recompute.keep),
                    "instead_of": list(b.recompute.instead_of),
                    **_elements(analysis, "elements", b.recompute.elements),
                },
            }
            for b in footprint.boundaries
        ],
        "buffer": None
        if facts.spill is None
        else {
            "fits": facts.spill.fits,
            "footprint_bytes": facts.spill.footprint_bytes,
            "extra_dram_bytes": facts.spill.extra_dram_bytes,
        },
    }


def _elements(analysis: Analysis, key: str, expr: sympy.Expr) -> dict[str, Any]:
    return {key: str(expr), f"{key}_count": analysis.number(expr) if analysis.sizes or expr.is_number else None}


def _roofline(analysis: Analysis) -> dict[str, Any] | None:
    roofline = analysis.roofline
    if roofline is None:
        return None
    return {
        "arch": roofline.arch,
        "compute_s": roofline.compute_s,
        "memory_s": roofline.memory_s,
        "bound": roofline.bound,
        "lacking": list(roofline.lacking),
    }
