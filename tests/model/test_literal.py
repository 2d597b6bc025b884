"""The cost model against a literal walk of the loop nest that counts every access one by one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from fusemax import FusemaxError, check, load_arch, load_cascade, load_mapping, parse
from fusemax.bind.bind import BoundMapping, bind
from fusemax.bind.extents import single
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping
from fusemax.model.energy import Accounting, memory_words
from fusemax.model.estimate import estimate
from fusemax.model.traffic import traffic
from fusemax.syntax.mapping.parser import parse_mapping
from tests.model.literal import Walk, Walked

pytestmark = pytest.mark.slow

SHAPES = {"B": 2, "H": 1, "E": 3, "F": 2, "M": 8, "P": 12}


def small(name: str, lengths: int = 2, buffer: int | None = None) -> Arch:
    """A machine with short axes and a small buffer (bytes)."""
    arch = load_arch(name)
    units = tuple(replace(unit, axes=tuple((axis, lengths) for axis, _ in unit.axes)) for unit in arch.units)
    memories = tuple(replace(m, size_bytes=buffer or m.size_bytes) if i else m for i, m in enumerate(arch.memories))
    return replace(arch, units=units, memories=memories)


def assert_equal(bound: BoundMapping) -> Walked:
    """Every count of the model is the walk's, and its energies follow from the walk."""
    walked = Walk(bound).walk()
    fresh = replace(bound, nest=bound.nest.with_extents(bound.nest.extents))
    movement = traffic(fresh.nest)
    mine: Counter[Any] = Counter()
    for count in movement.counts:
        mine[count.memory, count.kind.value, count.tensor, count.einsum] += single(count.words)  # type: ignore[assignment]
    assert nonzero(mine) == pytest.approx(nonzero(walked.words), rel=1e-12)
    edges: Counter[Any] = Counter()
    for crossing in movement.crossings:
        edges[crossing.placement, crossing.edge.value, crossing.tensor] += single(crossing.words)  # type: ignore[assignment]
    assert nonzero(edges) == nonzero(walked.edges)
    for accounting in Accounting:
        found = estimate(replace(bound, nest=bound.nest.with_extents(bound.nest.extents)), accounting)
        assert float(found.energy_j) == pytest.approx(joules(bound, walked, accounting), rel=1e-12)
        for memory in bound.arch.memories:
            assert memory_words(found.counts, memory.name, True)[0] == pytest.approx(
                sum(words for (name, kind, *_), words in walked.words.items() if name == memory.name and reads(name, kind, bound)),
                rel=1e-12,
            )  # fmt: skip
    return walked


def nonzero(counts: Counter[Any]) -> dict[Any, Any]:
    """The counts that are not 0."""
    return {key: words for key, words in counts.items() if words}


def reads(memory: str, kind: str, bound: BoundMapping) -> bool:
    """Whether words of a kind are read from a memory: a fill reads the memory behind, a drain the one in front."""
    outermost = memory == bound.arch.outermost.name
    return kind in ("read", "read back") or (kind == "fill" and outermost) or (kind == "drain" and not outermost)


def joules(bound: BoundMapping, walked: Walked, accounting: Accounting) -> float:
    """The energy of a walk: every access of a memory, every operation, and under `full` every register word and drain."""
    total = 0.0
    full = accounting is Accounting.FULL
    for memory in bound.arch.memories:
        each = bound.arch.word_bits / memory.access_bits
        for (name, kind, *_), words in walked.words.items():
            if name == memory.name:
                read = reads(name, kind, bound)
                if full or not (read and kind == "drain"):
                    total += words * each * (memory.read_j if read else memory.write_j)
    for number, placement in enumerate(bound.plan.placements):
        unit = next(unit for unit in bound.arch.units if unit.name == placement.unit)
        ops = {op.name: op for op in unit.ops}
        uncounted = bound.mapping.uncounted.kinds if bound.mapping.uncounted and not full else ()
        register_reads = register_writes = 0
        for kind, times in walked.operations[number].items():
            op = ops[{"mul": "mac", "sub": "add"}.get(kind, kind)]
            repeated = times * op.times
            done = ops[op.same_as] if op.same_as else op
            if done.name not in uncounted:
                total += repeated * (done.energy_j or 0.0)
            operands = 2 if op.same_as or kind != "exp" else 1
            register_reads += repeated * operands
            register_writes += repeated
        if placement.einsum.reductions:
            points = 1
            for variable in placement.einsum.variables:
                points *= int(bound.sizes[variable.upper()])
            register_reads += points - walked.fresh[number]
        register_writes += walked.delivered[number]
        if full and unit.registers is not None:
            total += register_reads * unit.registers.read_j + register_writes * unit.registers.write_j
    return total


FLAT: list[dict[str, Any]] = [
    {},
    {"rows": 2},
    {"rows": 6, "kept": ("Q", "K", "QK", "A", "AV")},
    {"rows": 4, "kept": ("V",), "qk": ("weight",)},
    {"rows": 4, "kept": ("QK", "A"), "av": ("weight",), "share": 0.25},
    {"kept": ("Q", "AV"), "qk": ("weight",), "av": ("weight",)},
    {"rows": 12, "kept": ("K", "QK", "A"), "share": 0.5},
]


