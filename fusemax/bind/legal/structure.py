"""Well-formed trees of mappings: blocks in their places, known variables, splits into new parts."""

from __future__ import annotations

from collections.abc import Iterator

from fusemax.bind.parameters import no_parameter
from fusemax.bind.plan import unknown_tensor
from fusemax.bind.tensors import Splits, parts_of
from fusemax.errors import Problem, did_you_mean, listed
from fusemax.ir.checked import Checked
from fusemax.ir.expr import rank_of
from fusemax.ir.mapping import Block, BlockKind, Case, Fit, For, Hold, Node, Overlap, Split, UnitBlock, Wait
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.ir.print_mapping import print_head
from fusemax.ir.walk import located, walk
from fusemax.syntax.yaml.arch import KINDS


def structure_problems(checked: Checked, mapping: MappingFile, splits: Splits) -> Iterator[Problem]:
    """Problems of the tree alone, in all branches of its cases, on any architecture."""
    yield from _uncounted(mapping)
    for split in mapping.splits:
        yield from _own_split(checked, split) if split.variable not in splits else _parts(checked, mapping, split)
    yield from _phases(mapping)
    for node, around in located(mapping.body):
        yield from _block(node, next((each for each in reversed(around) if not isinstance(each, Case)), None))
    yield from _names(checked, mapping)
    yield from _unless(checked, mapping)
    yield from _Variables(checked, splits).problems(mapping)


def holds_of(mapping: MappingFile) -> Iterator[Hold]:
    """Every `hold` of a mapping, in all branches of its cases."""
    return (node for node in walk(mapping.body) if isinstance(node, Hold))


def _uncounted(mapping: MappingFile) -> Iterator[Problem]:
    """Kinds in `uncounted` that are not operations."""
    for kind in mapping.uncounted.kinds if mapping.uncounted else ():
        if kind not in KINDS:
            hint = did_you_mean(kind, KINDS) or f"there are {', '.join(sorted(KINDS))}"
            span = mapping.uncounted.span if mapping.uncounted else None
            yield Problem(f"no cascade has an operation '{kind}'", span, hint)


# -------------------------------------------------------------------------------------------------------------- splits


def _own_split(checked: Checked, split: Split) -> Iterator[Problem]:
    """A variable that the cascade splits itself: its parts are the cascade's."""
    rank = checked.ranks.get(rank_of(split.variable))
    if rank is None:
        return
    parts = tuple(rank_of(part.variable) for part in split.parts)
    if parts not in rank.splits:
        message = f"no Einsum of '{checked.cascade.name}' runs over '{split.variable}'"
        hint = "leave the split out"
        if rank.splits:
            own = " or ".join(", ".join(part.lower() for part in parts) for parts in rank.splits)
            message, hint = f"'{checked.cascade.name}' splits '{split.variable}' itself, into {own}", "name these parts"
        yield Problem(message, split.span, hint)
    for part in split.parts:
        if isinstance(part.extent, Fit):
            message = f"'{checked.cascade.name}' splits '{split.variable}' itself, so that no part can be fitted"
            yield Problem(message, part.span, f"give a length: `{part.variable} = 256`")


def _parts(checked: Checked, mapping: MappingFile, split: Split) -> Iterator[Problem]:
    """Parts are variables of their own."""
    variables = {variable for einsum in checked.einsums for variable in einsum.variables}
    others = {part.variable for other in mapping.splits if other is not split for part in other.parts}
    for part in split.parts:
        if part.variable in variables or part.variable in others:
            whose = f"of '{checked.cascade.name}'" if part.variable in variables else "of another split"
            yield Problem(f"'{part.variable}' is a variable {whose} already", part.span, "give the part another name")


# -------------------------------------------------------------------------------------------------------------- blocks


def _phases(mapping: MappingFile) -> Iterator[Problem]:
    """Beside a phase stand phases only."""
    places = located(mapping.body)
    nodes = [
        node for node, around in places if not isinstance(node, Case) and all(isinstance(each, Case) for each in around)
    ]
    phased = [node for node in nodes if isinstance(node, Block) and node.kind is BlockKind.PHASE]
    for node in nodes if phased else ():
        if isinstance(node, Hold):
            message = "a `hold` beside phases: tensors pass between phases through the outermost memory"
            yield Problem(message, node.span, "put it into each `phase` that needs it")
        elif node not in phased:
            yield Problem(f"`{_word(node)}` beside phases", node.span, "put it into a `phase` of its own")


