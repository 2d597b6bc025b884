"""`analyze` as a whole: what it takes, what it refuses, its traffic and intensity, and that it stays fast."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError

import pytest

from fusemax import FusemaxError, analyze, check, load_cascade, parse
from fusemax.ir.expr import Name
from fusemax.resources import names

pytestmark = pytest.mark.slow


def test_a_cascade_and_a_checked_cascade_give_the_same() -> None:
    """Checking first or not makes no difference."""
    cascade = load_cascade("attention-1pass")
    assert analyze(cascade).to_json() == analyze(check(cascade)).to_json()


def test_analyzing_twice_gives_the_same_text() -> None:
    """No order of sets or hashes shows."""
    assert str(analyze(load_cascade("encoder-layer"))) == str(analyze(load_cascade("encoder-layer")))


def test_an_analysis_cannot_be_changed() -> None:
    """Results are frozen."""
    analysis = analyze(parse("Y = A[k] * B[k]"))
    with pytest.raises(FrozenInstanceError):
        analysis.cascade = "other"  # type: ignore[misc]


def test_an_analysis_travels_between_processes() -> None:
    """It can be pickled, for those who analyze many cascades at once."""
    analysis = analyze(load_cascade("attention-causal"), {"M": 8, "P": 8})
    assert pickle.loads(pickle.dumps(analysis)).to_json() == analysis.to_json()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shapes": {"Q": 4}}, "this cascade has no rank 'Q'\nhint: its ranks are K, M, N"),
        ({"shapes": {"M": 0}}, "size 0 of rank 'M' is not positive\nhint: give a positive integer"),
        ({"tiles": {"m": 4}}, "this cascade has no rank 'm' to tile\nhint: did you mean 'M'?"),
        ({"tiles": {"Q": 4}}, "this cascade has no rank 'Q' to tile\nhint: its ranks are 'K', 'M' and 'N'"),
        ({"tiles": {"M": 0}}, "a tile of 0 along rank 'M'\nhint: give a positive integer"),
        (
            {"shapes": {"M": 4}, "tiles": {"M": 8}},
            "a tile of 8 along rank 'M', which has 4\nhint: give a smaller one",
        ),
    ],
)
def test_impossible_options_are_refused(options: dict[str, dict[str, int]], message: str) -> None:
    """Unknown ranks, and sizes that cannot be."""
    with pytest.raises(FusemaxError) as caught:
        analyze(load_cascade("matmul"), **options)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_a_cascade_with_mistakes_is_refused() -> None:
    """`analyze` refuses the cascades that `check` refuses."""
    with pytest.raises(FusemaxError, match="never written"):
        analyze(parse("input A[M]\nZ[m] = A[m] * C[m]"))


def test_an_iteration_without_a_start_is_analyzed_with_a_note() -> None:
    """A cascade that lacks something only for `run` has a note here."""
    analysis = analyze(parse("input A[I]\nR[i+1] = R[i] + A[i]\nZ = R[I]"))
    assert [note.message for note in analysis.notes] == ["iterative 'R' has no initial value"]
    assert analysis.passes == {"I": 1}


# ---------------------------------------------------------------------------------------------- traffic, intensity


@pytest.mark.parametrize("name", names("cascades", ".cascade"))
def test_traffic_is_each_input_and_output_once(name: str) -> None:
    """The elements of the declared tensors, multiplied out by hand; an iterative one has its initial value too."""
    checked = check(load_cascade(name))
    sizes = {rank: 2 + i for i, rank in enumerate(checked.ranks) if rank not in ("M", "M1", "M0")}
    sizes |= {rank: size for rank, size in (("M", 12), ("M0", 4), ("M1", 3)) if rank in checked.ranks}
    sizes |= {"H": 4, "J": 2, "G": 2} if {"H", "J"} <= checked.ranks.keys() else {}
    for equation in checked.equations:  # a rank whose variable indexes another rank has its size
        if isinstance(equation.right, Name) and not equation.default:
            sizes.pop(equation.left, None)
    analysis = analyze(checked, sizes)
    total = 0
    for tensor in (*checked.inputs, *checked.outputs):
        elements = 1
        for i, rank in enumerate(tensor.ranks):
            elements *= analysis.sizes[rank] + (i == tensor.iterative)
        total += elements
    assert analysis.number(analysis.traffic.total) == total
    assert analysis.traffic_bytes == 2 * total
    counts = analysis.numbers(analysis.work)
    assert counts is not None
    assert analysis.intensity == sum(counts.values()) / (2 * total)


def test_traffic_of_a_history() -> None:
    """An iterative output is its whole history: 5 steps and the start, for each of 3."""
    text = "input A[I, P]\noutput R[I, P]\nR[0, p] = 0\nR[i+1, p] = R[i, p] + A[i, p]"
    analysis = analyze(parse(text), {"I": 5, "P": 3})
    assert {name: str(expr) for name, expr in analysis.traffic.writes.items()} == {"R": "P*(I + 1)"}
    assert analysis.number(analysis.traffic.total) == 15 + 18


def test_intensity_of_matrix_multiplication() -> None:
    """64^3 multiply-adds over three matrices of 64^2 words of 16 bit: 64 / 6 operations a byte, a mac being one."""
    analysis = analyze(load_cascade("matmul"), {"M": 64, "N": 64, "K": 64})
    assert analysis.intensity == pytest.approx(64 / 6)


def test_without_sizes_there_is_no_intensity() -> None:
    """Numbers need sizes."""
    analysis = analyze(load_cascade("matmul"))
    assert (analysis.intensity, analysis.traffic_bytes, analysis.numbers(analysis.work)) == (None, None, None)


# ------------------------------------------------------------------------------------------------------------- speed


def pointwise(n: int) -> str:
    """Each Einsum reads the one before."""
    return "\n".join(f"Z{i}[m] = exp(Z{i - 1}[m])" for i in range(1, n + 1))


def matmuls(n: int) -> str:
    """Each matrix multiplication has a rank of its own."""
    return "\n".join(f"Z{i}[r{i}, b] = Z{i - 1}[r{i - 1}, b] * W{i}[r{i - 1}, r{i}]" for i in range(1, n + 1))


def softmaxes(n: int) -> str:
    """Each pair of Einsums is one more pass."""
    return "\n".join(f"S{i} = Z{i - 1}[m]\nZ{i}[m] = exp(Z{i - 1}[m] - S{i})" for i in range(1, n // 2 + 1))


@pytest.mark.slow
@pytest.mark.parametrize("chain", [pointwise, matmuls, softmaxes])
def test_a_thousand_einsums(chain: Callable[[int], str]) -> None:
    """Long cascades are analyzed and printed."""
    checked = check(parse(chain(1000)), complete=False)
    text = str(analyze(checked))
    assert checked.einsums[-1].name in text


def test_passes_of_a_chain_of_softmaxes() -> None:
    """Fifty sums in a row over the same rank are fifty-one passes."""
    assert analyze(parse(softmaxes(100))).passes == {"M": 51}
