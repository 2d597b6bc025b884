"""Words that the elements of an array keep between Einsums: those of a tile that wait for the end of a reduction over it.

An element passes on each point of a tensor at once, unless the reader also needs the result of a reduction over these
points: the exponentials of a tile of logits wait for the maximum of all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from fusemax.ir.checked import CheckedEinsum, Tensor, Use, When
from fusemax.ir.expr import variable_of

SPARE = 2
"""Entries of an element's registers that hold operands, not tiles in flight (docs/model.md, constants of the machine model)."""
UNSTATED = 10
"""Entries of a register file whose size an architecture does not state: FuseMax's (MICRO 2024, section V)."""


def levels(
    einsums: Sequence[CheckedEinsum], variables: Collection[str], iterative: Mapping[str, str]
) -> tuple[int, ...]:
    """For each Einsum the number of loops over the variables that must end before it begins.

    `iterative` has the variable along which a running tensor is iterated.

    >>> from fusemax import check, load_cascade
    >>> einsums = check(load_cascade("attention-3pass")).einsums
    >>> levels(einsums, {"m"}, {})
    (0, 0, 1, 1, 2, 2)
    """
    makers = {einsum.name: i for i, einsum in enumerate(einsums)}
    found = [0] * len(einsums)
    for _ in einsums:
        before = list(found)
        for i, einsum in enumerate(einsums):
            for use in einsum.reads:
                maker = makers.get(use.tensor)
                if maker is not None and maker != i and use.when not in (When.OLD, When.INITIAL):
                    later = _completes(einsums[maker], use, variables, iterative)
                    found[i] = max(found[i], found[maker] + later)
        if found == before:
            break
    return tuple(found)


def _completes(maker: CheckedEinsum, use: Use, variables: Collection[str], iterative: Mapping[str, str]) -> bool:
    """Whether a read waits for the end of a loop over one of the variables."""
    if use.when is When.FINAL:
        return iterative.get(use.tensor) in variables
    return any(variable in variables for variable in maker.reduced)


def iterative_variables(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """The variable along which each running tensor is iterated."""
    return {name: variable_of(t.iterative_rank) for name, t in tensors.items() if t.iterative_rank is not None}


def waiting(einsums: Sequence[CheckedEinsum], iterative: Mapping[str, str]) -> dict[tuple[str, str], frozenset[str]]:
    """For each maker and reader, by name, the variables over which the reader needs the maker's tile as a whole.

    >>> from fusemax import check, load_cascade
    >>> waiting([e for e in check(load_cascade("attention-3pass")).einsums], {})[("QK", "SN")]
    frozenset({'m'})
    """
    by_variable = {v: levels(einsums, {v}, iterative) for v in sorted({v for e in einsums for v in e.variables})}
    position = {einsum.name: i for i, einsum in enumerate(einsums)}
    return {
        (use.tensor, reader.name): frozenset(
            v for v in einsums[position[use.tensor]].kept if by_variable[v][j] > by_variable[v][position[use.tensor]]
        )
        for j, reader in enumerate(einsums)
        for use in reader.reads
        if use.tensor in position and use.tensor != reader.name
    }


def usable_entries(entries: int | None) -> int:
    """The register entries of an element that hold words of tiles."""
    return max(1, (UNSTATED if entries is None else entries) - SPARE)


def tiles_in_flight(entries: int | None, words: int) -> int:
    """The tiles on which an array works at a time, if its elements keep `words` of each: at least one.

    >>> tiles_in_flight(10, 4), tiles_in_flight(10, 9), tiles_in_flight(None, 1)
    (2, 1, 8)
    """
    return max(1, usable_entries(entries) // words)