def _block(node: Node, around: Node | None) -> Iterator[Problem]:
    """Blocks outside of a body of their kind."""
    staged = isinstance(around, For) and around.overlap is Overlap.STAGES
    in_stage = isinstance(around, Block) and around.kind is BlockKind.STAGE
    match node:
        case Block(BlockKind.STAGE) if not staged:
            yield Problem("`stage` outside of `stages`", node.span, "put it right below `stages p1:`")
        case Block(BlockKind.PREVIOUS) if not in_stage:
            yield Problem("`previous` outside of a `stage`", node.span, "put it right below `stage:`")
        case Block(BlockKind.PHASE) if around is not None:
            hint = "phases stand at the outermost level, each with loops of its own"
            yield Problem("`phase` inside of a body", node.span, hint)
        case Wait() if not in_stage:
            yield Problem("`wait` outside of a `stage`", node.span, "put it below the Einsum in its `stage`")
        case Block(BlockKind.STAGE) | Hold() | Case():
            pass
        case _ if staged:
            yield Problem(f"`{_word(node)}` between stages", node.span, "put it into a `stage:`")


def _word(node: Node) -> str:
    """The word that a node begins with."""
    return print_head(node).split()[0]


def _names(checked: Checked, mapping: MappingFile) -> Iterator[Problem]:
    """Parameters do not hide ranks and tensors."""
    for parameter in mapping.parameters:
        for kind, names in (("rank", checked.ranks), ("tensor", checked.tensors)):
            if parameter.name in names:
                message = f"parameter '{parameter.name}' has the name of a {kind} of '{checked.cascade.name}'"
                yield Problem(message, parameter.span, "give it another name")


def _unless(checked: Checked, mapping: MappingFile) -> Iterator[Problem]:
    """Behind `unless` stands a parameter that lists tensors, and before it stand tensors, held or not."""
    known = {parameter.name: parameter for parameter in mapping.parameters}
    for hold in holds_of(mapping):
        if hold.unless is None:
            continue
        if hold.unless not in known:
            yield no_parameter(mapping, hold.unless, hold.span)
        elif not isinstance(known[hold.unless].default, tuple):
            message = f"`unless {hold.unless}`, but that parameter is a number and lists no tensors"
            yield Problem(message, hold.span, "give it a default like `QK A`, or `()`")
        for name in hold.tensors:
            if name not in checked.tensors and name not in known:
                yield unknown_tensor(checked, name, hold.span)


# ----------------------------------------------------------------------------------------------------------- variables


class _Variables:
    """Loops, axes and `over` name known variables, and none of the loops around."""

    def __init__(self, checked: Checked, splits: Splits) -> None:
        self.name, self.splits = checked.cascade.name, splits
        self.known = {part for einsum in checked.einsums for part in parts_of(einsum.variables, splits)}

    def problems(self, mapping: MappingFile) -> Iterator[Problem]:
        """All problems of the loops and Einsums of a mapping."""
        for node, around in located(mapping.body):
            loops = tuple(variable for each in around if isinstance(each, For) for variable in each.variables)
            match node:
                case For():
                    yield from self.loop(node, loops)
                case UnitBlock():
                    yield from self.on(node, loops)

    def loop(self, node: For, around: tuple[str, ...]) -> Iterator[Problem]:
        """A loop over known variables, each once on a path."""
        for variable in node.variables:
            yield from self.unknown(variable, node)
            if variable in around:
                message = f"a loop over '{variable}' inside of another over it"
                yield Problem(message, node.span, "keep one, or split the variable")

    def on(self, node: UnitBlock, around: tuple[str, ...]) -> Iterator[Problem]:
        """The axes of a unit, and the loops inside of it."""
        seen: dict[str, str] = {}
        for axis, variable in node.axes:
            yield from self.unknown(variable, node)
            if axis in seen:
                yield Problem(f"axis '{axis}' of '{node.unit}' is named twice", node.span, "keep one")
            elif variable in seen.values():
                yield Problem(f"'{variable}' is spread over two axes of '{node.unit}'", node.span, "keep one")
            elif variable in around:
                message = f"'{variable}' is spread over an axis of '{node.unit}' inside of a loop over it"
                yield Problem(message, node.span, "keep one, or split the variable")
            seen[axis] = variable
        for einsum in node.einsums:
            for variable in einsum.over:
                yield from (Problem(p.message, einsum.span, p.hint) for p in self.unknown(variable, node))

    def unknown(self, variable: str, node: For | UnitBlock) -> Iterator[Problem]:
        """A variable that no Einsum and no split has, or that is split."""
        if variable in self.splits:
            hint = f"its parts are {listed(self.splits[variable])}"
            yield Problem(f"'{variable}' is split, and runs in its parts", node.span, hint)
        elif variable not in self.known:
            hint = did_you_mean(variable, self.known) or f"variables are {listed(sorted(self.known), 20)}"
            yield Problem(f"'{variable}' is no variable of '{self.name}' or of a split", node.span, hint)
