"""The table of tensors: declared or inferred, written how often, with which ranks."""

from __future__ import annotations

from dataclasses import replace

from fusemax.errors import FusemaxError, Problem, listed
from fusemax.ir.affine import Affine
from fusemax.ir.cascade import Einsum, Role
from fusemax.ir.checked import Tensor, When
from fusemax.ir.expr import Access, Apply, Name, Place, accesses, names, rank_of, variable_of
from fusemax.ir.print_cascade import print_access, print_index
from fusemax.validate.affine import indices_of, to_affine
from fusemax.validate.draft import Draft, Write


def collect(draft: Draft) -> None:
    """Fill the draft's tables of declarations, writes and tensors."""
    if not draft.cascade.einsums:
        draft.refuse("no equation in this cascade", None, "write one: `Z[m] = A[k, m] * B[k]`")
    _declarations(draft)
    _subscripts(draft)
    _writes(draft)
    _splits(draft)
    for name in dict.fromkeys([*draft.declared, *draft.accesses]):
        tensor = _tensor(draft, name)
        if tensor is not None:
            draft.tensors[name] = tensor
    _outputs(draft)
    ranks = {rank for t in draft.tensors.values() if t.role is Role.INPUT for rank in t.ranks}
    ranks |= {rank for _, declaration in draft.declared.values() for rank in declaration.ranks}
    for default in draft.cascade.shapes:
        draft.equate(default.rank, default.value, "the `shape` statement says so", default.span, default=True)
    draft.own_ranks = frozenset(ranks | {default.rank for default in draft.cascade.shapes})


def _declarations(draft: Draft) -> None:
    for role, tensor in draft.cascade.declarations:
        if tensor.name in draft.declared:
            draft.refuse(f"tensor '{tensor.name}' is declared twice", tensor.span, "keep one declaration")
        else:
            draft.declared[tensor.name] = role, tensor


def _subscripts(draft: Draft) -> None:
    """Refuse every subscript that is not affine."""
    for access in draft.cascade.accesses:
        for place in access.places:
            try:
                to_affine(place.index)
            except FusemaxError as error:
                draft.refuse_all(error)


# -------------------------------------------------------------------------------------------------------------- writes


def _writes(draft: Draft) -> None:
    writes: dict[str, list[Write]] = {}
    for position, einsum in enumerate(draft.cascade.einsums):
        indices = indices_of(einsum.target)
        if indices is not None and _well_written(draft, einsum, indices):
            when = When.NEW if any(index.step for index in indices) else None
            writes.setdefault(einsum.name, []).append(Write(einsum, position, indices, when))
    for name, several in writes.items():
        step = next((write for write in several if write.when is When.NEW), None)
        classified = [known for write in several if (known := _classified(draft, write, step)) is not None]
        if classified:
            draft.writes[name] = classified
            _check_once(draft, name)


def _well_written(draft: Draft, einsum: Einsum, indices: tuple[Affine, ...]) -> bool:
    for place, index in zip(einsum.target.places, indices, strict=True):
        if not (index.variable or index.step or index.split or not index.variables):
            hint = "a written subscript is a variable `v`, a step `v+1`, a constant or a join `v1*V0 + v0`"
            draft.refuse(f"'{einsum.name}' cannot be written at '{print_index(place.index)}'", place.span, hint)
            return False
    if sum(index.step is not None for index in indices) > 1:
        draft.refuse(f"'{einsum.name}' steps along two ranks", einsum.target.span, "iterate over one rank at a time")
        return False
    return True


def _classified(draft: Draft, write: Write, step: Write | None) -> Write | None:
    """The write with its place in the iteration whose step is given; a constant is an initial value, or refused."""
    along = _along(step)
    if step is None or along is None or along >= len(write.indices) or write.indices[along].variables:
        places = zip(write.einsum.target.places, write.indices, strict=True)
        constants = [place for place, index in places if not index.variables]
        for place in constants:
            _refuse_constant(draft, write.einsum.name, place)
        return None if constants else write
    if write.indices[along].number != 0:
        place = write.einsum.target.places[along]
        message = f"the initial value of '{write.einsum.name}' is written at '{print_index(place.index)}'"
        draft.refuse(message, place.span, f"an iteration starts at 0 and steps to '{step.indices[along].step}+1'")
    return replace(write, when=When.INITIAL)


def _refuse_constant(draft: Draft, name: str, place: Place) -> None:
    message = f"'{name}' is written at the single coordinate '{print_index(place.index)}'"
    hint = "only the initial value of an iteration is, whose step `v+1` is written too; else index with a variable"
    if isinstance(place.index, Name):
        hint = f"write '{variable_of(place.index.name)}': rank variables are lower-case"
    draft.refuse(message, place.span, hint)


def _along(step: Write | None) -> int | None:
    """At which place a step steps."""
    return next(i for i, index in enumerate(step.indices) if index.step) if step else None


