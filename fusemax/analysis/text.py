"""The report of an analysis, and its explanations, for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fusemax.analysis.facts import Analysis, GroupFacts, Work
from fusemax.errors import FusemaxError, did_you_mean
from fusemax.tables import Table, joined
from fusemax.units import readable_bytes, readable_number

if TYPE_CHECKING:
    import sympy


def report(analysis: Analysis) -> str:
    """The whole report."""
    arrow = f"{joined(analysis.inputs, 'no input')} -> {joined(analysis.outputs)}"
    return "\n\n".join([f"{analysis.cascade}: {arrow}", *(table.text() for table in tables(analysis))])


def tables(analysis: Analysis) -> tuple[Table, ...]:
    """The report as tables."""
    parts = [_passes(analysis), *_why(analysis), _einsums(analysis), _work(analysis), _traffic(analysis)]
    if analysis.roofline is not None:
        parts.append(_roofline(analysis))
    return tuple(parts)


def explain(analysis: Analysis, rank: str) -> Table:
    """Why a rank takes as many passes as it does, boundary by boundary. Raises `FusemaxError` for an unknown rank."""
    name = next((group for group in analysis.groups if group.lower() == rank.lower()), None)
    if name is None:
        hint = did_you_mean(rank.upper(), analysis.groups) or f"its ranks are {joined(tuple(analysis.groups))}"
        raise FusemaxError(f"no Einsum traverses a rank '{rank}'", hint)
    facts = analysis.groups[name]
    return Table(f"{_title(facts)}", (), (), (*_sentences(facts), *_footprint_sentences(analysis, facts)))


def _title(facts: GroupFacts) -> str:
    passes, group = facts.passes, facts.passes.group
    family = f" (with its parts {joined(group.parts)})" if group.parts else ""
    count = "1 pass is" if passes.passes == 1 else f"{passes.passes} passes are"
    per_step = f", per step of {joined(passes.per_step_of)}" if passes.per_step_of else ""
    return f"{group.name}{family}: {count} needed{per_step}"


def _sentences(facts: GroupFacts) -> Iterator[str]:
    """For every boundary who completes what, who needs it, and what is read again."""
    passes = facts.passes
    if passes.passes == 1:
        yield "no Einsum reads a fiber again after something computed from all of it"
    for boundary in passes.boundaries:
        through = "" if boundary.waits_for == boundary.completes else f", from which {boundary.waits_for} is computed"
        done = f"pass {boundary.after} completes {boundary.completes}{through}"
        needs = f"{boundary.by} needs it and reads {boundary.rereads} again"
        yield f"{done}; {needs}: pass {boundary.after + 1}"


def _footprint_sentences(analysis: Analysis, facts: GroupFacts) -> Iterator[str]:
    passes, footprint = facts.passes, facts.footprint
    for boundary in footprint.boundaries:
        kept = boundary.kept
        if kept.tensors:
            size = _size(analysis, kept.elements)
            yield f"{joined(kept.tensors)} must live across the end of pass {boundary.after}: {size} elements per fiber"
        else:
            yield f"nothing needs to live across the end of pass {boundary.after}"
        if boundary.recompute is not None:
            other = boundary.recompute
            size = _size(analysis, other.elements)
            yield f"  or keep {joined(other.keep)}, {size} elements, and compute {joined(other.instead_of)} again"
    if footprint.running.tensors:
        size = _size(analysis, footprint.running.elements)
        yield f"running state {joined(footprint.running.tensors)}: {size} elements"
    if passes.partial_tensors:
        yield f"with a part of the family only, needed on both sides: {joined(passes.partial_tensors)}"
    grows = "grows" if footprint.grows_with_rank else "does not grow"
    yield f"the least on chip is {_size(analysis, footprint.elements)} elements, which {grows} with {passes.group.name}"
    read = ", ".join(f"{name} in {count}" for name, count in passes.per_tensor.items())
    yield f"different passes that read each tensor: {read}" if read else "no tensor is read over it"


def _size(analysis: Analysis, expr: sympy.Expr) -> str:
    """An expression, and its value if the sizes are known."""
    number = analysis.number(expr)
    return str(expr) if number is None or expr.is_number else f"{expr} = {readable_number(number)}"


def _passes(analysis: Analysis) -> Table:
    """The groups with something to say, and in one line those without."""
    plain = [name for name, facts in analysis.groups.items() if _is_plain(facts)]
    rows = [_pass_row(analysis, name, facts) for name, facts in analysis.groups.items() if name not in plain]
    headers = ["rank", "passes", "lives across", "least on chip (elements)", "grows with it"]
    if analysis.buffer_bytes is not None:
        headers += [f"fits {readable_bytes(analysis.buffer_bytes)}", "extra DRAM traffic"]
    below = (f"1 pass, nothing kept: {joined(plain)}",) if plain else ()
    return Table("Passes and live footprints", tuple(headers), tuple(rows), below)


def _is_plain(facts: GroupFacts) -> bool:
    return facts.passes.passes == 1 and facts.footprint.elements == 0


def _pass_row(analysis: Analysis, name: str, facts: GroupFacts) -> tuple[str, ...]:
    steps = f" per step of {joined(facts.passes.per_step_of)}" if facts.passes.per_step_of else ""
    row = (
        name,
        f"{facts.passes.passes}{steps}",
        joined(facts.passes.live_tensors, "-"),
        _size(analysis, facts.footprint.elements),
        "yes" if facts.footprint.grows_with_rank else "no",
    )
    if facts.spill is None:
        return row
    fits = "yes" if facts.spill.fits else f"no, it needs {readable_bytes(facts.spill.footprint_bytes)}"
    return (*row, fits, readable_bytes(facts.spill.extra_dram_bytes) if facts.spill.extra_dram_bytes else "-")


def _why(analysis: Analysis) -> Iterator[Table]:
    """The boundaries of every group that has any; a family speaks for its parts unless they need more."""
    told: list[str] = []
    for facts in analysis.groups.values():
        if facts.passes.boundaries:
            told += [_title(facts), *(f"  {sentence}" for sentence in _sentences(facts))]
    if told:
        yield Table("Why", (), (), tuple(told))


def _einsums(analysis: Analysis) -> Table:
    shown = [name for name, facts in analysis.groups.items() if facts.passes.passes > 1]
    rows = tuple(
        (einsum.text, *(str(einsum.passes.get(name, "-")) for name in shown), _operations(einsum.work, analysis))
        for einsum in analysis.einsums
    )
    return Table("Einsums", ("Einsum", *(f"pass over {name}" for name in shown), "operations"), rows)


def _operations(work: Work, analysis: Analysis) -> str:
    numbers = work.numbers(analysis.sizes) if analysis.sizes else None
    if numbers is not None:
        return ", ".join(f"{readable_number(n)} {kind}" for kind, n in numbers.items()) or "-"
    return ", ".join(f"{expr} {kind}" for kind, expr in work.symbolic().items()) or "-"


def _work(analysis: Analysis) -> Table:
    """The totals by kind."""
    numbers = analysis.work.numbers(analysis.sizes) if analysis.sizes else None
    rows = tuple(
        (kind, str(expr), *((readable_number(numbers[kind]),) if numbers else ()))
        for kind, expr in analysis.work.symbolic().items()
    )
    below = tuple(
        f"one {name} is {joined([f'{n} {kind}' for kind, n in counts.items()])}"
        for name, counts in analysis.operators.items()
        if counts
    )
    return Table("Operations in all", ("kind", "count", *(("number",) if numbers else ())), rows, below)


def _traffic(analysis: Analysis) -> Table:
    rows = [
        (name, what, _size(analysis, expr))
        for what, tensors in (("read", analysis.traffic.reads), ("written", analysis.traffic.writes))
        for name, expr in tensors.items()
    ]
    below: tuple[str, ...] = ()
    elements = analysis.number(analysis.traffic.total)
    numbers = analysis.work.numbers(analysis.sizes) if analysis.sizes else None
    if elements is not None and numbers is not None and analysis.sizes:
        count = elements * analysis.word_bits / 8
        intensity = sum(numbers.values()) / count
        below = (
            f"in all {readable_number(elements)} elements, {readable_bytes(count)} in words of {analysis.word_bits} bit",
            f"arithmetic intensity: {intensity:.5g} operations per byte",
        )
    return Table("Traffic that nothing avoids", ("tensor", "once", "elements"), tuple(rows), below)


def _roofline(analysis: Analysis) -> Table:
    assert analysis.roofline is not None
    roofline = analysis.roofline
    below = [
        f"operations need {roofline.compute_s:.5g} s on {joined(roofline.busiest, 'no unit')}, "
        f"traffic {roofline.memory_s:.5g} s: at least {roofline.seconds:.5g} s, bound by {roofline.bound}"
    ]
    if roofline.lacking:
        below.append(f"no unit has {joined(roofline.lacking)}: not counted")
    return Table(f"Roofline of {roofline.arch}", (), (), tuple(below))
