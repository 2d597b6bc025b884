"""The roofline against hand calculation and against trying all assignments of operations to units."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusemax import FusemaxError, analyze, load_cascade, parse
from fusemax.analysis.roofline import least_cycles
from fusemax.ir.arch import Operation, Unit
from fusemax.syntax.load import load_arch

pytestmark = pytest.mark.slow

STEPS = 6
"""Each kind of operation is shared out between units in sixths."""


def unit(name: str, elements: int, **slots: int) -> Unit:
    """A unit with so many elements, and the cycles that its operations take."""
    ops = tuple(Operation(kind, cycles, 0.0) for kind, cycles in slots.items())
    return Unit(name, (("x", elements),), (), None, ops)


def tried(counts: dict[str, int], units: tuple[Unit, ...]) -> Fraction:
    """The least time of the unit that takes longest, over all ways to share the operations out."""
    shares: list[list[tuple[tuple[str, Fraction], ...]]] = []
    for kind in counts:
        able = [unit for unit in units if unit.slots(kind) is not None]
        parts = product(range(STEPS + 1), repeat=len(able))
        shares.append(
            [
                tuple(
                    (unit.name, Fraction(part * counts[kind] * (unit.slots(kind) or 0), STEPS))
                    for unit, part in zip(able, split, strict=True)
                )
                for split in parts
                if sum(split) == STEPS
            ]
        )
    best: Fraction | None = None
    for choice in product(*shares):
        busy = {unit.name: Fraction(0) for unit in units}
        for name, cycles in (pair for share in choice for pair in share):
            busy[name] += cycles
        longest = max(busy[unit.name] / unit.elements for unit in units)
        best = longest if best is None else min(best, longest)
    assert best is not None
    return best


machines = st.lists(
    st.tuples(st.integers(1, 4), st.sets(st.sampled_from(["mac", "exp", "max"]), min_size=1)), min_size=1, max_size=3
)


@given(
    machines, st.fixed_dictionaries({"mac": st.integers(0, 12), "exp": st.integers(0, 12), "max": st.integers(0, 12)})
)
def test_the_least_cycles_equal_the_best_assignment(drawn: list[tuple[int, set[str]]], counts: dict[str, int]) -> None:
    """No way to share operations out is faster, and with unlimited parts one is as fast: within a share of one kind."""
    slots = {"mac": 1, "exp": 6, "max": 2}
    units = tuple(
        unit(f"u{i}", n, **{kind: slots[kind] for kind in sorted(kinds)}) for i, (n, kinds) in enumerate(drawn)
    )
    able = {kind for _, kinds in drawn for kind in kinds}
    found, _, lacking = least_cycles(counts, units)
    assert set(lacking) == counts.keys() - able
    best = tried({kind: number for kind, number in counts.items() if kind in able}, units)
    coarse = sum(Fraction(number * slots[kind], STEPS) for kind, number in counts.items() if kind in able)
    assert found <= best + Fraction(1, 10**9)
    assert best - coarse <= found + 1e-9


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=3),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_the_least_cycles_are_a_lower_bound_for_unlike_units(
    drawn: list[tuple[int, int, int]], macs: int, exps: int
) -> None:
    """Where units need different cycles for an operation, still no assignment is faster."""
    units = tuple(unit(f"u{i}", n, mac=mac, exp=exp) for i, (n, mac, exp) in enumerate(drawn))
    assert least_cycles({"mac": macs, "exp": exps}, units)[0] <= tried({"mac": macs, "exp": exps}, units) + Fraction(
        1, 10**9
    )


@pytest.mark.parametrize(
    ("counts", "units", "cycles", "busiest"),
    [
        ({"mac": 8}, (unit("a", 4, mac=1),), 2.0, ("a",)),
        ({"mac": 8}, (unit("a", 4, mac=1), unit("b", 4, mac=1)), 1.0, ("a", "b")),
        ({"mac": 8, "div": 8}, (unit("a", 4, mac=1), unit("b", 2, div=1)), 4.0, ("b",)),
        (
            {"mac": 8, "exp": 6},
            (unit("a", 4, mac=1, exp=6), unit("b", 1, exp=1)),
            (8 + 6) / 5,
            ("a", "b"),
        ),
        ({}, (unit("a", 4, mac=1),), 0.0, ()),
    ],
)
def test_least_cycles_by_hand(
    counts: dict[str, int], units: tuple[Unit, ...], cycles: float, busiest: tuple[str, ...]
) -> None:
    """One unit alone, two that share, one that is the only one able, nothing at all."""
    found, by, _ = least_cycles(counts, units)
    assert found == pytest.approx(cycles)
    assert by == busiest


def test_attention_on_the_cloud_machine_by_hand() -> None:
    """1024 x 1024 logits: one division each on 256 lanes takes longer than the rest on all units, and than the traffic."""
    shapes = {"B": 1, "H": 1, "E": 64, "F": 64, "M": 1024, "P": 1024}
    found = analyze(load_cascade("attention-3pass"), shapes, arch=load_arch("fusemax-cloud")).roofline
    assert found is not None
    n = 1024 * 1024
    everything = (2 * 64 * n + n * (1 + 1 + 6 + 1 + 1)) / (256 * 256 + 256)
    assert found.compute_s == pytest.approx(max(n / 256, everything) / 940e6)
    assert found.memory_s == pytest.approx(4 * 64 * 1024 * 2 / (400 * 2**30))
    assert (found.busiest, found.memory, found.lacking) == (("array1d",), "dram", ())
    assert (found.bound, found.seconds) == ("compute", found.compute_s)


def test_a_decode_step_is_bound_by_memory() -> None:
    """One query over a long cache moves two words for each two multiplications."""
    shapes = {"B": 1, "H": 1, "E": 128, "F": 128, "M": 2**16, "P": 1}
    found = analyze(load_cascade("attention-1pass"), shapes, arch=load_arch("fusemax-cloud")).roofline
    assert found is not None
    assert (found.bound, found.seconds) == ("memory", found.memory_s)


def test_operators_of_the_file_run_as_what_they_consist_of() -> None:
    """An operator of the file occupies units by its built-in operations; what no unit has is named and not counted."""
    text = "op f(x) = x * x + tanh(x)\nZ[m] = f(A[m])"
    found = analyze(parse(text), {"M": 65792}, arch=load_arch("fusemax-cloud")).roofline
    assert found is not None
    assert found.compute_s == pytest.approx(2 / 940e6)
    assert found.lacking == ("tanh",)


def test_a_roofline_without_sizes_is_refused() -> None:
    """The error names the sizes that are missing."""
    with pytest.raises(FusemaxError) as caught:
        analyze(load_cascade("matmul"), {"M": 4}, arch=load_arch("fusemax-cloud"))
    assert str(caught.value) == (
        "a roofline needs a size for 'K' and 'N'\nhint: give it, for instance `--shape K=64 N=64`"
    )
