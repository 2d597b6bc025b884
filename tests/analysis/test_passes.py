"""Passes and what lives across them: a table of all shipped cascades, an oracle on elements, and what must not change them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fusemax import check, load_cascade, parse
from fusemax.analysis.passes import Boundary, GroupPasses, all_passes
from fusemax.ir.cascade import Cascade
from fusemax.ir.checked import When
from fusemax.validate.shapes import shape_names
from tests.analysis.elements import element_passes
from tests.generated import Generated, generated_cascades, plain_cascades
from tests.rewrites import haloes, permute, rename, reorder, with_filter, with_halo

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "cascades"
FILES = sorted(path.stem for path in FOLDER.glob("*.cascade"))


def shipped(name: str) -> Cascade:
    """A shipped cascade."""
    return load_cascade(FOLDER / f"{name}.cascade")


def passes_of(cascade: Cascade) -> dict[str, GroupPasses]:
    """The passes of every group, by its name."""
    return {of_group.group.name: of_group for of_group in all_passes(check(cascade))}


def counts(text: str) -> dict[str, int]:
    """The number of passes of every group of a cascade in text form."""
    return {name: of_group.passes for name, of_group in passes_of(parse(text)).items()}


@dataclass(frozen=True)
class Row:
    """The structure of a cascade: passes by group, and what lives across each boundary; other groups have one pass."""

    passes: Mapping[str, int]
    live: Mapping[str, tuple[set[str], ...]]


BASE = ("B", "H", "E", "F", "P")
TABLE: dict[str, Row] = {
    "cascade-1": Row({"K": 2}, {"K": ({"A"},)}),
    "cascade-2": Row({}, {}),
    "cascade-3": Row({}, {}),
    "attention": Row({"M": 3}, {"M": ({"QK"}, {"QK"})}),
    "attention-3pass": Row({"M": 3}, {"M": ({"QK"}, {"SN"})}),
    "attention-3pass-deferred": Row({"M": 2}, {"M": ({"QK"},)}),
    "attention-unstable": Row({"M": 2}, {"M": ({"SN"},)}),
    "attention-2pass": Row({"M": 2, "M1": 3, "M0": 3}, {"M": ({"SLN"},)}),
    "attention-2pass-deferred": Row({"M": 2, "M1": 2, "M0": 2}, {"M": ({"SLN"},)}),
    "attention-splitk": Row({"M1": 2, "M0": 2}, {"M1": ({"LM", "SLD", "SLNV"},), "M0": ({"BQK"},)}),
    "attention-1pass": Row({"M0": 2}, {"M0": ({"BQK"},)}),
    "attention-causal-1pass": Row({"M0": 2}, {"M0": ({"BQK"},)}),
    "attention-causal": Row({"M": 3}, {"M": ({"QK"}, {"SN"})}),
    "attention-sink": Row({"M": 3}, {"M": ({"QK"}, {"SN"})}),
    "attention-window": Row({"M": 3}, {"M": ({"QK"}, {"SN"})}),
    "attention-window-2pass": Row({"M": 2, "M1": 3, "M0": 3}, {"M": ({"SLN"},)}),
    "attention-gqa": Row({"M": 3}, {"M": ({"QK"}, {"SN"})}),
    "attention-softcap": Row({"M": 3}, {"M": ({"CQK"}, {"SN"})}),
    "attention-sigmoid": Row({}, {}),
    "attention-mla": Row({"P": 2, "LKV": 2}, {"P": ({"QK", "CKV"},), "LKV": ({"CKV"},)}),
    "linear-attention": Row({}, {}),
    "linear-attention-causal": Row({}, {}),
    "softmax-naive": Row({"M": 2}, {"M": ({"SN"},)}),
    "softmax-stable": Row({"M": 3}, {"M": ({"X"}, {"SN"})}),
    "cross-entropy": Row({"V": 2}, {"V": ({"X"},)}),
    "rmsnorm": Row({"D": 2}, {"D": ({"X"},)}),
    "layernorm": Row({"D": 3}, {"D": ({"X"}, {"DX"})}),
    "layernorm-moments": Row({"D": 2}, {"D": ({"X"},)}),
    "rmsnorm-ffn": Row({"D": 3}, {"D": ({"X"}, {"X"})}),
    "ffn": Row({}, {}),
    "ffn-gated": Row({}, {}),
    "matmul": Row({}, {}),
    # Keys and values are projections of the positions that are also the queries, so X makes a pass over P before any
    # query can be finished. D: each LayerNorm has two passes of its own after the first, and each residual one.
    "encoder-layer": Row({"M": 3, "P": 2, "D": 7}, {"M": ({"QK", "V"}, {"SN", "V"})}),
}


def test_the_table_is_complete() -> None:
    """Every shipped cascade has its row."""
    assert sorted(TABLE) == FILES


@pytest.mark.parametrize("name", FILES)
def test_shipped_cascades(name: str) -> None:
    """Each shipped cascade has the passes of the table, over every rank and every family."""
    found = passes_of(shipped(name))
    assert {group: of_group.passes for group, of_group in found.items()} == {
        group: TABLE[name].passes.get(group, 1) for group in found
    }
    assert set(TABLE[name].passes) <= set(found)


@pytest.mark.parametrize("name", FILES)
def test_live_tensors(name: str) -> None:
    """At each boundary, those tensors live that the table names; where there is one pass, none."""
    found = passes_of(shipped(name))
    for group, live in TABLE[name].live.items():
        assert [set(found[group].live[n]) for n in range(1, found[group].passes)] == list(live)
    for of_group in found.values():
        assert set(of_group.live) == set(range(1, of_group.passes))


SMALL: dict[str, tuple[str, int, list[set[str]]]] = {
    "Cascade 1": ("Y = A[k] * B[k]\nZ = Y * A[k]", 2, [{"A"}]),
    "Cascade 2": ("Y = A[k] * B[k]\nX = A[k]\nZ = Y * X", 1, []),
    "a wait": ("Y = A[k] * B[k]\nZ[k] = Y * C[k]", 1, []),
    "a wait, then a second visit": ("Y = A[k] * B[k]\nU[k] = C[k] * Y\nV[k] = U[k] * A[k]", 2, [{"A"}]),
    "a wait through a scalar": ("Y = A[k] * B[k]\nX = Y + 1\nU[k] = C[k] * X\nV[k] = U[k] * A[k]", 2, [{"A"}]),
    "a wait of a wait": ("Y = A[k]\nU[k] = B[k] * Y\nX = U[k]\nV[k] = C[k] * X\nZ[k] = V[k] * A[k]", 2, [{"A"}]),
    "two waits": ("Y = A[k]\nX = B[k]\nZ[k] = C[k] * Y * X", 1, []),
    "two waits and a visit": ("Y = A[k]\nX = B[k]\nZ[k] = B[k] * Y * X", 2, [{"B"}]),
    "visits across tensors": ("Y = A[k]\nX = A[k] * B[k] * Y\nZ = B[k] * X", 3, [{"A"}, {"B"}]),
    "a descendant": ("U[k] = A[k] + 1\nY = U[k]\nZ[k] = A[k] * Y", 2, [{"A"}]),
    "a descendant read again": ("U[k] = A[k] + 1\nY = A[k]\nZ[k] = U[k] * Y", 2, [{"U"}]),
    "without the rank in between": ("Y = A[k]\nX = B[j] * Y\nZ = A[k] * X", 2, [{"A"}]),
    "an independent chain": ("Y = A[k]\nZ = A[k] * Y\nX = B[k]", 2, [{"A"}]),
}


@pytest.mark.parametrize("case", SMALL)
def test_small_cascades(case: str) -> None:
    """Small cascades have the passes over K, and the tensors that live across them, that the definition gives."""
    text, passes, live = SMALL[case]
    found = passes_of(parse(text))["K"]
    assert (found.passes, [set(names) for names in found.live.values()]) == (passes, live)


def test_per_tensor() -> None:
    """FuseMax's counts of single tensors: QK and SN of the 3-pass attention are visited twice, the others once."""
    found = passes_of(shipped("attention-3pass"))["M"]
    assert found.per_tensor == {"K": 1, "QK": 2, "SN": 2, "A": 1, "V": 1}
    assert passes_of(shipped("rmsnorm-ffn"))["D"].per_tensor["X"] == 3
    assert passes_of(shipped("cascade-1"))["K"].per_tensor == {"A": 2, "B": 1}


