"""Live footprints: values derived by hand, and what changes them."""

from __future__ import annotations

import pytest

from fusemax import analyze, load_cascade, parse
from fusemax.analysis.footprint import Footprint
from fusemax.analysis.result import Analysis

SOFTMAX = """\
input X[M, P]
G[p]    = X[m, p] :: reduce[m] max
N[m, p] = exp(X[m, p] - G[p])
D[p]    = N[m, p]
A[m, p] = N[m, p] / D[p]
"""


def footprint(name: str, group: str, tiles: dict[str, int] | None = None) -> Footprint:
    """The footprint of one group of a shipped cascade."""
    return analyze(load_cascade(name), tiles=tiles).groups[group].footprint


def of_text(text: str, group: str, tiles: dict[str, int] | None = None) -> Footprint:
    """The footprint of one group of a text."""
    return analyze(parse(text), tiles=tiles).groups[group].footprint


@pytest.mark.parametrize(
    ("name", "group", "elements", "grows"),
    [
        ("attention-3pass", "M", "M", True),
        ("attention-3pass-deferred", "M", "M", True),
        ("attention-unstable", "M", "M", True),
        ("attention-2pass", "M", "M", True),
        ("attention-2pass-deferred", "M", "M", True),
        ("attention-2pass-deferred", "M1", "M0*M1 + M1", True),
        ("attention-2pass-deferred", "M0", "M0", True),
        ("attention-1pass", "M", "F + M0 + 2", False),
        ("attention-1pass", "M1", "F + 2", False),
        ("attention-1pass", "M0", "M0", True),
        ("attention-splitk", "M", "F*M1 + M0 + 2*M1", True),
        ("attention-splitk", "M1", "F*M1 + 2*M1", True),
        ("attention-splitk", "M0", "M0", True),
        ("attention-causal", "M", "M", True),
        ("attention-sink", "M", "M", True),
        ("attention-gqa", "M", "M", True),
        ("attention-sigmoid", "M", "0", False),
        ("attention-mla", "P", "LKV*P + P", True),
        ("attention-mla", "LKV", "LKV", True),
        ("cascade-1", "K", "K", True),
        ("cascade-2", "K", "0", False),
        ("cascade-3", "I", "2", False),
        ("linear-attention-causal", "T", "F + 1", False),
        ("rmsnorm", "D", "D", True),
        ("layernorm", "D", "D", True),
        ("rmsnorm-ffn", "D", "D", True),
        ("encoder-layer", "P", "D*P + E*H*P", True),
        ("encoder-layer", "M", "F*M + M", True),
        ("matmul", "K", "0", False),
    ],
)
def test_least_on_chip(name: str, group: str, elements: str, grows: bool) -> None:
    """The least that must be on chip for one fiber, and whether it grows with the rank while inner tiles stay."""
    found = footprint(name, group)
    assert (str(found.elements), found.grows_with_rank) == (elements, grows)


@pytest.mark.parametrize(
    ("name", "group", "tiles", "elements"),
    [
        ("attention-3pass", "M", {"P": 256}, "256*M"),
        ("attention-3pass", "M", {"P": 256, "H": 2}, "512*M"),
        ("attention-3pass", "M", {"M": 16}, "M"),
        ("attention-3pass", "M", {"E": 8, "F": 8}, "M"),
        ("attention-1pass", "M", {"P": 4}, "4*F + 4*M0 + 8"),
        ("attention-1pass", "M", {"F": 4}, "F + M0 + 2"),
        ("attention-splitk", "M1", {"P": 4, "F": 8}, "4*F*M1 + 8*M1"),
        ("attention-mla", "P", {"H": 4, "M": 2}, "LKV*P + 8*P"),
    ],
)
def test_tiles_of_other_ranks_multiply(name: str, group: str, tiles: dict[str, int], elements: str) -> None:
    """A tile counts for a rank over which all iterate who touch what is kept; not for the traversed rank itself."""
    assert str(footprint(name, group, tiles).elements) == elements


def test_a_rank_that_not_everyone_iterates_over_is_kept_whole() -> None:
    """As long as all who touch A iterate over F, its tile counts; with S kept beside it, which has no F, all of F."""
    text = "A[k, f] = B[k] * C[f]\nY = A[k, f]\nZ[f] = Y * A[k, f]"
    assert str(of_text(text, "K", {"F": 4}).elements) == "4*K"
    text = "A[k, f] = B[k] * C[f]\nS[k] = A[k, f]\nY = S[k]\nZ[f] = Y * A[k, f] * S[k]"
    assert str(of_text(text, "K", {"F": 4}).elements) == "F*K + K"


