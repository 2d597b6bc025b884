"""Which loops may be fused: every way to cut a cascade into loops, against running the loops step by step.

The oracle keeps a set of the steps at which each tensor has been written, and knows nothing of passes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from fusemax import FusemaxError, check, evaluate, load_arch, load_cascade
from fusemax.ir.arch import Arch, Operation, Unit
from fusemax.ir.checked import Checked, CheckedEinsum, Use, When
from fusemax.ir.expr import Access, rank_of
from fusemax.ir.mapping import For, Hold, Mapping, Node, Overlap, PlacedEinsum, UnitBlock
from fusemax.syntax.yaml.arch import KINDS
from fusemax.validate.shapes import shape_names

pytestmark = pytest.mark.slow

STEPS = 3
"""Iterations of the loops that are fused."""
MOST = 150
"""Cuts and orders of a cascade that are tried."""

CASCADES = {
    "softmax-stable": "m",
    "softmax-naive": "m",
    "attention": "m",
    "attention-3pass": "m",
    "attention-3pass-deferred": "m",
    "attention-1pass": "m1",
    "attention-2pass": "m1",
    "attention-2pass-deferred": "m1",
    "attention-sink": "m",
    "cross-entropy": "v",
    "layernorm": "d",
    "layernorm-moments": "d",
    "rmsnorm-ffn": "d",
    "cascade-1": "k",
    "cascade-2": "k",
    "cascade-3": "i",
    "ffn-gated": "s",
    "linear-attention": "p",
}
"""Cascades, and the variable over which their Einsums run in loops."""


def machine(checked: Checked) -> Arch:
    """A machine with one unit that can do everything, so that nothing but the order is wrong."""
    arch = load_arch("flat-cloud")
    kinds = sorted({*KINDS, *(op.name for op in checked.cascade.ops)})
    unit = Unit("u", (("lanes", 1),), (), None, tuple(Operation(kind, 1, 0.0) for kind in kinds))
    return Arch("all", "", arch.clock_hz, arch.word_bits, arch.memories, (unit,))


def computed(checked: Checked) -> list[CheckedEinsum]:
    """The Einsums that a mapping places: no initial values, and no parts of inputs under another name."""
    inputs = {tensor.name for tensor in checked.inputs}
    copies = {e.name for e in checked.einsums if isinstance(e.expr, Access) and not e.reductions and not e.step}
    parts = {e.name for e in checked.einsums if e.name in copies and e.reads[0].tensor in inputs}
    return [e for e in checked.einsums if not e.initial and e.name not in parts]


# ---------------------------------------------------------------------------------------------------------- the oracle


@dataclass
class Loops:
    """A cascade cut into loops over one variable, run one after another."""

    checked: Checked
    variable: str
    done: dict[str, set[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = {einsum.name for einsum in computed(self.checked)}

    def run(self, loops: Sequence[Sequence[CheckedEinsum]]) -> bool:
        """Whether every Einsum finds what it reads."""
        self.done = {}
        return all(self.loop(loop) for loop in loops)

    def loop(self, einsums: Sequence[CheckedEinsum]) -> bool:
        """One loop; what does not run over it runs in its first iteration if it can, and else in the last."""
        made = {einsum.name for einsum in einsums}
        last = {e.name for e in einsums if not self.over(e) and any(self.within(u, made, einsums) for u in e.reads)}
        for step in range(STEPS):
            for einsum in einsums:
                if not self.over(einsum) and step != (STEPS - 1 if einsum.name in last else 0):
                    continue
                if not all(self.found(use, step) for use in einsum.reads):
                    return False
                steps = {step} if self.over(einsum) else set(range(STEPS))
                self.done.setdefault(einsum.name, set()).update(steps)
        return True

    def over(self, einsum: CheckedEinsum) -> bool:
        """Whether an Einsum runs over the variable."""
        return self.variable in einsum.variables

    def within(self, use: Use, made: set[str], einsums: Sequence[CheckedEinsum]) -> bool:
        """Whether a read is of what the loop completes, directly or by way of another that runs at its end."""
        if use.tensor not in made:
            return False
        maker = next(einsum for einsum in einsums if einsum.name == use.tensor)
        return self.over(maker) or any(self.within(u, made - {use.tensor}, einsums) for u in maker.reads)

    def found(self, use: Use, step: int) -> bool:
        """Whether a value is there: that of the step, if the tensor has one for each, else that of all steps."""
        if use.tensor not in self.names or use.when is When.INITIAL:
            return True
        done = self.done.get(use.tensor, set())
        tensor = self.checked.tensors[use.tensor]
        if tensor.iterative_rank == rank_of(self.variable):
            # Only the newest of the steps is kept.
            newest = max(done, default=-1)
            wanted = {When.OLD: (step - 1, step), When.NEW: (step,)}.get(use.when or When.FINAL, (STEPS - 1,))
            return newest in wanted
        ranked = rank_of(self.variable) in tensor.ranks
        return step in done if ranked else len(done) == STEPS


# -------------------------------------------------------------------------------------------------------- the mappings


def mapping_of(checked: Checked, variable: str, loops: Sequence[Sequence[CheckedEinsum]]) -> Mapping:
    """The loops as a mapping that holds everything, so that nothing but the order is wrong."""
    body: list[Node] = [Hold((einsum.name,), "dram") for einsum in computed(checked)]
    for loop in loops:
        placed = tuple(PlacedEinsum(e.name, tuple(v for v in e.variables if v != variable)) for e in loop)
        body.append(For(Overlap.FOR, (variable,), (UnitBlock("u", (), placed),)))
    return Mapping("fused", (), checked.cascade.name, "all", None, (), None, tuple(body))


def accepted(checked: Checked, mapping: Mapping, arch: Arch) -> bool:
    """Whether the model costs a mapping, or refuses it."""
    given = {"M0": 2, "M1": STEPS, "M": 2 * STEPS} if "M1" in checked.ranks else {}
    sizes = {rank: given.get(rank, STEPS) for rank in shape_names(checked)}
    try:
        return bool(evaluate(checked, arch, mapping, sizes).cycles > 0)
    except FusemaxError:
        return False


def cuts(einsums: Sequence[CheckedEinsum], seed: str) -> Iterator[list[list[CheckedEinsum]]]:
    """Ways to cut the Einsums into loops: all in the file's order if these are few, else some; and some in others."""
    chance = random.Random(seed)
    ways = list(range(2 ** (len(einsums) - 1)))
    for way in ways if len(ways) <= MOST else chance.sample(ways, MOST):
        yield cut(einsums, way)
    for _ in range(MOST // 3):
        order = list(einsums)
        i = chance.randrange(max(1, len(order) - 1))
        order[i : i + 2] = reversed(order[i : i + 2])
        yield cut(order, chance.choice(ways))


def cut(einsums: Sequence[CheckedEinsum], way: int) -> list[list[CheckedEinsum]]:
    """The Einsums with a cut behind each whose bit is set."""
    places = [0, *(i + 1 for i in range(len(einsums) - 1) if way >> i & 1), len(einsums)]
    return [list(einsums[a:b]) for a, b in pairwise(places)]


@pytest.mark.parametrize(("name", "variable"), CASCADES.items(), ids=CASCADES)
def test_every_way_to_fuse(name: str, variable: str) -> None:
    """A mapping is accepted if and only if its loops find, step by step, all that they read."""
    checked = check(load_cascade(name))
    arch = machine(checked)
    oracle, found = Loops(checked, variable), {True: 0, False: 0}
    for loops in cuts(computed(checked), name):
        wanted = oracle.run(loops)
        shown = " | ".join(", ".join(einsum.name for einsum in loop) for loop in loops)
        assert accepted(checked, mapping_of(checked, variable, loops), arch) == wanted, shown
        found[wanted] += 1
    assert found[True] > 0
    assert found[False] > 0
