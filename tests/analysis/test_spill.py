"""Costs of a buffer that is too small, against calculations by hand."""

from __future__ import annotations

import pytest

from fusemax import FusemaxError, analyze, load_cascade, parse
from fusemax.analysis.result import Spill

TWICE = "Y = A[k] * B[k]\nZ = Y * A[k]"
SOFTMAX = """\
input X[M, P]
G[p]    = X[m, p] :: reduce[m] max
N[m, p] = exp(X[m, p] - G[p])
D[p]    = N[m, p]
A[m, p] = N[m, p] / D[p]
"""
RUNNING = """\
input A[I, P], B[I]
R[0, p] = 0
R[i+1, p] = R[i, p] + A[i, p] * B[i]
T[p] = R[I, p]
Z[i, p] = A[i, p] * T[p]
"""


def spilled(
    cascade: str,
    group: str,
    buffer_bytes: int,
    shapes: dict[str, int],
    tiles: dict[str, int] | None = None,
    word_bits: int = 16,
) -> Spill:
    """The costs of a buffer of so many bytes in a group; the cascade by its text, or by the name of a shipped one."""
    parsed = parse(cascade) if "=" in cascade else load_cascade(cascade)
    analysis = analyze(parsed, shapes, tiles=tiles, buffer_bytes=buffer_bytes, word_bits=word_bits)
    found = analysis.groups[group].spill
    assert found is not None
    return found


def test_what_fits_costs_nothing() -> None:
    """1000 elements of 16 bit fit into 2000 bytes, exactly."""
    assert spilled(TWICE, "K", 2000, {"K": 1000}) == Spill(True, 2000, 0)


def test_an_input_is_read_again() -> None:
    """Of 1000 elements 250 do not fit; an input is read once more: 250 elements."""
    assert spilled(TWICE, "K", 1500, {"K": 1000}) == Spill(False, 2000, 250 * 2)


def test_each_boundary_counts_for_itself() -> None:
    """Of A and B, 200 elements, 50 do not fit and are read again; A alone, which the third pass reads, does."""
    text = "Y = A[k] * B[k]\nZ = Y * A[k] * B[k]\nW = Z * A[k]"
    assert spilled(text, "K", 300, {"K": 100}) == Spill(False, 400, 50 * 2)


def test_an_intermediate_is_written_and_read_back() -> None:
    """Of 100 elements 40 do not fit: X is read again, N is spilled and reloaded, for each of 7 fibers."""
    assert spilled(SOFTMAX, "M", 120, {"M": 100, "P": 7}) == Spill(False, 200, (40 * 7 + 2 * 40 * 7) * 2)


def test_inputs_go_first() -> None:
    """B (input) and U (computed) live across: of 200 elements 150 do not fit; 100 of B are read again, 50 of U spilled."""
    text = "input A[K, E], B[K], C[E]\nU[k] = A[k, e] * C[e]\nY = U[k] * B[k]\nZ = Y * U[k] * B[k]"
    shapes = {"K": 100, "E": 64}
    assert analyze(parse(text), shapes).groups["K"].footprint.boundaries[0].kept.tensors == ("B", "U")
    assert spilled(text, "K", 100, shapes) == Spill(False, 400, (100 + 2 * 50) * 2)
    assert spilled(text, "K", 300, shapes) == Spill(False, 400, 50 * 2)


def test_ancestors_that_cost_less_are_loaded_again() -> None:
    """With 1000 queries the keys, 64 x 100 elements, are less than 50 logits of each query, twice, at both boundaries."""
    shapes = {"B": 1, "H": 1, "E": 64, "F": 64, "M": 100, "P": 1000}
    assert spilled("attention-3pass", "M", 100, shapes) == Spill(False, 200, 2 * 6400 * 2)


def test_ancestors_that_cost_more_are_not() -> None:
    """With 2 queries it is the other way round: 50 logits of each, out and back, at both boundaries."""
    shapes = {"B": 1, "H": 1, "E": 64, "F": 64, "M": 100, "P": 2}
    assert spilled("attention-3pass", "M", 100, shapes) == Spill(False, 200, 2 * (2 * 50 * 2) * 2)


def test_a_tile_is_kept_at_once() -> None:
    """10 queries at a time need 1000 elements, of which 400 do not fit, for each of 10 tiles."""
    shapes = {"B": 1, "H": 1, "E": 640, "F": 64, "M": 100, "P": 100}
    assert spilled("attention-3pass", "M", 1200, shapes, {"P": 10}) == Spill(False, 2000, 2 * (2 * 400 * 10) * 2)


def test_running_state_takes_room() -> None:
    """100 elements of A and one of R, into 90: 11 elements of A are read again, for each of 3 fibers."""
    assert spilled(RUNNING, "I", 180, {"I": 100, "P": 3}) == Spill(False, 202, 11 * 3 * 2)


def test_a_family_costs_what_its_parts_cost() -> None:
    """Split-K, 64 words of room. M1: 264 elements, 200 too many. M0: 256, of which the keys cost less to load again."""
    shapes = {"B": 1, "H": 1, "E": 64, "F": 64, "M": 1024, "M0": 256, "P": 64}
    over_m1 = 2 * 200 * 64 * 2
    over_m0 = min(2 * 192 * 4 * 64, 64 * 1024) * 2
    assert spilled("attention-splitk", "M1", 128, shapes) == Spill(False, 528, over_m1)
    assert spilled("attention-splitk", "M0", 128, shapes) == Spill(False, 512, over_m0)
    assert spilled("attention-splitk", "M", 128, shapes) == Spill(False, 1040, over_m1 + over_m0)


def test_one_pass_never_spills_what_grows() -> None:
    """The running state, one chunk and nothing more: F + M0 + 2 elements, whatever the length."""
    for length in (2**10, 2**20):
        shapes = {"B": 1, "H": 1, "E": 64, "F": 64, "M": length, "P": length}
        assert spilled("attention-1pass", "M", 1024, shapes) == Spill(True, (64 + 256 + 2) * 2, 0)


def test_words_of_other_sizes() -> None:
    """In words of 4 bit two elements share a byte; bytes are rounded up."""
    assert spilled(TWICE, "K", 500, {"K": 1001}, word_bits=4) == Spill(False, 501, 1)
    assert spilled(TWICE, "K", 4000, {"K": 1000}, word_bits=32) == Spill(True, 4000, 0)


def test_what_fits_needs_no_number_of_fibers() -> None:
    """The number of fibers matters only where something does not fit."""
    assert spilled("attention-3pass", "M", 2**24, {"M": 1024}) == Spill(True, 2048, 0)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({}, "comparing rank 'M' with a buffer needs a size for 'M'\nhint: give it, for instance `--shape M=64`"),
        (
            {"M": 1024},
            "comparing rank 'M' with a buffer needs a size for 'P'\nhint: give it, for instance `--shape P=64`",
        ),
    ],
)
def test_missing_sizes_are_named(shapes: dict[str, int], message: str) -> None:
    """A comparison that lacks sizes names them."""
    with pytest.raises(FusemaxError) as caught:
        analyze(parse(SOFTMAX), shapes, buffer_bytes=1024)
    assert str(caught.value) == message


def test_without_a_buffer_nothing_is_compared() -> None:
    """No buffer, no comparison."""
    assert analyze(parse(TWICE), {"K": 8}).groups["K"].spill is None
