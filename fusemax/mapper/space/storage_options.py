"""Options of the holds of each tensor: the few places that can be best, by the loops around its readers.

A hold pays just outside of a loop on which its tensor does not depend: there it saves the fills of all iterations.
Anywhere else it moves the same words and takes more capacity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fusemax.bind.loop_nest import advances
from fusemax.bind.tensors import is_output
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked, CheckedEinsum, Use, When
from fusemax.ir.expr import variable_of
from fusemax.mapper.space.loop_tree import HeldTensor, LoopTree, MappingWriter


def hold_options(writer: MappingWriter, tree: LoopTree, arch: Arch) -> list[tuple[tuple[HeldTensor, ...], ...]]:
    """For each tensor that may be held its options; each option is a set of holds, possibly empty."""
    finder = _Finder(writer, tree, arch)
    each = (tuple(dict.fromkeys(finder.options(tensor))) for tensor in finder.tensors())
    between = [memory.name for memory in arch.path(arch.outermost, arch.innermost())[1:-1]]
    return [tuple(dict.fromkeys(_at_levels(options, between, finder.near))) for options in each if options]


def _at_levels(
    options: tuple[tuple[HeldTensor, ...], ...], between: Sequence[str], near: str
) -> Iterator[tuple[HeldTensor, ...]]:
    """The options, and for each memory between the outermost and the nearest the same there, alone and around others."""
    yield from options
    for level in between:
        for option in options:
            moved = tuple(held._replace(level=level) if held.level == near else held for held in option)
            yield moved
            yield from ((*moved, *inner) for inner in options if _inside(moved, inner))


def _inside(outer: tuple[HeldTensor, ...], inner: tuple[HeldTensor, ...]) -> bool:
    """Whether each of some holds stands further in than one of others, of the same body or around all."""
    return bool(outer and inner) and all(
        any(around.body in (None, held.body) and around.depth < held.depth for around in outer) for held in inner
    )


class _Finder:
    """The options of the tensors of one choice of loops."""

    def __init__(self, writer: MappingWriter, tree: LoopTree, arch: Arch) -> None:
        self.writer, self.tree, self.nest = writer, tree, tree.nest
        self.checked: Checked = writer.checked
        self.near, self.far = arch.innermost().name, arch.outermost.name
        self.members = [(i, e) for i, body in enumerate(self.nest.bodies) for e in body.einsums]
        self.makers = {e.name: (i, e) for i, e in self.members}
        self.depth = len(writer.chain(tree, None))

    def tensors(self) -> list[str]:
        """All tensors that Einsums read or write."""
        return list(dict.fromkeys(use.tensor for _, e in self.members for use in (*e.reads, e.target)))

    def options(self, tensor: str) -> Iterator[tuple[HeldTensor, ...]]:
        """The options of a tensor."""
        made = self.makers.get(tensor)
        readers = [(i, e, use) for i, e in self.members for use in e.reads if use.tensor == tensor]
        if made is None:
            yield from self.of_source(tensor, readers)
        elif any(i != made[0] and use.when is not When.INITIAL for i, _, use in readers):
            yield (HeldTensor(tensor, self.near, None, self.depth),)
            if self.checked.tensors[tensor].iterative is None and self.far != self.near:
                yield (HeldTensor(tensor, self.far, None, self.depth),)
        else:
            yield from self.of_result(tensor, *made)

    def of_source(
        self, tensor: str, readers: Sequence[tuple[int, CheckedEinsum, Use]]
    ) -> Iterator[tuple[HeldTensor, ...]]:
        """An input, or a view of one: not held, held around all bodies, or held in the bodies of its readers."""
        yield ()
        depends = {v for _, _, use in readers for v in use.variables}
        outside = self.writer.chain(self.tree, None)
        for depth in range(self.depth + 1):
            if self.saves(outside, depth, depends) and (depth < self.depth or len({i for i, _, _ in readers}) > 1):
                yield (HeldTensor(tensor, self.near, None, depth),)
        bodies = list(dict.fromkeys(i for i, _, _ in readers))
        each = [tuple(self.in_body(tensor, i, [e for j, e, _ in readers if j == i], depends)) for i in bodies]
        if len(each) == 1:
            yield from ((hold,) for hold in each[0])
        elif all(each):
            yield tuple(options[0] for options in each)

    def in_body(
        self, tensor: str, body: int, readers: Sequence[CheckedEinsum], depends: set[str]
    ) -> Iterator[HeldTensor]:
        """Depths in the chain of one body: outside of loops that it does not depend on, also of those in the array."""
        chain = self.writer.chain(self.tree, body)
        depths = [d for d in range(self.depth, len(chain)) if self.saves(chain, d, depends)]
        if self.runs_again(body, readers, depends):
            last = max((d + 1 for d in range(len(chain)) if chain[d][1] in depends), default=0)
            depths.append(max(last, self.depth))
        for depth in dict.fromkeys(depths):
            yield HeldTensor(tensor, self.near, body, depth)

    def saves(self, chain: Sequence[tuple[str, str]], depth: int, depends: set[str]) -> bool:
        """Whether a hold stands outside of a run of loops that its tensor does not depend on."""
        before = depth == 0 or chain[depth - 1][1] in depends
        return before and (depth == len(chain) or chain[depth][1] not in depends)

    def runs_again(self, body: int, readers: Sequence[CheckedEinsum], depends: set[str]) -> bool:
        """Whether a reader fetches a tensor again in a loop inside of its array on which the tensor does not depend."""
        units = dict(zip(self.nest.bodies[body].names, self.writer.layouts[body].units, strict=True))
        parts = {part: v for v, p in self.writer.parts.items() for part in p.all}
        for reader in readers:
            over = [parts[part] in depends for part in self.writer.over(reader, body, units[reader.name])]
            if any(again and not own for again, own in zip(_advances(over), over, strict=True)):
                return True
        return False

    def of_result(self, tensor: str, body: int, maker: CheckedEinsum) -> Iterator[tuple[HeldTensor, ...]]:
        """A tensor that stays in its body: a running tensor, or partial sums revisited by loops, are held outside of these."""
        declared = self.checked.tensors[tensor]
        chain = self.writer.chain(self.tree, body)
        again = set(maker.reduced)
        if declared.iterative_rank is not None:
            again.add(variable_of(declared.iterative_rank))
        first = next((d for d, (_, v) in enumerate(chain) if v in again), None)
        depends = set(maker.target.variables) - again
        unit = dict(zip(self.nest.bodies[body].names, self.writer.layouts[body].units, strict=True))[tensor]
        parts = {part: v for v, p in self.writer.parts.items() for part in p.all}
        inside = [*(v for _, v in chain[first:]), *(parts[part] for part in self.writer.over(maker, body, unit))]
        revisited = first is not None and any(_advances([v in depends for v in inside]))
        if not revisited or is_output(declared):
            yield ()
        if first is not None and revisited:
            yield (HeldTensor(tensor, self.near, None if first <= self.depth else body, first),)


def _advances(depends: Sequence[bool]) -> list[bool]:
    """Whether a tile becomes another as each loop advances, outermost first, if all loops have several iterations."""
    return [bool(changing) for changing in advances([(2, each) for each in depends])]