def test_the_pass_of_each_einsum() -> None:
    """Every Einsum over M has its pass, and one that has nothing to do with M has none."""
    cascade = shipped("attention-3pass")
    names = [einsum.name for einsum in cascade.einsums]
    passes = {names[i]: n for i, n in passes_of(cascade)["M"].of.items()}
    assert passes == {"QK": 1, "GM": 1, "SN": 2, "SD": 2, "A": 3, "AV": 3}
    assert {names[i] for i in passes_of(cascade)["E"].of} == {"QK"}


def test_boundaries() -> None:
    """Every boundary says what completes it and who, needing that, reads what again."""
    assert passes_of(shipped("attention-3pass"))["M"].boundaries == (
        Boundary(1, "GM", "GM", "QK", "SN"),
        Boundary(2, "SD", "SD", "SN", "A"),
    )
    assert passes_of(shipped("attention-sink"))["M"].boundaries == (
        Boundary(1, "KM", "GM", "QK", "SN"),
        Boundary(2, "KD", "SD", "SN", "A"),
    )
    assert passes_of(shipped("layernorm"))["D"].boundaries == (
        Boundary(1, "SX", "MU", "X", "DX"),
        Boundary(2, "SQ", "R", "DX", "Y"),
    )
    assert passes_of(shipped("cascade-2"))["K"].boundaries == ()