def _check_once(draft: Draft, name: str) -> None:
    """A tensor is written once, or, in an iteration, once as initial value and once as step."""
    writes = draft.writes[name]
    first: dict[When | None, Write] = {}
    for write in writes:
        before = first.setdefault(write.when, write)
        span = write.einsum.target.span
        if before is not write:
            what = {When.NEW: "the step of ", When.INITIAL: "the initial value of ", None: "tensor "}[write.when]
            place = f", first at {before.einsum.target.span}" if before.einsum.target.span else ""
            draft.refuse(f"{what}'{name}' is written twice{place}", span, "give the second result a name of its own")
        elif write.when is None and any(other.when is not None for other in writes):
            hint = "write the initial value at 0 and the step at `v+1`, or the whole tensor"
            draft.refuse(f"'{name}' is written as a whole and also step by step", span, hint)


# ------------------------------------------------------------------------------------------------- splits of ranks


def _splits(draft: Draft) -> None:
    """Which ranks a `shape` equation or an index over a declared rank splits into which others."""
    for default in draft.cascade.shapes:
        match default.value:
            case Apply("div", (Name(joined), Name(inner))):
                _add_split(draft, joined, (default.rank, inner))
            case Apply("mul", (Name(outer), Name(inner))):
                _add_split(draft, default.rank, (outer, inner))
    for name, (_, declaration) in draft.declared.items():
        for access in draft.accesses.get(name, ()):
            for index, rank in zip(indices_of(access) or (), declaration.ranks, strict=False):
                if index.split:
                    _add_split(draft, rank, index.split)


def _add_split(draft: Draft, joined: str, parts: tuple[str, ...]) -> None:
    known = draft.splits.setdefault(joined, [])
    if parts not in known:
        known.append(parts)


def _joined(draft: Draft, parts: tuple[str, ...]) -> str | None:
    same = sorted(parts)
    return next((joined for joined, splits in draft.splits.items() if any(sorted(s) == same for s in splits)), None)


# ------------------------------------------------------------------------------------------------------------- tensors


def _tensor(draft: Draft, name: str) -> Tensor | None:
    if not _one_arity(draft, name):
        return None
    writes = draft.writes.get(name, [])
    if name in draft.declared:
        return _declared(draft, name, draft.step(name))
    if writes:
        return _written(draft, name, draft.step(name) or writes[0])
    if name in draft.written:
        return None  # refused where it is written
    if draft.infers_inputs:
        return _inferred(draft, name)
    refuse_undeclared(draft, draft.reads[name][0])
    return None


def _declared(draft: Draft, name: str, step: Write | None) -> Tensor:
    role, declaration = draft.declared[name]
    along = _along(step)
    if role is Role.INPUT and name in draft.written:
        target = draft.cascade.einsums[draft.written[name]].target
        hint = f"declare it with `output` or `tensor`, or give the result another name than '{name}'"
        draft.refuse(f"input '{name}' is written", target.span, hint)
    if role is Role.TENSOR and draft.infers_inputs and name not in draft.written and name in draft.reads:
        role = Role.INPUT
    if step is not None and along is not None:
        rank, variable = declaration.ranks[along], step.indices[along].step or ""
        if rank_of(variable) != rank:
            message = f"'{name}' steps along '{variable}', but this place is declared as rank '{rank}'"
            hint = f"write '{variable_of(rank)}+1', or declare rank {rank_of(variable)}"
            draft.refuse(message, step.einsum.target.places[along].span, hint)
    return Tensor(name, declaration.ranks, role, declaration.empty, along, declaration.span)


def refuse_undeclared(draft: Draft, access: Access) -> None:
    """Refuse a tensor that is neither written nor declared."""
    ranks = ", ".join(map(_likely_rank, access.places))
    declaration = f"input {access.tensor}[{ranks}]" if ranks else f"input {access.tensor}"
    near = _alike(draft, access, ranks)
    hint = f"declare it with `{declaration}`" + (f", or did you mean '{near}'?" if near else "")
    draft.refuse(f"tensor '{access.tensor}' is read but never written or declared", access.span, hint)


def _likely_rank(place: Place) -> str:
    return place.rank or rank_of(next((name.name for name in names(place.index)), "M"))


def _alike(draft: Draft, access: Access, ranks: str) -> str | None:
    """The known tensor that may have been meant: its name is alike, or, of short names, its ranks are the same."""
    if draft.many_problems:
        return None
    ranks_of = {name: ", ".join(declaration.ranks) for name, (_, declaration) in draft.declared.items()}
    for name, writes in draft.writes.items():
        ranks_of.setdefault(name, ", ".join(map(_likely_rank, writes[0].einsum.target.places)))
    same = [name for name, others in ranks_of.items() if others == ranks and len(name) == len(access.tensor) == 1]
    return draft.nearest(access.tensor, ranks_of) or next(iter(same), None)


