"""The report of an analysis, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from fusemax.analysis.counting import Points
from fusemax.analysis.explain import group_title, sentences, sized
from fusemax.analysis.result import Analysis, GroupFacts, Work
from fusemax.units import readable_bytes, readable_number, readable_seconds
from fusemax.view import Table, joined

if TYPE_CHECKING:
    import sympy

LONGEST = 200
"""A sum of more characters is cut short; the JSON has all of it."""


def tables(analysis: Analysis) -> Iterator[Table]:
    """The report as tables."""
    yield Table(f"{analysis.cascade}: {joined(analysis.inputs, 'no input')} -> {joined(analysis.outputs)}")
    short = _short_names(analysis)
    yield _passes(analysis)
    yield from _why(analysis)
    yield _einsums(analysis, short)
    yield _work(analysis, short)
    yield _traffic(analysis)
    yield from _roofline(analysis)


# ------------------------------------------------------------------------------------------------------- passes


def _passes(analysis: Analysis) -> Table:
    """A row for each group with several passes or a footprint, and one line with all others."""
    plain = [name for name, facts in analysis.groups.items() if _is_plain(facts)]
    rows = [_pass_row(analysis, name, facts) for name, facts in analysis.groups.items() if name not in plain]
    headers = ["rank", "passes", "lives across", "least on chip (elements)", "grows with it"]
    if analysis.buffer_bytes is not None:
        headers += [f"fits {readable_bytes(analysis.buffer_bytes)}", "extra DRAM traffic, at least"]
    below = [f"1 pass, footprint 0: {joined(plain)}"] if plain else []
    if analysis.tiles:
        below.append(f"with tiles {joined([f'{rank}={size}' for rank, size in analysis.tiles.items()])}, else of 1")
    if rows and _short_names(analysis):
        below.append("fibers count whole, regardless of filters")
    return Table("Passes and live footprints", tuple(headers), tuple(rows), tuple(below))


def _is_plain(facts: GroupFacts) -> bool:
    return facts.passes.passes == 1 and facts.footprint.elements == 0


def _pass_row(analysis: Analysis, name: str, facts: GroupFacts) -> tuple[str, ...]:
    steps = f" per step of {joined(facts.passes.per_step_of)}" if facts.passes.per_step_of else ""
    row = (
        name,
        f"{facts.passes.passes}{steps}",
        joined(facts.passes.live_tensors, "-"),
        sized(analysis, facts.footprint.elements),
        "yes" if facts.footprint.grows_with_rank else "no",
    )
    if facts.spill is None:
        return row
    if facts.spill.fits:
        return (*row, "yes", "-")
    return (*row, f"no, {readable_bytes(facts.spill.footprint_bytes)}", readable_bytes(facts.spill.extra_dram_bytes))


def _why(analysis: Analysis) -> Iterator[Table]:
    """The boundaries of every group that has any."""
    told: list[str] = []
    for facts in analysis.groups.values():
        if facts.passes.boundaries:
            told += [group_title(facts), *(f"  {sentence}" for sentence in sentences(facts))]
    if told:
        yield Table("Why", below=tuple(told))


# ---------------------------------------------------------------------------------------------------------- work


def _short_names(analysis: Analysis) -> dict[Points, sympy.Symbol]:
    """A name for each space within filters, whose size may be a long sum: n1, n2, ..."""
    import sympy

    spaces = (at.filtered for einsum in analysis.einsums for counts in einsum.work.tally.values() for at in counts)
    filtered = dict.fromkeys(space for space in spaces if space.constraints)
    return {space: sympy.Symbol(f"n{i}", integer=True, nonnegative=True) for i, space in enumerate(filtered, 1)}


def _symbolic(work: Work, short: Mapping[Points, sympy.Symbol]) -> dict[str, sympy.Expr]:
    return work.symbolic(lambda at: at.times(short[at.filtered]) if at.constraints else at.symbolic())


def _einsums(analysis: Analysis, short: Mapping[Points, sympy.Symbol]) -> Table:
    shown = [name for name, facts in analysis.groups.items() if facts.passes.passes > 1]
    rows = tuple(
        (einsum.text, *(str(einsum.passes.get(name, "-")) for name in shown), _operations(einsum.work, analysis, short))
        for einsum in analysis.einsums
    )
    below = tuple(f"{name} = {_points(space, analysis)}" for space, name in short.items())
    return Table("Einsums", ("Einsum", *(f"pass over {name}" for name in shown), "operations"), rows, below)


def _points(space: Points, analysis: Analysis) -> str:
    """The meaning of a short name."""
    number = f" = {readable_number(space.number(analysis.sizes))}" if space.sizes <= analysis.sizes.keys() else ""
    return f"{space.symbolic()}{number}, the points ({joined(space.variables)}) within the filters"


def _operations(work: Work, analysis: Analysis, short: Mapping[Points, sympy.Symbol]) -> str:
    numbers = analysis.numbers(work)
    if numbers is not None:
        return joined([f"{readable_number(n)} {kind}" for kind, n in numbers.items()], "-")
    return joined([f"{cut(expr)} {kind}" for kind, expr in _symbolic(work, short).items()], "-")


def _work(analysis: Analysis, short: Mapping[Points, sympy.Symbol]) -> Table:
    """The totals by kind."""
    numbers = analysis.numbers(analysis.work)
    rows = tuple(
        (kind, cut(expr), *((readable_number(numbers[kind]),) if numbers else ()))
        for kind, expr in _symbolic(analysis.work, short).items()
    )
    below = tuple(
        f"one {name} is {joined([f'{n} {kind}' for kind, n in counts.items()])}"
        for name, counts in analysis.operators.items()
        if counts
    )
    headers = ("kind", "count", *(("number",) if numbers else ()))
    return Table("Operations in all", headers, rows, below, right=(2,))


# ------------------------------------------------------------------------------------------------------- traffic


def _traffic(analysis: Analysis) -> Table:
    rows = [
        (name, moved, sized(analysis, expr))
        for moved, tensors in (("read once", analysis.traffic.reads), ("written once", analysis.traffic.writes))
        for name, expr in tensors.items()
    ]
    below: list[str] = []
    if analysis.sizes and analysis.traffic_bytes is not None:
        elements = readable_number(analysis.number(analysis.traffic.total) or 0)
        words = f"{readable_bytes(analysis.traffic_bytes)} in words of {analysis.word_bits} bit"
        below.append(f"in all {elements} elements, {words}")
    if analysis.intensity is not None:
        below.append(f"arithmetic intensity: {analysis.intensity:.5g} operations per byte")
    return Table("Compulsory traffic", ("tensor", "moved", "elements"), tuple(rows), tuple(below))


def _roofline(analysis: Analysis) -> Iterator[Table]:
    roofline = analysis.roofline
    if roofline is None:
        return
    rows = (
        ("operations", readable_seconds(roofline.compute_s), joined(roofline.busiest, "no unit")),
        ("traffic", readable_seconds(roofline.memory_s), roofline.memory),
    )
    below = [f"at least {readable_seconds(roofline.seconds)}, bound by {roofline.bound}"]
    if roofline.lacking:
        below.append(f"no unit has {joined(roofline.lacking)}: not counted")
    yield Table(f"Roofline of {roofline.arch}", ("limit", "least time", "on"), rows, tuple(below), right=(1,))


def cut(expr: sympy.Expr) -> str:
    """An expression, of which a long sum loses its end."""
    text = str(expr)
    if len(text) <= LONGEST or not expr.is_Add:
        return text
    terms = [str(term) for term in expr.as_ordered_terms()]
    shown = len(terms)
    while len(" + ".join(terms[:shown])) > LONGEST:
        shown -= 1
    return f"{' + '.join(terms[:shown])} + ... ({len(terms) - shown} more)"