def test_what_completes_the_first_pass_of_the_2pass_attention() -> None:
    """The global maximum completes the first pass over M; a local one is there as soon as its chunk is."""
    boundaries = passes_of(shipped("attention-2pass"))["M"].boundaries
    assert {boundary.completes for boundary in boundaries} == {"GM"}


def test_partial_tensors() -> None:
    """Of the 2-pass attention, the maximum and the sum of each chunk are kept from the first pass over M on."""
    for name in ("attention-2pass", "attention-2pass-deferred", "attention-window-2pass"):
        found = passes_of(shipped(name))
        assert found["M"].partial == {1: ("LM", "SLD")}
        assert found["M1"].partial_tensors == found["M0"].partial_tensors == ()
    assert passes_of(shipped("attention-splitk"))["M"].partial_tensors == ()
    assert passes_of(shipped("attention-3pass"))["M"].partial_tensors == ()


def test_counts_per_step() -> None:
    """Over a rank without the iteration, counts are per step of it; over the iterated rank and its family, they are not."""
    found = passes_of(shipped("attention-1pass"))
    assert found["M0"].per_step_of == ("M1",)
    assert found["M1"].per_step_of == found["M"].per_step_of == found["E"].per_step_of == ()
    assert all(of_group.per_step_of == () for of_group in passes_of(shipped("attention-2pass")).values())


def test_groups() -> None:
    """Every rank is a group, and a rank that is split stands for its family; an alias is a rank of its own."""
    found = passes_of(shipped("attention-2pass"))
    assert list(found) == ["B", "H", "E", "P", "M", "F", "M1", "M0"]
    assert found["M"].group.parts == ("M1", "M0")
    assert {"M", "P"} <= set(passes_of(shipped("encoder-layer")))


def test_a_split_of_v_is_placed_where_it_is_used() -> None:
    """BV and V live across no pass over M, for the split of V can wait for the pass in which its parts are read."""
    for name in ("attention-2pass", "attention-1pass", "attention-splitk"):
        for of_group in passes_of(shipped(name)).values():
            assert not {"V", "BV"} & set(of_group.live_tensors)


def test_aliases_diagonals_and_joins() -> None:
    """A place carries its declared rank and the rank of its variable; a diagonal and a join carry like any place."""
    assert counts("input A[M, M]\nY = A[m, m]\nZ[m] = A[m, m] * Y") == {"M": 2}
    assert counts("input A[M]\nY = A[M: p]\nZ[p] = A[M: p] * Y") == {"M": 2, "P": 2}
    assert counts("input A[M], B[P]\nY = A[m]\nZ[p] = A[M: p] * B[p] * Y") == {"M": 2, "P": 1}
    joined = "input A[M1, M0]\noutput Y[M], Z[M]\nX = A[m1, m0]\nY[m1*M0 + m0] = A[m1, m0] * X\nZ[m] = Y[m] * X"
    assert counts(joined) == {"M1": 2, "M0": 2, "M": 2}


