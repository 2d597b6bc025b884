"""Analyses of generated cascades: counts against the loop nest, and results that always print, travel and draw."""

from __future__ import annotations

import json
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings

from fusemax import Analysis, Cascade, Checked, analyze, check, parse
from fusemax.analysis.explain import explain
from fusemax.report.graph import picture_of
from fusemax.validate import solve_shapes
from fusemax.validate.shapes import shape_names
from tests.generated import Generated, generated_cascades
from tests.loop_nest import counted
from tests.markup import read_html
from tests.strategies import cascades

pytestmark = pytest.mark.slow


@settings(max_examples=150)
@given(generated_cascades())
def test_operations_of_generated_cascades(generated: Generated) -> None:
    """For all Einsums the loop nest counts the same operations, and SymPy's symbols are those numbers."""
    checked = check(parse(generated.text))
    sizes = solve_shapes(
        checked, {rank: size for rank, size in generated.sizes.items() if rank in shape_names(checked)}
    )
    analysis = analyze(checked, sizes)
    for einsum, facts in zip(checked.einsums, analysis.einsums, strict=True):
        if einsum.constraints and len(einsum.reductions) > 1:
            continue  # the second reduction is over a projection of filtered points, which is counted unfiltered
        expected = counted(einsum, sizes)
        numbers = facts.work.numbers(sizes)
        assert numbers is not None
        assert {kind: number for kind, number in numbers.items() if number} == expected, facts.text
        for kind, expr in facts.work.symbolic().items():
            assert int(expr.subs({s: sizes[s.name] for s in expr.free_symbols}).doit()) == expected.get(kind, 0), (
                facts.text
            )


@settings(max_examples=150)
@given(cascades())
def test_results_always_print(cascade: Cascade) -> None:
    """Text of any width, HTML, JSON and explanations of every cascade that `check` accepts."""
    checked = check(cascade)
    analysis = analyze(checked)
    assert_prints(checked, analysis)


def assert_prints(checked: Checked, analysis: Analysis) -> None:
    """All ways in which an analysis shows itself."""
    assert sorted("".join(str(analysis).replace("-", "").split())) == sorted(
        "".join(analysis.text(70).replace("-", "").split())
    )
    read_html(analysis._repr_html_())
    data = json.loads(json.dumps(analysis.to_json(), allow_nan=False))
    assert len(data["einsums"]) == len(checked.einsums)
    for name, facts in analysis.groups.items():
        assert explain(analysis, name).text().startswith(name)
        passes = facts.passes
        assert passes.passes >= 1
        assert {b.after for b in passes.boundaries} == set(range(1, passes.passes))
        assert set(passes.of.values()) <= set(range(1, passes.passes + 1))


@settings(max_examples=100)
@given(cascades())
def test_pictures_are_always_in_order(cascade: Cascade) -> None:
    """Every box apart from the others, every arrow from box to box without crossing a third, everything downward."""
    checked = check(cascade)
    analysis = analyze(checked)
    if not analysis.groups:
        return
    picture = picture_of(analysis)
    for one, other in combinations(picture.boxes, 2):
        beside = abs(one.x - other.x) > (one.width + other.width) / 2
        assert beside or one.bottom > other.top or other.bottom > one.top
    for arrow in picture.arrows:
        if not arrow.back:
            assert picture.boxes[arrow.start].bottom > picture.boxes[arrow.end].top
        for (x0, y0), (x1, y1) in pairwise(arrow.way):
            for box in picture.boxes:
                inside_x = min(x0, x1) < box.x + box.width / 2 - 1e-6 and max(x0, x1) > box.x - box.width / 2 + 1e-6
                inside_y = min(y0, y1) < box.top - 1e-6 and max(y0, y1) > box.bottom + 1e-6
                assert not (inside_x and inside_y)
