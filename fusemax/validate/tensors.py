"""The table of tensors: declared or inferred, written how often, with which ranks."""

from __future__ import annotations

from fusemax.errors import FusemaxError, Problem, did_you_mean, listed
from fusemax.ir.affine import Affine
from fusemax.ir.cascade import Einsum, Role
from fusemax.ir.checked import Tensor, When
from fusemax.ir.expr import Access, Apply, Name, accesses, names, rank_of
from fusemax.ir.printer import print_access
from fusemax.validate.affine import to_affine
from fusemax.validate.draft import Draft, Write


def collect(draft: Draft) -> None:
    """Fill the draft's tables of declarations, writes and tensors."""
    _declarations(draft)
    _writes(draft)
    _splits(draft)
    for name in _in_order(draft):
        tensor = _tensor(draft, name)
        if tensor is not None:
            draft.tensors[name] = tensor
    _outputs(draft)


def _declarations(draft: Draft) -> None:
    for role, tensor in draft.cascade.declarations:
        if tensor.name in draft.declared:
            draft.refuse(f"tensor '{tensor.name}' is declared twice", tensor.span, "keep one declaration")
        else:
            draft.declared[tensor.name] = role, tensor


def _writes(draft: Draft) -> None:
    for einsum in draft.cascade.einsums:
        try:
            indices = tuple(to_affine(place.index) for place in einsum.target.places)
        except FusemaxError as error:
            draft.refuse_all(error)
            continue
        if _well_written(draft, einsum, indices):
            when = When.NEW if any(index.step for index in indices) else None
            draft.writes.setdefault(einsum.name, []).append(Write(einsum, indices, when))
    for name, writes in draft.writes.items():
        draft.writes[name] = _classified(draft, name, writes)


def _well_written(draft: Draft, einsum: Einsum, indices: tuple[Affine, ...]) -> bool:
    span = einsum.target.span
    for index in indices:
        plain = index.variable or index.step or index.split or not index.variables
        if not plain:
            hint = "a written subscript is `v`, `v+1`, a constant or a join `v1*V0 + v0`"
            draft.refuse(f"'{einsum.name}' is written at a subscript that is none of these", index.span or span, hint)
            return False
    if sum(index.step is not None for index in indices) > 1:
        draft.refuse(f"'{einsum.name}' steps along two ranks", span, "iterate over one rank in one tensor")
        return False
    return True


def _classified(draft: Draft, name: str, writes: list[Write]) -> list[Write]:
    """The writes of one tensor with their places in an iteration; refuses what is written twice."""
    iterative = any(write.when is When.NEW for write in writes)
    result: list[Write] = []
    for write in writes:
        constants = [index for index in write.indices if not index.variables]
        when = write.when or (When.INITIAL if constants and iterative else None)
        span = write.einsum.target.span
        if constants and not iterative:
            hint = f"write the step of an iteration, {name}[..., i+1, ...] = ..., or index with a variable"
            draft.refuse(f"'{name}' is written at a single coordinate and has no step", constants[0].span or span, hint)
        elif when is None and iterative:
            draft.refuse(f"'{name}' is written as a whole and also step by step", span, "write it once")
        elif any(other.when is when for other in result):
            what = {When.NEW: "the step of ", When.INITIAL: "the initial value of ", None: "tensor "}[when]
            first = next(other for other in result if other.when is when).einsum.target.span
            place = f", first at {first}" if first else ""
            draft.refuse(f"{what}'{name}' is written twice{place}", span, "give the second result a name of its own")
        else:
            result.append(Write(write.einsum, write.indices, when))
            continue
        if not result:
            result.append(Write(write.einsum, write.indices, when))
    return result


