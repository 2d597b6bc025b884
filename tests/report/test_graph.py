"""Pictures of cascades: what stands where, as data, and that it gets onto paper."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fusemax import Checked, FusemaxError, analyze, check, load_cascade, parse
from fusemax.analysis import Analysis
from fusemax.ir.checked import When
from fusemax.report.drawing import draw
from fusemax.report.figures import save
from fusemax.report.graph import MOST_LINES, Arrow, Box, Corner, Picture, picture_of
from fusemax.resources import names

pytestmark = pytest.mark.slow

CASCADES = names("cascades", ".cascade")
COUPLED = """\
input A[I], B[I]
X[0] = 0
Y[0] = 1
X[i+1] = X[i] + Y[i] * A[i]
Y[i+1] = Y[i] - X[i] * B[i]
Z = X[I] + Y[I]
"""
EPSILON = 1e-6


def pictured(cascade: str, rank: str | None = None) -> tuple[Checked, Analysis, Picture]:
    """A cascade by its text or name, and its picture."""
    checked = check(parse(cascade) if "=" in cascade else load_cascade(cascade), complete=False)
    analysis = analyze(checked)
    return checked, analysis, picture_of(analysis, rank)


def every_picture() -> list[tuple[str, str]]:
    """Each shipped cascade over each of its rank groups that takes more than one pass, or one of the others."""
    found = []
    for name in CASCADES:
        passes = analyze(load_cascade(name)).passes
        several = [rank for rank, count in passes.items() if count > 1] or [next(iter(passes))]
        found += [(name, rank) for rank in several]
    return found


PICTURES = every_picture()


@pytest.mark.parametrize(("name", "rank"), PICTURES)
def test_every_einsum_and_input_has_a_box(name: str, rank: str) -> None:
    """Inputs without a text, Einsums with theirs, in the order of the file, each in its pass."""
    checked, analysis, picture = pictured(name, rank)
    inputs = [tensor.name for tensor in checked.inputs]
    assert [(box.name, box.text) for box in picture.boxes[: len(inputs)]] == [(name, "") for name in inputs]
    assert [box.text for box in picture.boxes[len(inputs) :]] == [einsum.text for einsum in analysis.einsums]
    placed = analysis.groups[rank].passes.placed
    assert [box.in_pass for box in picture.boxes[len(inputs) :]] == [placed.get(i) for i in range(len(checked.einsums))]


@pytest.mark.parametrize(("name", "rank"), PICTURES)
def test_every_read_has_an_arrow(name: str, rank: str) -> None:
    """From whoever makes the tensor, at the coordinate that is read, to whoever reads it; and no other arrow."""
    checked, _, picture = pictured(name, rank)
    expected: set[tuple[str, str, str, bool]] = set()
    for i, einsum in enumerate(checked.einsums):
        for use in einsum.reads:
            makers = [
                f"einsum {j}"
                for j, other in enumerate(checked.einsums)
                if other.name == use.tensor and readable(other.initial, use.when)
            ]
            for maker in makers or [f"input {use.tensor}"]:
                initial = maker.startswith("einsum") and checked.einsums[int(maker.split()[1])].initial
                expected.add((use.tensor, maker, f"einsum {i}", use.when is When.OLD and not initial))
    inputs = len(checked.inputs)

    def called(number: int) -> str:
        return f"input {picture.boxes[number].name}" if number < inputs else f"einsum {number - inputs}"

    found = [(arrow.tensor, called(arrow.start), called(arrow.end), arrow.back) for arrow in picture.arrows]
    assert set(found) == expected
    assert len(found) == len(expected)


def readable(initial: bool, when: When | None) -> bool:
    """Whether a read at a coordinate may see the initial value, or else the step."""
    return not initial or when in (When.OLD, When.INITIAL, None)


@pytest.mark.parametrize(("name", "rank"), PICTURES)
def test_every_einsum_stands_below_what_it_reads(name: str, rank: str) -> None:
    """All arrows but those to the next step point down."""
    _, _, picture = pictured(name, rank)
    for arrow in picture.arrows:
        if not arrow.back:
            assert picture.boxes[arrow.start].bottom > picture.boxes[arrow.end].top


@pytest.mark.parametrize(("name", "rank"), PICTURES)
def test_passes_stand_in_order(name: str, rank: str) -> None:
    """A barrier after each pass but the last; all of the pass above it, all of later ones below; nothing touches it."""
    _, analysis, picture = pictured(name, rank)
    passes = analysis.groups[rank].passes
    assert len(picture.barriers) == passes.passes - 1
    assert [barrier.y for barrier in picture.barriers] == sorted((b.y for b in picture.barriers), reverse=True)
    for after, barrier in enumerate(picture.barriers, 1):
        completed = ", ".join(dict.fromkeys(b.completes for b in passes.boundaries if b.after == after))
        assert barrier.above == f"pass {after} over {rank} completes {completed}"
        assert barrier.below.startswith(", ".join(passes.live[after]))
        for box in picture.boxes:
            assert box.bottom > barrier.y or box.top < barrier.y
            if box.in_pass is not None:
                assert (box.in_pass <= after) == (box.y > barrier.y)


@pytest.mark.parametrize(("name", "rank"), [*PICTURES, (COUPLED, "I")])
def test_nothing_lies_on_anything_else(name: str, rank: str) -> None:
    """Boxes are apart; arrows begin and end at the edges of their boxes and cross no other."""
    _, _, picture = pictured(name, rank)
    for one, other in combinations(picture.boxes, 2):
        apart = abs(one.x - other.x) - (one.width + other.width) / 2
        assert apart > 0.1 or one.bottom > other.top or other.bottom > one.top, (one.name, other.name)
    for arrow in picture.arrows:
        start, end = picture.boxes[arrow.start], picture.boxes[arrow.end]
        if start is end:
            assert arrow.way == ()
            continue
        assert on_edge(start, arrow.way[0])
        assert on_edge(end, arrow.way[-1])
        for leg in pairwise(arrow.way):
            for box in picture.boxes:
                assert not crosses(leg, box), (arrow.tensor, box.name)


def on_edge(box: Box, point: Corner) -> bool:
    """Whether a point is on the upper or lower edge of a box."""
    x, y = point
    return abs(x - box.x) < box.width / 2 and min(abs(y - box.top), abs(y - box.bottom)) < EPSILON


def crosses(leg: tuple[Corner, Corner], box: Box) -> bool:
    """Whether the rectangle in which a leg of an arrow runs has a part of a box inside."""
    (x0, y0), (x1, y1) = leg
    beside = max(x0, x1) < box.x - box.width / 2 + EPSILON or min(x0, x1) > box.x + box.width / 2 - EPSILON
    above = min(y0, y1) > box.top - EPSILON or max(y0, y1) < box.bottom + EPSILON
    return not (beside or above)


@pytest.mark.parametrize("name", [*CASCADES, COUPLED])
def test_arrows_have_ports_of_their_own(name: str) -> None:
    """No two arrows leave or reach a box at the same point."""
    _, _, picture = pictured(name)
    ends = [end for arrow in picture.arrows if arrow.way for end in (arrow.way[0], arrow.way[-1])]
    assert len({(round(x, 3), round(y, 3)) for x, y in ends}) == len(ends)


def test_a_step_reads_the_step_before() -> None:
    """Arrows of an iteration come back: to the box itself, up to an earlier one, across to another one, or down."""
    back = {(a.start, a.end) for a in pictured("attention-1pass")[2].arrows if a.back}
    boxes = pictured("attention-1pass")[2].boxes
    assert {(boxes[start].text.split("[")[0], boxes[end].name) for start, end in back} == {
        ("RM", "RM"),
        ("RM", "PRM"),
        ("RD", "SPD"),
        ("RNV", "SPNV"),
    }
    coupled = [arrow for arrow in pictured(COUPLED)[2].arrows if arrow.back]
    assert sorted(arrow.tensor for arrow in coupled) == ["X", "X", "Y", "Y"]


@pytest.mark.parametrize(
    ("name", "rank", "title"),
    [
        ("attention-1pass", None, "attention-1pass: 2 passes over M0, per step of M1"),
        ("attention-1pass", "m", "attention-1pass: 1 pass over M"),
        ("attention-3pass", None, "attention-3pass: 3 passes over M"),
        ("linear-attention-causal", None, "linear-attention-causal: 1 pass over T"),
        ("encoder-layer", None, "encoder-layer: 7 passes over D"),
        ("matmul", None, "matmul: 1 pass over K"),
    ],
)
def test_titles(name: str, rank: str | None, title: str) -> None:
    """The rank with most passes, unless another is asked for; of equals rather one with something to keep."""
    assert pictured(name, rank)[2].title == title


def test_an_unknown_rank() -> None:
    """The nearest rank is offered."""
    with pytest.raises(FusemaxError) as caught:
        pictured("attention-3pass", "MM")
    assert str(caught.value) == "no Einsum traverses a rank 'MM'\nhint: did you mean 'M'?"


def test_long_texts_fold_and_end() -> None:
    """A box grows with its text, up to a point; long names make it wider."""
    terms = " + ".join(f"exp(AVeryLongNameForATensor{i}[m, p])" for i in range(20))
    _, _, picture = pictured(
        f"AnotherVeryLongNameForATensorOfMany[m, p] = {terms}\nS[p] = AnotherVeryLongNameForATensorOfMany[m, p]"
    )
    box = next(box for box in picture.boxes if box.text)
    assert len(box.lines) == MOST_LINES
    assert box.lines[-1] == "..."
    assert all("[m, p]" in line or line.endswith("...") for line in box.lines)
    short = picture.boxes[-1]
    assert box.width > short.width
    assert box.height > short.height


# ------------------------------------------------------------------------------------------------------- on paper


@pytest.mark.parametrize("name", ["attention-1pass", "matmul", "cascade-3"])
def test_a_drawing_is_the_same_every_time(name: str, tmp_path: Path) -> None:
    """Equal pictures are equal files, so that they can be kept under version control."""
    for suffix in (".svg", ".pdf"):
        first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
        save(draw(pictured(name)[2]), first)
        save(draw(pictured(name)[2]), second)
        assert first.read_bytes() == second.read_bytes()


def svg_texts(picture: Picture, path: Path) -> list[str]:
    """The texts of a drawing."""
    save(draw(picture), path)
    tree = ElementTree.parse(path)
    return ["".join(node.itertext()) for node in tree.iter("{http://www.w3.org/2000/svg}text")]


def test_what_is_written(tmp_path: Path) -> None:
    """Titles, boxes with their pass and lines, arrows that do not come from inputs, barriers, and what colours mean."""
    _, _, picture = pictured("attention-1pass")
    texts = svg_texts(picture, tmp_path / "a.svg")
    assert "attention-1pass: 2 passes over M0, per step of M1" in texts
    assert "grey: does not traverse M0; dashed: what the step before has left" in texts
    assert "BQK   pass 1" in texts
    assert "SLN   pass 2" in texts
    assert "pass 1 over M0 completes LM" in texts
    assert "BQK lives across" in texts
    lines = [line for box in picture.boxes for line in box.lines]
    assert all(line in texts for line in lines)
    assert texts.count("BQK") == 2
    assert texts.count("K") == 1


def test_names_are_not_mathematics(tmp_path: Path) -> None:
    """A dollar in the name of a file is a dollar."""
    checked = check(parse("input A[K]\nZ = A[k] * A[k]", "my$x^2$.cascade"))
    assert "my$x^2$: 1 pass over K" in svg_texts(picture_of(analyze(checked)), tmp_path / "a.svg")


def test_letters_that_the_font_lacks(tmp_path: Path) -> None:
    """They are drawn as boxes, without a warning."""
    checked = check(parse("input A[K]\nZ = A[k] * A[k]", "注意力.cascade"))
    save(draw(picture_of(analyze(checked))), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_huge_cascade_has_a_picture(tmp_path: Path) -> None:
    """Three hundred Einsums, too tall for a PNG at full resolution."""
    text = "\n".join(f"S{i} = Z{i - 1}[m]\nZ{i}[m] = exp(Z{i - 1}[m] - S{i})" for i in range(1, 151))
    _, _, picture = pictured(text)
    assert len(picture.barriers) == 150
    save(draw(picture), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_an_arrow_and_a_box_are_data() -> None:
    """Plain values that compare by what they hold."""
    assert Arrow("A", 0, 1, False) == Arrow("A", 0, 1, False)
    assert Box("A", "", 0.0, 0.0, None).lines == ()