def _one_arity(draft: Draft, name: str) -> bool:
    """Whether every access has as many places as the tensor has ranks."""
    uses = draft.accesses.get(name, [])
    if name in draft.declared:
        ranks = draft.declared[name][1].ranks
        arity, first = len(ranks), f", but is declared with {_count(len(ranks), 'rank')}"
        hint = f"write {name}[{', '.join(map(variable_of, ranks))}]" if ranks else f"write {name}"
    else:
        arity, first = len(uses[0].places), f" here and {len(uses[0].places)} before"
        hint = f"before, it is {print_access(uses[0], scalar='')}"
    wrong = [access for access in uses if len(access.places) != arity]
    for access in wrong:
        draft.refuse(f"'{name}' has {_count(len(access.places), 'subscript')}{first}", access.span, hint)
    return not wrong


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}" + ("" if number == 1 else "s")


def _written(draft: Draft, name: str, write: Write) -> Tensor | None:
    """A tensor that is not declared, with the ranks of the variables at which it is written."""
    ranks = [_rank(draft, *at) for at in zip(write.einsum.target.places, write.indices, strict=True)]
    for index, rank in zip(write.indices, ranks, strict=True):
        if rank is None and index.split:
            outer, *inner = index.split
            hint = f"declare it, `tensor {name}[...]`, or state the split: `shape {outer} = R / {'*'.join(inner)}`"
            draft.refuse(f"the joined rank of '{name}' has no name", index.span, hint)
    known = tuple(rank for rank in ranks if rank is not None)
    if len(known) < len(ranks):
        return None
    return Tensor(name, known, Role.TENSOR, None, _along(draft.step(name)), write.einsum.target.span)


def _rank(draft: Draft, place: Place, index: Affine) -> str | None:
    """The rank that a subscript names: explicitly, by its variable, or, of a split, the joined one."""
    variable = index.variable or index.step
    return place.rank or (rank_of(variable) if variable else _joined(draft, index.split) if index.split else None)


def _inferred(draft: Draft, name: str) -> Tensor | None:
    """An input that is not declared, with the ranks of the first access that tells them."""
    for access in draft.reads[name]:
        indices = indices_of(access)
        if indices is None:
            return None  # refused with all subscripts that are not affine
        ranks = [_rank(draft, *at) for at in zip(access.places, indices, strict=True)]
        known = tuple(rank for rank in ranks if rank is not None)
        if len(known) == len(ranks):
            return Tensor(name, known, Role.INPUT, span=access.span)
    access = draft.reads[name][0]
    hint = f"declare the inputs: `input {name}[...]`"
    draft.refuse(f"the ranks of input '{name}' cannot be told from this access", access.span, hint)
    return None


# ------------------------------------------------------------------------------------------------------------- outputs


def _outputs(draft: Draft) -> None:
    """Refuse declared results that are never written; without a declared output, tensors that are never read are outputs."""
    for name, (role, declaration) in draft.declared.items():
        inferred = name in draft.tensors and draft.tensors[name].role is Role.INPUT
        if role is not Role.INPUT and name not in draft.written and not inferred:
            undeclared = [other for other in draft.written if other not in draft.declared]
            near = draft.nearest(name, undeclared)
            hint = f"write `{_equation(name, declaration.ranks)}`" + (f", or did you mean '{near}'?" if near else "")
            draft.refuse(f"{role.value} '{name}' is declared but never written", declaration.span, hint)
    read = {a.tensor for e in draft.cascade.einsums for a in accesses(e.expr) if a.tensor != e.name}
    read |= {n.name for e in draft.cascade.einsums for n in names(e.expr) if n.name != e.name}
    unread = [name for name in draft.writes if name not in read and name in draft.tensors]
    if any(role is Role.OUTPUT for role, _ in draft.declared.values()):
        _note_unused(draft, [n for n in unread if draft.tensors[n].role is not Role.OUTPUT], read)
        return
    for name in unread or list(draft.writes)[-1:]:
        if name in draft.tensors:
            draft.tensors[name] = replace(draft.tensors[name], role=Role.OUTPUT)


def _equation(name: str, ranks: tuple[str, ...]) -> str:
    return f"{name}[{', '.join(map(variable_of, ranks))}] = ..." if ranks else f"{name} = ..."


def _note_unused(draft: Draft, unread: list[str], read: set[str]) -> None:
    for name in unread:
        span = draft.writes[name][0].einsum.target.span
        hint = f"declare it with `output {_declaration(draft.tensors[name])}`, or remove it"
        draft.notes.append(Problem(f"'{name}' is computed but never used", span, hint))
    for name, (role, tensor) in draft.declared.items():
        if role is Role.INPUT and name not in read:
            draft.notes.append(Problem(f"input '{name}' is never read", tensor.span, "remove it"))


def _declaration(tensor: Tensor) -> str:
    return f"{tensor.name}[{', '.join(tensor.ranks)}]" if tensor.ranks else tensor.name


def note_inferred(draft: Draft) -> None:
    """Say which inputs were inferred, so that a slip of the pen is seen."""
    inferred = [t for t in draft.tensors.values() if t.role is Role.INPUT and draft.infers_inputs]
    if inferred:
        hint = f"declare them, so that a misspelt tensor is an error: `input {', '.join(map(_declaration, inferred))}`"
        message = f"inferred as inputs, for no Einsum writes them: {listed((t.name for t in inferred), 20)}"
        draft.notes.append(Problem(message, None, hint))