@pytest.mark.parametrize("parameters", FLAT, ids=str)
def test_flat(parameters: dict[str, Any]) -> None:
    """FLAT's family counts what the walk counts, whatever is kept, spilled or stationary."""
    mapping, shapes = load_mapping("flat"), {**SHAPES, "E": 2}
    assert_equal(bind(check(load_cascade(mapping.cascade)), small("flat-cloud"), mapping, shapes, parameters))


@pytest.mark.parametrize("name", ["unfused", "fusemax-cascade", "fusemax-architecture", "fusemax-binding"])
@pytest.mark.parametrize("buffer", [None, 300])
@pytest.mark.parametrize("shapes", [SHAPES, {**SHAPES, "M": 2}, {**SHAPES, "P": 2, "B": 1}], ids=str)
def test_shipped_mappings(name: str, buffer: int | None, shapes: dict[str, int]) -> None:
    """The shipped mappings count what the walk counts, with one tile or several in each loop."""
    mapping = load_mapping(name)
    assert_equal(bind(check(load_cascade(mapping.cascade)), small(mapping.arch, 2, buffer), mapping, shapes, {}))


# --------------------------------------------------------------------------------------------------- random mappings

CASCADES = {
    "product": "input A[K, M], B[K, N]\noutput Z[M, N]\nZ[m, n] = A[k, m] * B[k, n]",
    "row": "input A[K, M]\noutput Z[M]\nZ[m] = A[k, m] :: reduce[k] max",
    "map": "input A[K, M], B[M]\noutput Z[K, M]\nZ[k, m] = A[k, m] * B[m]",
    "chain": "input A[K, M], B[K, N], C[N, L]\noutput Z[M, L]\nT[m, n] = A[k, m] * B[k, n]\nZ[m, l] = T[m, n] * C[n, l]",
    "softmax": "input A[K, M]\noutput Z[K, M]\nS[m] = A[k, m]\nZ[k, m] = A[k, m] / S[m]",
    "running": "input A[K, M]\noutput Z[M]\nR[m, 0] = 0\nR[m, k+1] = R[m, k] + A[k, m]\nZ[m] = R[m, K] * 2",
}
SIZES = {"K": 4, "M": 6, "N": 4, "L": 2}


@st.composite
def mappings(draw: DrawFn, checked: Checked) -> str:
    """A mapping of a cascade: an `on` block an Einsum, each in loops of its own, with random splits, axes and holds."""
    variables = sorted({v for einsum in checked.einsums for v in einsum.variables})
    lines, parts = ["mapping random", "cascade any", "arch any", ""], {v: [v] for v in variables}
    for v in variables:
        divisors = [d for d in range(1, 7) if SIZES[v.upper()] % d == 0]
        inner = draw(st.sampled_from([None, *divisors]))
        if inner is not None:
            lines.append(f"split {v}: {v}1, {v}0 = {inner}")
            parts[v] = [f"{v}1", f"{v}0"]
    made = [einsum.name for einsum in checked.einsums if not einsum.initial]
    between = [name for name in dict.fromkeys(made) if name not in {t.name for t in checked.outputs}]
    lines += ["", *([f"hold {', '.join(between)} in buffer"] if between else [])]
    for einsum in checked.einsums:
        if not einsum.initial:
            lines += draw(statement(einsum.name, [p for v in einsum.variables for p in parts[v]], einsum, set(between)))
    return "\n".join(lines)


@st.composite
def statement(draw: DrawFn, name: str, variables: list[str], einsum: Any, between: set[str]) -> list[str]:
    """Loops around one Einsum in random order, holds in random places, and what is left on axes or inside."""
    order = draw(st.permutations(variables))
    spread = draw(st.lists(st.sampled_from(order), unique=True, max_size=2))
    rest = [v for v in order if v not in spread]
    cut = draw(st.integers(0, len(rest)))
    held = [use.tensor for use in (*einsum.reads, einsum.target) if use.tensor not in between]
    tensors = draw(st.lists(st.sampled_from(sorted(set(held))), unique=True)) if held else []
    places = {tensor: draw(st.integers(0, cut)) for tensor in tensors}
    lines, indent = [], ""
    for depth in range(cut + 1):
        lines += [f"{indent}hold {tensor} in buffer" for tensor, place in places.items() if place == depth]
        if depth < cut:
            kind = "for" if depth or not draw(st.booleans()) else "pipeline"
            lines.append(f"{indent}{kind} {rest[depth]}:")
            indent += "  "
    axes = draw(st.permutations(["rows", "columns"]))
    spatial = f" ({', '.join(f'{axis}: {v}' for axis, v in zip(axes, spread, strict=False))})" if spread else ""
    over = f" over {', '.join(rest[cut:])}" if rest[cut:] else ""
    return [*lines, f"{indent}on array{spatial}: {name}{over}"]


