"""Facts that the check derives of valid cascades: tensors, ranks, iteration spaces, reductions, filters."""

from __future__ import annotations

import pytest

from fusemax import Checked, FusemaxError, check, load_cascade, parse, resources
from fusemax.ir.cascade import Role
from fusemax.ir.checked import CheckedEinsum, CheckedReduction, Rank, Relation, When
from fusemax.ir.expr import Access
from fusemax.ir.print_cascade import print_expr


def checked(text: str) -> Checked:
    """The cascade of a text, with its meaning."""
    return check(parse(text))


def einsum(text: str) -> CheckedEinsum:
    """The last Einsum of a text, with its meaning."""
    return checked(text).einsums[-1]


def equations(text: str) -> list[str]:
    """The equations between sizes that follow from a text."""
    return [f"{e.left} = {print_expr(e.right)}" for e in checked(text).equations]


# ------------------------------------------------------------------------------------------------------------- tensors


def roles(text: str) -> dict[str, tuple[str, Role]]:
    """Ranks and role of every tensor."""
    return {name: (" ".join(t.ranks), t.role) for name, t in checked(text).tensors.items()}


def test_declared_tensors() -> None:
    """Declarations say what a tensor is for and which ranks it has."""
    assert roles("input A[K, M], C\noutput Z[M]\ntensor Y[M] empty = 2\nY[m] = A[k, m]\nZ[m] = Y[m] * C") == {
        "A": ("K M", Role.INPUT),
        "C": ("", Role.INPUT),
        "Z": ("M", Role.OUTPUT),
        "Y": ("M", Role.TENSOR),
    }


def test_inferred_tensors() -> None:
    """Without `input`, what is never written is an input; without `output`, what is never read is one."""
    assert roles("Y[m] = A[k, m] * SCALE\nZ[m] = Y[m]\nX = Y[m]") == {
        "A": ("K M", Role.INPUT),
        "SCALE": ("", Role.INPUT),
        "Y": ("M", Role.TENSOR),
        "Z": ("M", Role.OUTPUT),
        "X": ("", Role.OUTPUT),
    }


def test_inputs_are_inferred_from_the_access_that_tells_most() -> None:
    """A halo does not tell the rank; a plain subscript elsewhere does."""
    assert roles("Z[p] = A[p + w] * F[w]\nY = A[d]")["A"] == ("D", Role.INPUT)


def test_a_tensor_that_is_declared_and_never_written_is_an_input_if_there_is_no_other() -> None:
    """With no `input` at all, inputs are the tensors never written, also those that `tensor` declares."""
    assert roles("tensor A[M]\nZ[m] = A[m]")["A"] == ("M", Role.INPUT)


def test_name_spaces_are_separate() -> None:
    """Tensors, ranks and functions may have the same names."""
    text = "input M[M], B[B, E], max[M]\nZ[m] = max(M[m], max[m]) * 2\nY[e] = B[b, e] * e^(B[b, e])"
    assert [t.name for t in checked(text).inputs] == ["M", "B", "max"]


@pytest.mark.parametrize(
    ("text", "tensor"),
    [
        ("input A[M], S\nZ[m] = A[m] * S", "S"),
        ("S = A[k]\nZ[m] = A[K: m] * S", "S"),
        ("S = A[k]\nZ[m] = A[K: m] * S[]", "S"),
        ("Z[m] = A[m] * s", "s"),
        ("M = A[m]\nZ[m] = A[m] * M[]", "M"),
        ("param x = 2\nx = A[m]\nZ[m] = A[m] * x[]", "x"),
        ("input A[M], m\nZ[m] = A[m] * m[]", "m"),
    ],
)
def test_scalars_are_read_as_accesses(text: str, tensor: str) -> None:
    """A bare name that is a scalar tensor is an access without places; brackets tell it from other things."""
    assert Access(tensor, ()) in einsum(text).uses


@pytest.mark.parametrize(
    "text",
    [
        "param x = 2\nZ[m] = A[m] * x",
        "param X = 2\nZ[m] = A[m] * X",
        "Z[m] = A[m] * m",
        "Z[d] = A[d] / sqrt(D)",
        "shape E = 64\nZ[d] = A[d] / sqrt(E)",
        "input A[M], E[E]\nZ[m] = A[m] * E\nY[e] = E[e]",
    ],
)
def test_other_names_are_left(text: str) -> None:
    """Parameters, rank variables and shapes are no tensors."""
    found = next(e for e in checked(text).einsums if e.name == "Z")
    assert [access.tensor for access in found.uses] == ["A"]


# ------------------------------------------------------------------------------------------- ranks and iteration spaces


def test_the_iteration_space() -> None:
    """Kept variables in the order of the target, then the reduced ones in the order of the right side."""
    found = einsum("Z[n, m] = A[k, m] * B[j, k, n]")
    assert (found.kept, found.reduced, found.variables) == (("n", "m"), ("k", "j"), ("n", "m", "k", "j"))
    assert found.reductions == (CheckedReduction(("k", "j"), "add"),)


def test_partial_sums_are_completed() -> None:
    """If the named reductions are sums, the rest is summed too."""
    assert einsum("Z = A[j, k] :: reduce[k] +").reductions == (CheckedReduction(("j", "k"), "add"),)
    assert einsum("Z = 1 + A[j, k] :: reduce[k] +").reductions == (CheckedReduction(("j", "k"), "add"),)


def test_a_variable_used_as_a_value_ranges_over_its_rank() -> None:
    """A bare rank variable counts as ranging over itself, so the sum is well-defined."""
    assert einsum("Z = A[d] + d").reduced == ("d",)


