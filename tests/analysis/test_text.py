"""The texts of an analysis: whole reports, explanations, narrow terminals, notebooks."""

from __future__ import annotations

import pytest

from fusemax import FusemaxError, analyze, load_cascade, parse
from fusemax.analysis.explain import explain
from fusemax.analysis.tables import LONGEST
from fusemax.resources import names
from fusemax.syntax.load import load_arch
from tests.conftest import Golden
from tests.markup import read_html

SHAPES = {"B": 64, "H": 12, "E": 64, "F": 64, "M": 65536, "P": 65536}


def test_the_report_without_shapes(golden: Golden) -> None:
    """Symbols alone."""
    golden(f"{analyze(load_cascade('attention-3pass'))}\n", "analyze/attention-3pass.txt")


def test_the_report_of_a_family(golden: Golden) -> None:
    """One pass over the family, two over the inner part, per step of the outer one; with everything that can be asked."""
    machine = load_arch("fusemax-cloud")
    analysis = analyze(load_cascade("attention-1pass"), SHAPES, tiles={"P": 256}, buffer_bytes=2**14, arch=machine)
    golden(f"{analysis}\n", "analyze/attention-1pass-all.txt")


def test_the_report_with_filters(golden: Golden) -> None:
    """Points within filters have a short name, and a number if the sizes are known."""
    golden(f"{analyze(load_cascade('attention-window'))}\n", "analyze/attention-window.txt")
    golden(
        f"{analyze(load_cascade('attention-window'), {**SHAPES, 'W': 4096})}\n", "analyze/attention-window-sized.txt"
    )


@pytest.mark.parametrize(
    ("name", "rank"), [("attention-3pass", "M"), ("attention-1pass", "M"), ("attention-2pass", "m")]
)
def test_explanations(name: str, rank: str, golden: Golden) -> None:
    """Boundary by boundary: who completes what, who reads what again, what is kept, what could be computed again."""
    golden(explain(analyze(load_cascade(name)), rank).text() + "\n", f"analyze/{name}-explained.txt")


def test_an_explanation_with_sizes_and_a_buffer() -> None:
    """Sizes give numbers, a buffer says what does not fit and what that costs."""
    text = "Y = A[k] * B[k]\nZ = Y * A[k]"
    assert explain(analyze(parse(text), {"K": 1000}, buffer_bytes=1500), "k").text() == (
        "K: 2 passes are needed\n"
        "  pass 1 completes Y; Z needs it and reads A again: pass 2\n"
        "  A must live across the end of pass 1: K = 1,000 elements per fiber\n"
        "  the least on chip is K = 1,000 elements, which grows with K\n"
        "  it does not fit into 1.465 KiB: at least 500 B more DRAM traffic\n"
        "  passes that read each tensor: A 2, B 1"
    )
    assert "  it fits into 2 KiB\n" in explain(analyze(parse(text), {"K": 1000}, buffer_bytes=2048), "k").text()


def test_an_explanation_where_nothing_is_kept() -> None:
    """One pass has a plain explanation."""
    assert explain(analyze(parse("Y = A[k] * B[k]")), "K").text() == (
        "K: 1 pass is needed\n"
        "  no Einsum reads a fiber again after something computed from all of it\n"
        "  the least on chip is 0 elements, which does not grow with K\n"
        "  passes that read each tensor: A 1, B 1"
    )


@pytest.mark.parametrize(
    ("rank", "message"),
    [
        ("MM", "no Einsum traverses a rank 'MM'\nhint: did you mean 'M'?"),
        ("", "no Einsum traverses a rank ''\nhint: its ranks are 'B', 'H', 'E', 'P', 'M' and 'F'"),
        ("X", "no Einsum traverses a rank 'X'\nhint: its ranks are 'B', 'H', 'E', 'P', 'M' and 'F'"),
    ],
)
def test_an_unknown_rank_cannot_be_explained(rank: str, message: str) -> None:
    """The nearest rank is offered, or all of them."""
    with pytest.raises(FusemaxError) as caught:
        explain(analyze(load_cascade("attention-3pass")), rank)
    assert str(caught.value) == message


