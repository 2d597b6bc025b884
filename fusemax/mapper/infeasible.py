"""The error of a search without a result: the constraints to relax, and by how much."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fusemax.bind.bind import bind
from fusemax.errors import FusemaxError, Problem
from fusemax.mapper.cost.candidates import Candidates, used
from fusemax.mapper.search.search import Search
from fusemax.mapper.space.protocol import AnySpace, Cutoff
from fusemax.units import readable_bytes

TRIED = 200
"""Structures, and trees, whose use of memory is calculated."""


def nothing_fits(search: Search) -> FusemaxError:
    """The error with the least capacity that a candidate needs of the innermost memory, or with the most frequent reason
    for which trees are refused."""
    space, memory = search.space, search.space.arch.innermost()
    if space.excluded and not search.trees:
        reasons = " or because ".join(space.excluded)
        return FusemaxError(f"no mapping is left: all were left out because {reasons}", "fix and keep less")
    least, number, tried, whole = np.inf, 0, 0, True
    first: FusemaxError | None = None
    for candidates in _trees(space):
        if isinstance(candidates, Cutoff):
            whole = False
            continue
        if number == TRIED:
            whole = False
            break
        number += 1
        share = {} if candidates.share is None else {candidates.share: 0}
        try:
            parameters = {**candidates.words, **candidates.grid, **share}
            bound = bind(space.checked, space.arch, candidates.mapping, space.shapes, parameters, check_capacity=False)
        except FusemaxError as error:
            first = first or error
            continue
        tried += 1
        least = min(least, float(np.min(used(bound))))
    if np.isfinite(least) and memory.size_bytes is not None and least > memory.size_bytes:
        nothing, needs = ("nothing", "smallest tiles need") if whole else (
            "nothing that was tried", f"least of {tried} trees needs")  # fmt: skip
        message = (
            f"{nothing} fits: '{memory.name}' has {readable_bytes(memory.size_bytes)}, and the {needs} "
            f"{readable_bytes(least)}, {readable_bytes(least - memory.size_bytes)} more"
        )
        return FusemaxError(message, "give it more room, or fix and keep less")
    if search.refused:
        reason, times = search.refused.most_common(1)[0]
        count = f"no tree of the space is a mapping; of {search.trees} that were tried, {times}"
        if first is not None and first.problems[0].message == reason:
            problem = Problem(f"{count} for the reason below", hint="fix and keep less, or mend the template")
            return FusemaxError([problem, *first.problems])
        return FusemaxError(f"{count} for this reason: {reason}", "fix and keep less, or give another template")
    return FusemaxError(
        f"no assignment of the Einsums of '{space.checked.cascade.name}' to the units of '{space.arch.name}' is left",
        "fix less; registers may be too small for the tiles that wait in them",
    )


def _trees(space: AnySpace) -> Iterator[Candidates | Cutoff]:
    """The trees of the first structures, and a cutoff for each part of the space that is left out."""
    number = 0
    for structure in space.structures(False):
        if isinstance(structure, Cutoff):
            yield structure
            continue
        if number == TRIED:
            yield Cutoff(structure.least_s, structure.least_j)
            return
        number += 1
        for trees in space.batches(structure):
            if isinstance(trees, Cutoff):
                yield trees
            else:
                yield from trees.each()