def _splits(draft: Draft) -> None:
    """Which ranks a `shape` equation or an index over a declared rank splits into which others."""
    for default in draft.cascade.shapes:
        match default.value:
            case Apply("div", (Name(joined), Name(inner))):
                _add_split(draft, joined, (default.rank, inner))
            case Apply("mul", (Name(outer), Name(inner))):
                _add_split(draft, default.rank, (outer, inner))
    for access in draft.all_accesses():
        if access.tensor not in draft.declared:
            continue
        for place, rank in zip(access.places, draft.declared[access.tensor][1].ranks, strict=False):
            try:
                parts = to_affine(place.index).split
            except FusemaxError:
                continue
            if parts:
                _add_split(draft, rank, parts)


def _add_split(draft: Draft, joined: str, parts: tuple[str, ...]) -> None:
    known = draft.splits.setdefault(joined, [])
    if parts not in known:
        known.append(parts)


def _joined(draft: Draft, parts: tuple[str, ...]) -> str | None:
    return next((joined for joined, splits in draft.splits.items() if parts in splits), None)


def _in_order(draft: Draft) -> list[str]:
    """Declared tensors first, then the others in the order in which the file mentions them."""
    mentioned = [access.tensor for access in draft.all_accesses()]
    return list(dict.fromkeys([*draft.declared, *mentioned]))


def _tensor(draft: Draft, name: str) -> Tensor | None:
    if not _one_arity(draft, name):
        return None
    writes = draft.writes.get(name, [])
    declared = draft.declared.get(name)
    step = next((write for write in writes if write.when is When.NEW), None)
    iterative = next(i for i, index in enumerate(step.indices) if index.step) if step else None
    if declared:
        role, tensor = declared
        if role is Role.INPUT and writes:
            target = writes[0].einsum.target
            draft.refuse(
                f"input '{name}' is written", target.span, "declare it `tensor` or `output`, or rename the result"
            )
        return Tensor(name, tensor.ranks, role, tensor.empty, iterative, tensor.span)
    if writes:
        return _written(draft, name, step or writes[0], iterative)
    written_somewhere = any(einsum.name == name for einsum in draft.cascade.einsums)
    if draft.infers_inputs and not written_somewhere:
        return _inferred(draft, name)
    if not written_somewhere:
        refuse_undeclared(draft, _first_read(draft, name))
    return None


def refuse_undeclared(draft: Draft, access: Access) -> None:
    """A tensor that nobody writes and nobody declares."""
    ranks = ", ".join(rank_of(n.name) for place in access.places for n in list(names(place.index))[:1])
    known = {*draft.declared, *draft.writes} - {access.tensor}
    near = did_you_mean(access.tensor, known)
    if near is None and len(access.tensor) == 1:
        alike = [name for name in sorted(known) if _arity(draft, name) == len(access.places)]
        near = f"did you mean '{alike[-1]}'?" if alike else None
    hint = f"declare it with `input {access.tensor}[{ranks}]`" + (f", or {near}" if near else "")
    draft.refuse(f"tensor '{access.tensor}' is read but never written or declared", access.span, hint)


def _arity(draft: Draft, name: str) -> int:
    if name in draft.declared:
        return len(draft.declared[name][1].ranks)
    return len(draft.writes[name][0].indices)


def _first_read(draft: Draft, name: str) -> Access:
    return next(a for einsum in draft.cascade.einsums for a in accesses(einsum.expr) if a.tensor == name)


def _one_arity(draft: Draft, name: str) -> bool:
    """Whether every access has as many places as the tensor has ranks."""
    uses = [access for access in draft.all_accesses() if access.tensor == name]
    if name in draft.declared:
        tensor = draft.declared[name][1]
        arity, first = len(tensor.ranks), f"declared with {_count(len(tensor.ranks), 'rank')}"
        hint = f"it is {name}[{', '.join(tensor.ranks)}]"
    else:
        arity, first = len(uses[0].places), f"used with {_count(len(uses[0].places), 'subscript')} before"
        hint = f"it is {print_access(uses[0], scalar='')} before"
    wrong = [access for access in uses if len(access.places) != arity]
    for access in wrong:
        draft.refuse(f"'{name}' with {_count(len(access.places), 'subscript')}, but {first}", access.span, hint)
    return not wrong


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _written(draft: Draft, name: str, write: Write, iterative: int | None) -> Tensor | None:
    ranks: list[str] = []
    for place, index in zip(write.einsum.target.places, write.indices, strict=True):
        variable = index.variable or index.step
        parts = index.split
        if place.rank:
            ranks.append(place.rank)
        elif variable:
            ranks.append(rank_of(variable))
        elif parts and (joined := _joined(draft, parts)):
            ranks.append(joined)
        elif parts:
            hint = (
                f"declare it, `tensor {name}[...]`, or state the split: `shape {parts[0]} = R / {'*'.join(parts[1:])}`"
            )
            draft.refuse(f"the joined rank of '{name}' has no name", index.span, hint)
            return None
        else:
            return None  # a single coordinate without a step: refused where the writes were collected
    return Tensor(name, tuple(ranks), Role.TENSOR, None, iterative, write.einsum.target.span)