def test_a_constant_is_no_access_over_its_rank() -> None:
    """One element of a fiber is not a visit of the fiber."""
    assert counts("input A[K], B[K]\nY = A[0]\nZ[k] = A[k] * Y") == {"K": 1}
    assert counts("input A[K]\nY = A[k]\nZ = A[0] * Y") == {"K": 1}


def test_running_and_final_coordinates() -> None:
    """A running coordinate is there with its element; the final one only after the pass."""
    text = "input A[I]\noutput Z[I], X[I]\nS[0] = 0\nS[i+1] = S[i] + A[i]\nZ[i] = S[i+1] * A[i]\nX[i] = A[i]"
    assert counts(text) == {"I": 1}
    assert counts(text.replace("X[i] = A[i]", "X[i] = A[i] * S[I]")) == {"I": 2}


def test_a_second_iteration_after_the_first() -> None:
    """An iteration that needs the end of another is a second pass, if it visits the same fiber."""
    text = "input A[I], B[I]\nS[0] = 0\nS[i+1] = S[i] + A[i]\nT[0] = 0\nT[i+1] = T[i] + A[i] * S[I]\nZ = T[I]"
    assert counts(text) == {"I": 2}
    assert counts(text.replace("A[i] * S[I]", "B[i] * S[I]")) == {"I": 1}


def test_an_initial_value_that_is_computed() -> None:
    """A running product over C that starts from a sum over A visits nothing twice."""
    text = "input A[K], C[K]\nS = A[k]\nR[0] = S\nR[k+1] = R[k] * C[k]\nZ = R[K]"
    assert counts(text) == {"K": 1}


def test_the_step_before_is_visited_twice() -> None:
    """What the step before left is one tensor: its sum, and then it again, are two passes over J, per step of T."""
    text = "input A[T, J]\nS[0, j] = 1\nN[t] = S[t, j]\nS[t+1, j] = S[t, j] / N[t] + A[t, j]\nZ[j] = S[T, j]"
    found = passes_of(parse(text))["J"]
    assert (found.passes, found.live, found.per_step_of) == (2, {1: ("S",)}, ("T",))


def test_a_step_and_the_step_before_have_different_fibers() -> None:
    """A state that is read in the first pass over J and written in the second does not live across: only its copy C."""
    text = "input A[T, J]\nS[0, j] = 1\nC[t, j] = S[t, j]\nN[t] = C[t, j]\nS[t+1, j] = C[t, j] / N[t] + A[t, j]\nZ[j] = S[T, j]"
    assert passes_of(parse(text))["J"].live == {1: ("C",)}


def test_a_final_coordinate_read_above_the_loop() -> None:
    """An Einsum that reads a final coordinate runs after the loop wherever it stands, and is counted so."""
    lines = ["F = S[K]", "S[k+1] = S[k] + A[k]", "T = A[k] * F"]
    for order in ((0, 1, 2), (1, 0, 2), (0, 2, 1), (1, 2, 0)):
        head = "input A[K]\noutput T\nS[0] = 0\n"
        if order.index(0) < order.index(2):
            assert counts(head + "\n".join(lines[i] for i in order)) == {"K": 2}, order


def test_an_unrelated_iteration_is_no_step() -> None:
    """The counts over J are not per step of K where the iteration gives nothing back to what ranges over J."""
    text = "input A[K, J]\nT[k] = A[k, j]\nS[0] = 0\nS[k+1] = S[k] + T[k]\nR[k] = S[k+1]\nX = A[k, j]\nZ = S[K] * R[k]"
    assert passes_of(parse(text))["J"].per_step_of == ()


def test_two_readers_of_one_tensor_stay() -> None:
    """An Einsum waits for its readers only if nobody else reads earlier what it reads, so both copies of V are kept."""
    text = "U[m] = V[m] * 2\nW[m] = V[m] * 3\nY = B[m]\nZ = B[m] * Y * U[m] * W[m]"
    assert passes_of(parse(text))["M"].live == {1: ("U", "W", "B")}


