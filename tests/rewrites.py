"""Rewrites of cascades that change how they are written, not what they compute (or, for a filter, not how)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from random import Random
from typing import Any

from fusemax.ir.cascade import (
    Cascade,
    Einsum,
    Op,
    Reduction,
    Section,
    ShapeDefault,
    Stop,
    TensorDeclaration,
)
from fusemax.ir.checked import Checked, CheckedEinsum, Use, When
from fusemax.ir.expr import Access, Apply, Name, Place, accesses, variable_of


def rewritten(node: Any, change: Callable[[Any], Any]) -> Any:
    """A tree of nodes with `change` applied to every node, the lower ones first; operators that a file defines stay."""
    if isinstance(node, tuple):
        return tuple(rewritten(each, change) for each in node)
    if isinstance(node, Op) or not is_dataclass(node) or isinstance(node, type):
        return node
    parts = {
        f.name: getattr(node, f.name) for f in fields(node) if f.name not in ("span", "comments", "source", "notes")
    }
    return change(replace(node, **{name: rewritten(part, change) for name, part in parts.items()}))


def rename(cascade: Cascade, tensors: Mapping[str, str], ranks: Mapping[str, str]) -> Cascade:
    """Other names for tensors and for ranks (with their variables)."""
    variables = {variable_of(old): variable_of(new) for old, new in ranks.items()}
    bare = {**tensors, **variables, **ranks}

    def change(node: Any) -> Any:
        match node:
            case Name(name):
                return replace(node, name=bare.get(name, name))
            case Access(tensor):
                return replace(node, tensor=tensors[tensor])
            case Place(_, str(rank)):
                return replace(node, rank=ranks[rank])
            case TensorDeclaration(name, of_tensor):
                return replace(node, name=tensors[name], ranks=tuple(ranks[rank] for rank in of_tensor))
            case ShapeDefault(rank):
                return replace(node, rank=ranks[rank])
            case Reduction(names):
                return replace(node, variables=tuple(variables[name] for name in names))
            case Stop(variable) | Section(_, str(variable)):
                return replace(node, variable=variables[variable])
        return node

    return replace(cascade, statements=rewritten(cascade.statements, change))


def permute(cascade: Cascade, orders: Mapping[str, Sequence[int]]) -> Cascade:
    """Another order of the subscripts of each tensor, wherever it stands."""

    def change(node: Any) -> Any:
        match node:
            case Access(tensor, places):
                return replace(node, places=tuple(places[i] for i in orders[tensor]))
            case TensorDeclaration(name, ranks):
                return replace(node, ranks=tuple(ranks[i] for i in orders[name]))
        return node

    return replace(cascade, statements=rewritten(cascade.statements, change))


def reorder(checked: Checked, random: Random) -> Cascade:
    """Another order of the Einsums in which each tensor is still defined before it is used, without headings."""
    waiting = list(checked.einsums)
    ordered: list[Einsum] = []
    while waiting:
        ready = [e for e in waiting if all(_defined(waiting, use, e.name) for use in e.reads)]
        chosen = random.choice(ready)
        waiting.remove(chosen)
        ordered.append(chosen.source)
    others = [s for s in checked.cascade.statements if not isinstance(s, Einsum | Section)]
    return replace(checked.cascade, statements=(*others, *ordered))


def _defined(waiting: Sequence[CheckedEinsum], use: Use, reader: str) -> bool:
    """Whether nothing that waits must come before a read: the step for a read at `v+1`, else the start or the whole."""
    writes = [e for e in waiting if e.name == use.tensor]
    if use.when is When.NEW:
        return all(e.initial for e in writes)
    return all(e.step for e in writes) or (reader == use.tensor and not any(e.initial for e in writes))


def with_filter(cascade: Cascade, position: int, left: str, right: str) -> Cascade:
    """The Einsum at a position with the filter `left <= right` on the first subscript of its target or its reads."""
    einsum = cascade.einsums[position]
    filtered = next(access for access in (einsum.target, *accesses(einsum.expr)) if access.places)
    first, *others = filtered.places
    place = replace(first, filters=(*first.filters, Apply("le", (Name(left), Name(right)))))

    def change(node: Any) -> Any:
        return replace(node, places=(place, *others)) if node == filtered else node

    statements = (rewritten(s, change) if s is einsum else s for s in cascade.statements)
    return replace(cascade, statements=tuple(statements))


def haloes(checked: Checked) -> list[tuple[str, int]]:
    """The inputs, each with a place at which they are read, wherever they are, with the variable of its rank alone."""
    return [
        (tensor.name, axis)
        for tensor in checked.inputs
        for axis, rank in enumerate(tensor.ranks)
        if all(
            u.indices[axis].variable == variable_of(rank)
            for e in checked.einsums
            for u in e.reads
            if u.tensor == tensor.name
        )
    ]


def with_halo(checked: Checked, tensor: str, axis: int) -> Cascade:
    """Every read `A[v]` of an input at one of its places made `A[v + halo]`, and `halo` summed where it stands."""
    reductions = {
        id(e.source): (*(Reduction(r.variables, r.reducer) for r in e.reductions), Reduction(("halo",), "add"))
        for e in checked.einsums
        if any(use.tensor == tensor for use in e.reads)
    }

    def change(node: Any) -> Any:
        match node:
            case Access(name, places) if name == tensor:
                place = Place(Apply("add", (places[axis].index, Name("halo"))), None, places[axis].filters)
                return replace(node, places=(*places[:axis], place, *places[axis + 1 :]))
            case TensorDeclaration(name, ranks) if name == tensor:
                return replace(node, ranks=(*ranks[:axis], "HALOED", *ranks[axis + 1 :]))
        return node

    old = checked.cascade.statements
    named = (
        replace(s, reductions=reductions[id(s)]) if isinstance(s, Einsum) and id(s) in reductions else s for s in old
    )
    return replace(checked.cascade, statements=rewritten(tuple(named), change))