def test_running_state_is_added_to_every_boundary() -> None:
    """The state of an iteration must be on chip besides the tensors that live across a boundary."""
    text = """\
input A[I, P], B[I]
R[0, p] = 0
R[i+1, p] = R[i, p] + A[i, p] * B[i]
T[p] = R[I, p]
Z[i, p] = A[i, p] * T[p]
"""
    found = of_text(text, "I")
    assert [(b.kept.tensors, str(b.kept.elements)) for b in found.boundaries] == [(("A",), "I")]
    assert (found.running.tensors, str(found.running.elements), str(found.elements)) == (("R",), "1", "I + 1")


def test_the_largest_boundary_counts() -> None:
    """The least on chip is the maximum over the boundaries and not their sum."""
    text = "Y = A[k] * B[k]\nU[k] = A[k] * B[k] * Y\nX = U[k]\nV[k] = U[k] * X"
    found = of_text(text, "K")
    assert [str(b.kept.elements) for b in found.boundaries] == ["2*K", "K"]
    assert str(found.elements) == "2*K"


def test_boundaries_that_cannot_be_compared_are_a_maximum() -> None:
    """If it depends on shapes which boundary is larger, the result says so."""
    text = """\
input A[K, E], B[K, F]
Y[f]    = A[k, e] * B[k, f]
U[k]    = A[k, e] * Y[f]
X       = U[k]
W       = U[k] * B[k, f] * X
"""
    found = of_text(text, "K")
    assert str(found.elements) == "Max(E*K + K, F*K + K)"
    assert [(b.after, b.kept.tensors) for b in found.boundaries] == [(1, ("A", "B")), (2, ("B", "U"))]


def test_a_nested_family_needs_a_chunk_of_each_part() -> None:
    """A split of a split: what each of the three parts needs adds up, and growth is that of the outermost."""
    text = """\
shape M0 = 4, M1 = 8, M2 = M / (M1 * M0)
input X[M]
B[m2, m1, m0] = X[m2*M1*M0 + m1*M0 + m0]
L[m2, m1] = B[m2, m1, m0] :: reduce[m0] max
S[m2, m1, m0] = exp(B[m2, m1, m0] - L[m2, m1])
D[m2, m1] = S[m2, m1, m0]
Z = D[m2, m1]
"""
    groups = analyze(parse(text)).groups
    assert {name: str(facts.footprint.elements) for name, facts in groups.items()} == {
        "M": "M0",
        "M2": "0",
        "M1": "0",
        "M0": "M0",
    }
    assert not groups["M"].footprint.grows_with_rank


def recomputes(analysis: Analysis, group: str) -> list[tuple[tuple[str, ...], tuple[str, ...], str, str] | None]:
    """The alternative at each boundary."""
    return [
        None if other is None else (other.keep, other.instead_of, str(other.elements), str(other.loaded))
        for other in (b.recompute for b in analysis.groups[group].footprint.boundaries)
    ]


def test_recomputing_from_the_keys() -> None:
    """Instead of QK and of SN, the keys can be kept: E*M elements, for all queries of a head."""
    expected = [(("K",), (name,), "E*M", "B*E*H*M") for name in ("QK", "SN")]
    assert recomputes(analyze(load_cascade("attention-3pass")), "M") == expected


def test_recomputing_is_no_alternative_where_the_input_is_as_large() -> None:
    """N has the elements of X, of which it is computed: keeping X instead saves nothing. Inputs have no alternative."""
    assert recomputes(analyze(parse(SOFTMAX)), "M") == [None, None]
    assert recomputes(analyze(load_cascade("rmsnorm")), "D") == [None]


def test_recomputing_keeps_what_lives_across_anyway() -> None:
    """The latent cache is needed across anyway; the logits can be computed from it again."""
    assert recomputes(analyze(load_cascade("attention-mla")), "P") == [(("CKV",), ("QK",), "LKV*P", "B*LKV*P")]


def test_number_of_fibers() -> None:
    """Fibers are the tiles of the ranks that count as tiles: every query of every head for QK."""
    boundary = footprint("attention-3pass", "M").boundaries[0]
    assert str(boundary.kept.fibers) == "B*H*P"
    assert str(footprint("attention-3pass", "M", {"P": 256}).boundaries[0].kept.fibers) == "B*H*P/256"
    assert str(of_text("Y = A[k] * B[k]\nZ = Y * A[k]", "K").boundaries[0].kept.fibers) == "1"


def test_renaming_ranks_and_permuting_subscripts_change_nothing() -> None:
    """A footprint speaks of the same elements under other names and orders."""
    renamed = SOFTMAX.replace("m", "k").replace("M", "K").replace("kax", "max")
    permuted = SOFTMAX.replace("[m, p]", "[p, m]").replace("[M, P]", "[P, M]")
    assert str(of_text(SOFTMAX, "M").elements) == "M"
    assert str(of_text(renamed, "K").elements) == "K"
    assert str(of_text(permuted, "M").elements) == "M"