# ------------------------------------------------------------------------------------------------------- the oracle


def compare_with_elements(text: str, ranks: str = "KJ") -> None:
    """The pass of each Einsum is that of the oracle; initial values without operands have none to compare."""
    cascade = parse(text)
    found = passes_of(cascade)
    for rank in ranks:
        if rank in found:
            expected = element_passes(cascade, rank)
            assert found[rank].of == {i: n for i, n in expected.items() if i in found[rank].of}, rank
            assert all(cascade.einsums[i].name.startswith("S") for i in expected.keys() - found[rank].of.keys())


@pytest.mark.slow
@given(plain_cascades())
@settings(max_examples=400)
def test_agrees_with_the_oracle(text: str) -> None:
    """On random cascades, each Einsum is in the pass that the unrolled dependences of single elements give."""
    compare_with_elements(text)


@pytest.mark.slow
@given(plain_cascades(iterations=True))
@settings(max_examples=300)
def test_agrees_with_the_oracle_on_iterations(text: str) -> None:
    """The same with iterations over K: for K with their steps tied together, for J per step."""
    compare_with_elements(text)


@pytest.mark.slow
@given(plain_cascades(iterations=True, starts=True))
@settings(max_examples=300)
def test_agrees_with_the_oracle_on_computed_starts(text: str) -> None:
    """The same over K with initial values that are earlier results."""
    compare_with_elements(text, "K")


@pytest.mark.parametrize("case", SMALL)
def test_the_oracle_knows_the_small_cascades(case: str) -> None:
    """The oracle gives the small cascades the passes that they are known to have."""
    text, passes, _ = SMALL[case]
    assert max(element_passes(parse(text), "K", size=3).values()) == passes


# ------------------------------------------------------------------------------------- what does not change a count


@dataclass(frozen=True)
class Facts:
    """The invariants of a cascade, free of any order."""

    passes: int
    of: dict[tuple[str, When | None], int]
    per_tensor: dict[str, int]
    live: dict[int, set[str]]
    partial: dict[int, set[str]]
    per_step_of: set[str]


def facts(cascade: Cascade) -> dict[str, Facts]:
    """The invariants of each group."""
    checked = check(cascade)
    return {
        of_group.group.name: Facts(
            of_group.passes,
            {(checked.einsums[i].name, checked.einsums[i].target.when): n for i, n in of_group.of.items()},
            of_group.per_tensor,
            {n: set(names) for n, names in of_group.live.items()},
            {n: set(names) for n, names in of_group.partial.items()},
            set(of_group.per_step_of),
        )
        for of_group in all_passes(checked)
    }


def renamed_facts(cascade: Cascade, tensors: Mapping[str, str], ranks: Mapping[str, str]) -> dict[str, Facts]:
    """The facts of a cascade under other names."""
    return {
        ranks[group]: Facts(
            of_group.passes,
            {(tensors[name], when): n for (name, when), n in of_group.of.items()},
            {tensors[name]: n for name, n in of_group.per_tensor.items()},
            {n: {tensors[name] for name in names} for n, names in of_group.live.items()},
            {n: {tensors[name] for name in names} for n, names in of_group.partial.items()},
            {ranks[rank] for rank in of_group.per_step_of},
        )
        for group, of_group in facts(cascade).items()
    }


def check_rename(cascade: Cascade) -> None:
    """Rename everything, so that the order of names is turned around and no name tells a family."""
    checked = check(cascade)
    names = shape_names(checked)
    tensors = {name: f"X{len(checked.tensors) - i}" for i, name in enumerate(checked.tensors)}
    ranks = {name: f"Q{len(names) - i}" for i, name in enumerate(names)}
    assert facts(rename(cascade, tensors, ranks)) == renamed_facts(cascade, tensors, ranks)


def check_permute(cascade: Cascade, random: Random) -> None:
    """Permute the subscripts of every tensor."""
    tensors = check(cascade).tensors
    orders = {name: random.sample(range(len(t.ranks)), len(t.ranks)) for name, t in tensors.items()}
    assert facts(permute(cascade, orders)) == facts(cascade)