def test_the_diagonal() -> None:
    """A repeated variable is one dimension of the iteration space."""
    found = einsum("D[i] = A[i, i]")
    assert found.variables == ("i",)
    assert found.reads[0].ranks == ("I", "I")


def test_aliases() -> None:
    """A variable that indexes another rank takes its shape, explicitly or by position."""
    assert equations("input K[B, M]\nZ[b, p] = K[B: b, M: p]") == ["P = M"]
    assert equations("input R[V]\nZ = R[d]") == ["D = V"]
    assert equations("input R[V], D[D]\nZ = R[V: d] * D[d]") == ["D = V"]


def test_splits_and_joins() -> None:
    """A split or join makes the joined rank the head of a family and equates the sizes."""
    text = "input A[M]\nB[m1, m0] = A[m1*M0 + m0]"
    assert equations(text) == ["M = M1 * M0"]
    assert checked(text).ranks["M"] == Rank("M", (("M1", "M0"),))
    nested = "input A[M]\nB[m2, m1, m0] = A[m2*M1*M0 + m1*M0 + m0]"
    assert equations(nested) == ["M = M2 * M1 * M0"]
    joined = "input A[J, G]\noutput Z[H]\nZ[j*G + g] = A[j, g]"
    assert equations(joined) == ["H = J * G"]
    assert checked("shape G = H / J\ninput A[J, G]\nZ[j*G + g] = A[j, g]").tensors["Z"].ranks == ("H",)


def test_halos_are_no_splits() -> None:
    """`p + w` and `4*e + r` say nothing of the sizes."""
    assert equations("input A[D], F[W]\nZ[p] = A[p + w] * F[w]") == []
    assert equations("input A[D]\nZ[e, r] = A[4*e + r]") == []


# -------------------------------------------------------------------------------------------------------------- filters


def test_filters() -> None:
    """Filters of both sides are affine forms against zero, each once."""
    found = einsum("Z[m: m <= p, p] = A[m: m <= p and m != 3, P: p] * B[m: p - W < m, p]\nshape W = 2")
    assert [(c.form.evaluate({"W": 2}, {"m": 1, "p": 5}), c.relation) for c in found.constraints] == [
        (4, Relation.NOT_NEGATIVE),
        (-2, Relation.NOT_ZERO),
        (-3, Relation.NOT_NEGATIVE),
    ]


@pytest.mark.parametrize("comparison", ["m <= p", "m < p + 1", "p >= m", "p + 1 > m", "m - p <= 0", "-p <= -m"])
def test_filters_have_a_normal_form(comparison: str) -> None:
    """One filter, written in many ways, holds at the same points."""
    (constraint,) = einsum(f"Z[m: {comparison}, p] = A[m, p]").constraints
    points = [(m, p) for m in range(4) for p in range(4)]
    held = [(m, p) for m, p in points if constraint.form.evaluate({}, {"m": m, "p": p}) >= 0]
    assert constraint.relation is Relation.NOT_NEGATIVE
    assert held == [(m, p) for m, p in points if m <= p]


# ----------------------------------------------------------------------------------------------------------- iterations


def test_iterative_tensors() -> None:
    """A write at v+1 makes a tensor iterative; every access knows which coordinate it names."""
    found = checked("X[0, p] = 0\nX[i+1, p] = X[i, p] + A[i, p]\nY[i, p] = X[i+1, p]\nZ[p] = X[I, p]")
    assert found.tensors["X"].iterative == 0
    assert found.tensors["X"].iterative_rank == "I"
    assert [e.target.when for e in found.einsums] == [When.INITIAL, When.NEW, None, None]
    assert [use.when for e in found.einsums for use in e.reads if use.tensor == "X"] == [When.OLD, When.NEW, When.FINAL]


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("", []),
        ("Z = X[I]", []),
        ("stop: i >= I", []),
        ("stop: i >= K\nZ = X[K]", ["I = K"]),
        ("stop: i >= K\nZ = X[I]", ["I = K"]),
        ("Z = X[K]", ["I = K"]),
        ("Z = X[5]", ["I = 5"]),
        ("stop: i >= K - 1\nZ = X[K - 1]", ["I = K - 1"]),
        ("stop: i >= K - 1\nZ = X[-1 + K]", ["I = K - 1"]),
        ("stop: i >= I\nstop: i >= I", []),
    ],
)
def test_trip_counts(end: str, expected: list[str]) -> None:
    """`stop` says how often an iteration steps, else the final coordinate that is read, else the shape."""
    assert equations(f"input A[I]\nX[0] = 0\nX[i+1] = X[i] + A[i]\n{end}") == expected


def test_incomplete_cascades() -> None:
    """A missing initial value or trip count keeps a cascade from running but not from being analyzed."""
    cascade = parse("X[i+1] = max(X[i], 3)\nZ[m] = A[m]")
    assert len(check(cascade, complete=False).incomplete) == 2
    with pytest.raises(FusemaxError) as caught:
        check(cascade)
    assert len(caught.value.problems) == 2


def test_the_loops_of_the_one_pass_cascade() -> None:
    """Spans, headings and order aside, Cascade 5 of FuseMax is one loop over its chunks."""
    found = check(load_cascade("attention-1pass"))
    assert found.incomplete == ()
    assert [tensor.name for tensor in found.tensors.values() if tensor.iterative is not None] == ["RM", "RD", "RNV"]


def test_every_shipped_cascade_is_accepted_without_a_remark() -> None:
    """Nothing in the zoo is doubtful."""
    for name in resources.names("cascades", ".cascade"):
        found = check(load_cascade(name))
        assert found.notes == (), name
        assert found.incomplete == (), name