def machine() -> Arch:
    """One array that has everything and whose results may leave by any axis, and a large buffer."""
    arch = load_arch("fusemax-cloud")
    unit = next(unit for unit in arch.units if len(unit.axes) == 2)
    ops = {op.name: op for u in arch.units for op in u.ops}
    everything = replace(unit, name="array", axes=(("rows", 6), ("columns", 6)), edges=(), ops=tuple(ops.values()))
    return replace(arch, units=(everything,))


@pytest.mark.parametrize("name", CASCADES)
def test_random_mappings(name: str) -> None:
    """Random splits, loop orders, axes and holds of small cascades count what the walk counts; most of them are legal."""
    checked, arch = check(parse(CASCADES[name])), machine()
    sizes = {rank: size for rank, size in SIZES.items() if rank in checked.ranks}
    accepted, refused = [0], [0]

    @settings(max_examples=150, suppress_health_check=[HealthCheck.filter_too_much])
    @given(mappings(checked))
    def compare(text: str) -> None:
        try:
            bound = bind(checked, arch, parsed(text), sizes, {})
        except FusemaxError:
            refused[0] += 1
            assume(False)
        accepted[0] += 1
        assert_equal(bound)

    compare()
    assert accepted[0] > refused[0]


def parsed(text: str) -> Mapping:
    """A mapping from its text."""
    return parse_mapping(text)


# ---------------------------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("fused", [False, True])
def test_cross_check_a(fused: bool) -> None:
    """The design's cross-check A: T x T tiles and one element-wise softmax, unfused and fused, all of its counts."""
    text = """input Q[B, H, E, P], K[B, H, E, M], V[B, H, F, M]
output AV[B, H, F, P]
QK[b, h, m, p] = Q[b, h, e, p] * K[b, h, e, m]
SM[b, h, m, p] = exp(QK[b, h, m, p])
AV[b, h, f, p] = SM[b, h, m, p] * V[b, h, f, m]"""
    checked = check(parse(text))
    size, t = 64, 16
    shapes = {"B": 2, "H": 3, "E": 4, "F": 4, "M": size, "P": size}
    head = f"mapping a\ncascade any\narch any\nsplit m: m1, m0 = {t}\nsplit p: p1, p0 = {t}\n"
    each = [
        "for m1: on array (rows: m0, columns: p0): QK over e",
        "for m1: on array (rows: m0, columns: p0): SM",
        "for m1: on array (rows: m0, columns: p0): AV over f",
    ]
    if fused:
        lines = head + "pipeline b, h:\n  hold Q, K, V, AV in buffer\n  for p1:\n    hold QK, SM in buffer\n"
        lines += "".join(f"    {line}\n" for line in each)
    else:
        lines = head
        for tensors, line in (("Q, K", each[0]), ("", each[1]), ("V, AV", each[2])):
            holds = f"    hold {tensors} in buffer\n" if tensors else ""
            lines += f"phase:\n  pipeline b, h:\n{holds}    for p1:\n      {line}\n"
    arch = machine()
    arch = replace(arch, units=tuple(replace(u, axes=(("rows", t), ("columns", t))) for u in arch.units))
    found = estimate(bind(checked, arch, parse_mapping(lines), shapes, {}), Accounting.FULL)
    mt = pt = size // t
    n = 6
    q, k, v, s, av = n * size * 4, n * size * 4, n * size * 4, n * size * size, n * size * 4
    words: Counter[tuple[str, str, str]] = Counter()
    for count in found.counts:
        words[count.memory, count.kind.value, count.tensor] += single(count.words)  # type: ignore[assignment]
    assert [words["dram", "fill", tensor] for tensor in "QKV"] == [q, k, v]
    between = 0 if fused else s
    for tensor in ("QK", "SM"):
        assert words["dram", "read", tensor] == words["dram", "write", tensor] == between
    assert words["dram", "drain", "AV"] == av
    assert words["buffer", "read", "Q"] == q * mt
    assert words["buffer", "read", "K"] == k * pt
    assert words["buffer", "read", "V"] == v * pt
    assert words["buffer", "write", "AV"] == av * mt
    assert words["buffer", "read back", "AV"] == av * (mt - 1)
    assert words["buffer", "drain", "AV"] == av


@pytest.mark.parametrize("width", [64, 128])
@pytest.mark.parametrize("length", [256, 1024, 3 * 2**12, 2**16, 2**20])
def test_cross_check_b(width: int, length: int) -> None:
    """The design's cross-check B: FuseMax's bytes of DRAM from the largest block of queries that fits."""
    mapping = load_mapping("fusemax-binding")
    arch = load_arch(mapping.arch)
    shapes = {"B": 3, "H": 5, "E": width, "F": width, "M": length, "P": length}
    bound = bind(check(load_cascade(mapping.cascade)), arch, mapping, shapes, {})
    limit = ((arch.memories[1].size_bytes or 0) - 512 * 2 * width) // (512 * (2 * width + 2))
    tiles = length // 256
    p1 = max(d for d in range(1, tiles + 1) if tiles % d == 0 and d <= limit)
    expected = 2 * 15 * (2 * length * width + tiles // p1 * length * 2 * width)
    assert estimate(bound, Accounting.FULL).dram_bytes == expected