def check_filter(cascade: Cascade, random: Random) -> None:
    """State a filter in one Einsum."""
    checked = check(cascade)
    position = random.choice([i for i, e in enumerate(checked.einsums) if e.variables])
    left, right = random.choices(checked.einsums[position].variables, k=2)
    assert facts(with_filter(cascade, position, left, right)) == facts(cascade)


def check_halo(cascade: Cascade, random: Random) -> None:
    """Read an input through a halo; the groups that the halo adds are not compared."""
    checked = check(cascade)
    changed = facts(with_halo(checked, *random.choice(haloes(checked))))
    for group, before in facts(cascade).items():
        assert (changed[group].passes, changed[group].of) == (before.passes, before.of)
        assert (changed[group].live, changed[group].per_tensor) == (before.live, before.per_tensor)


@pytest.mark.parametrize("name", FILES)
def test_other_names(name: str) -> None:
    """Other names for ranks, families included, and for tensors change no count and nothing that lives."""
    check_rename(shipped(name))


@pytest.mark.parametrize("name", FILES)
def test_other_orders_of_subscripts(name: str) -> None:
    """Another order of each tensor's subscripts changes nothing."""
    for seed in range(3):
        check_permute(shipped(name), Random(seed))


@pytest.mark.parametrize("name", FILES)
def test_other_orders_of_equations(name: str) -> None:
    """Another order of the equations changes nothing, as long as each tensor is defined before it is used."""
    cascade = shipped(name)
    for seed in range(10):
        assert facts(reorder(check(cascade), Random(seed))) == facts(cascade)


@pytest.mark.parametrize("name", FILES)
def test_filters(name: str) -> None:
    """A filter changes nothing."""
    for seed in range(10):
        check_filter(shipped(name), Random(seed))


@pytest.mark.parametrize("name", sorted(set(FILES) - {"attention-gqa", "attention-mla"}))
def test_haloes(name: str) -> None:
    """An affine halo in the reads of an input changes nothing over the ranks that were there."""
    for seed in range(5):
        check_halo(shipped(name), Random(seed))


@pytest.mark.slow
@given(generated_cascades(iterations=False), st.integers(0, 99))
@settings(max_examples=100)
def test_generated_cascades(generated: Generated, seed: int) -> None:
    """The same on cascades with splits, joins, aliases, haloes, constants and diagonals."""
    cascade, random = parse(generated.text), Random(seed)
    check_rename(cascade)
    check_permute(cascade, random)
    assert facts(reorder(check(cascade), random)) == facts(cascade)


@pytest.mark.slow
@given(plain_cascades(iterations=True, starts=True), st.integers(0, 99))
@settings(max_examples=100)
def test_generated_iterations(text: str, seed: int) -> None:
    """The same, and filters and haloes too, on cascades with iterations, reordered with their final reads."""
    cascade, random = parse(text), Random(seed)
    check_rename(cascade)
    check_permute(cascade, random)
    check_filter(cascade, random)
    check_halo(cascade, random)


@pytest.mark.slow
@given(plain_cascades(iterations=True), st.integers(0, 99))
@settings(max_examples=100)
def test_reordered_iterations(text: str, seed: int) -> None:
    """Iterations, and reads of their final coordinates, may stand in any order."""
    cascade = parse(text)
    assert facts(reorder(check(cascade), Random(seed))) == facts(cascade)


@pytest.mark.slow
@given(plain_cascades())
@settings(max_examples=100)
def test_a_rank_and_its_split(text: str) -> None:
    """A cascade that runs over both parts of a split of K visits the family as often as the original visits K."""
    assume("k" in text)
    whole = facts(parse(text))
    split = re.sub(r"T\d\[.*?\]", lambda access: access[0].replace("k", "k1, k0"), text)
    split = re.sub(r"A\d\[.*?\]", lambda access: access[0].replace("k", "k1*K0 + k0"), split)
    family = facts(parse(split.replace("K = 2, J", "K0 = 2, K1 = K / K0, J")))
    assert family["K"] == whole["K"]
    if "J" in whole:
        assert family["J"] == whole["J"]