def _inferred(draft: Draft, name: str) -> Tensor | None:
    access = _first_read(draft, name)
    ranks: list[str] = []
    for place in access.places:
        try:
            index = to_affine(place.index)
        except FusemaxError:
            return None  # refused where the Einsum is resolved
        rank = place.rank or (rank_of(index.variable) if index.variable else None)
        rank = rank or (_joined(draft, index.split) if index.split else None)
        if rank is None:
            hint = f"declare the inputs: `input {name}[...]`"
            draft.refuse(f"the ranks of input '{name}' cannot be told from this access", access.span, hint)
            return None
        ranks.append(rank)
    return Tensor(name, tuple(ranks), Role.INPUT, span=access.span)


def _outputs(draft: Draft) -> None:
    """Refuse declared results that nobody writes; without a declared output, what nobody reads is one."""
    for name, (role, declaration) in draft.declared.items():
        if role is not Role.INPUT and all(einsum.name != name for einsum in draft.cascade.einsums):
            known = [n for n in draft.writes if n not in draft.declared]
            what = "output" if role is Role.OUTPUT else "tensor"
            hint = (
                did_you_mean(name, known) or f"write an Einsum `{name}[{', '.join(declaration.ranks).lower()}] = ...`"
            )
            draft.refuse(f"{what} '{name}' is declared but never written", declaration.span, hint)
    read = {a.tensor for e in draft.cascade.einsums for a in accesses(e.expr) if a.tensor != e.name}
    read |= {n.name for e in draft.cascade.einsums for n in names(e.expr) if n.name != e.name}
    unread = [name for name in draft.writes if name not in read and name in draft.tensors]
    if any(role is Role.OUTPUT for role, _ in draft.declared.values()):
        _note_unused(draft, [n for n in unread if draft.tensors[n].role is not Role.OUTPUT], read)
        return
    for name in unread or list(draft.writes)[-1:]:
        if name in draft.tensors:
            draft.tensors[name] = _as_output(draft.tensors[name])


def _as_output(tensor: Tensor) -> Tensor:
    return Tensor(tensor.name, tensor.ranks, Role.OUTPUT, tensor.empty, tensor.iterative, tensor.span)


def _note_unused(draft: Draft, unread: list[str], read: set[str]) -> None:
    for name in unread:
        span = draft.writes[name][0].einsum.target.span
        draft.notes.append(
            Problem(f"'{name}' is computed but never used", span, f"declare it with `output {name}[...]`")
        )
    for name, (role, tensor) in draft.declared.items():
        if role is Role.INPUT and name not in read:
            draft.notes.append(Problem(f"input '{name}' is never read", tensor.span, "remove it"))


def note_inferred(draft: Draft) -> None:
    """Say which inputs and outputs were inferred, so that a slip of the pen is seen."""
    inferred = [t.name for t in draft.tensors.values() if t.role is Role.INPUT and t.name not in draft.declared]
    if inferred:
        hint = "declare them with `input`, so that a misspelt tensor is an error"
        draft.notes.append(
            Problem(f"inferred as inputs, for no Einsum writes them: {listed(inferred, 20)}", None, hint)
        )