def test_a_cascade_of_scalars_has_no_ranks() -> None:
    """Nothing to traverse, and an analysis all the same."""
    analysis = analyze(parse("input A[], B[]\nZ = A * B"))
    assert str(analysis) == (
        "<cascade>: A, B -> Z\n\n"
        "Passes and live footprints\n\n"
        "Einsums\n"
        "  Einsum     operations\n"
        "  ---------  ----------\n"
        "  Z = A * B  1 mul\n\n"
        "Operations in all\n"
        "  kind  count\n"
        "  ----  -----\n"
        "  mul   1\n\n"
        "Compulsory traffic\n"
        "  tensor  moved         elements\n"
        "  ------  ------------  --------\n"
        "  A       read once     1\n"
        "  B       read once     1\n"
        "  Z       written once  1"
    )
    with pytest.raises(FusemaxError, match="it has scalars alone"):
        analysis.group("M")


def test_a_narrow_terminal(golden: Golden) -> None:
    """In 80 columns tables fold, accesses stay whole, and nothing is lost."""
    analysis = analyze(load_cascade("attention-1pass"), SHAPES, buffer_bytes=2**24, arch=load_arch("fusemax-cloud"))
    text = analysis.text(80)
    golden(f"{text}\n", "analyze/attention-1pass-80-columns.txt")
    assert max(map(len, text.splitlines())) <= 80
    assert all(einsum.text.split(" = ")[0] in text for einsum in analysis.einsums)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
@pytest.mark.parametrize("name", ["attention-1pass", "encoder-layer", "attention-window"])
def test_no_width_loses_words(name: str, width: int) -> None:
    """However narrow, a report has the same words as the wide one, whatever their order."""
    analysis = analyze(load_cascade(name))
    wide, narrow = str(analysis).replace("-", ""), analysis.text(width).replace("-", "")
    assert sorted("".join(wide.split())) == sorted("".join(narrow.split()))


def test_long_sums_are_cut_short() -> None:
    """A chain of many layers has a sum of many terms; the report tells how many it leaves out, the JSON has them all."""
    chain = "\n".join(f"Z{i}[r{i}] = Z{i - 1}[r{i - 1}] * W{i}[r{i - 1}, r{i}]" for i in range(1, 61))
    analysis = analyze(parse(chain))
    row = next(line for line in str(analysis).splitlines() if line.startswith("  mac"))
    assert row.endswith("more)")
    assert len(row) < LONGEST + 30
    assert analysis.to_json()["ops"]["mac"].count("+") == 59


# ------------------------------------------------------------------------------------------------------- notebooks


@pytest.mark.parametrize("name", names("cascades", ".cascade"))
def test_reports_in_a_notebook_are_well_formed(name: str) -> None:
    """Every tag is closed, and every Einsum is there as its text is, escaped."""
    analysis = analyze(load_cascade(name))
    rows, texts = read_html(analysis._repr_html_())
    cells = {cell for row in rows for cell in row}
    assert {einsum.text for einsum in analysis.einsums} <= cells
    assert {"Einsums", "Operations in all"} <= set(texts)


@pytest.mark.parametrize("name", names("cascades", ".cascade"))
def test_cascades_in_a_notebook_are_well_formed(name: str) -> None:
    """Every tag is closed, and every Einsum is there as its text is, escaped."""
    cascade = load_cascade(name)
    rows, _ = read_html(cascade._repr_html_())
    texts = [einsum.text for einsum in analyze(cascade).einsums]
    assert [row[-1] for row in rows if row[-1] in texts] == texts


def test_html_is_escaped() -> None:
    """Comparisons and names are text and not markup."""
    cascade = parse("cascade x\nZ[m: m < 3 and m > 1] = where(A[m] < B[m], A[m], B[m])")
    for html in (cascade._repr_html_(), analyze(cascade)._repr_html_()):
        assert "m &lt; 3 and m &gt; 1" in html
        assert "where(A[m] &lt; B[m]" in html
        read_html(html)
