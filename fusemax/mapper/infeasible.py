"""Why a space has no mapping, and what would have to be relaxed by how much."""

from __future__ import annotations

from itertools import islice

import numpy as np

from fusemax.bind.bind import bind
from fusemax.errors import FusemaxError, Problem
from fusemax.mapper.cost.candidates import used
from fusemax.mapper.search.search import Search
from fusemax.units import readable_bytes

TRIED = 200
"""Trees whose use of memory is looked at."""


def relaxed(search: Search) -> FusemaxError:
    """The least that any candidate needs of the innermost memory, or the most frequent reason for which trees are none."""
    space, memory = search.space, search.space.arch.memories[-1]
    if space.barred and not search.trees:
        reasons = " or because ".join(space.barred)
        return FusemaxError(f"no mapping is left: all were left out because {reasons}", "fix and keep less")
    least = np.inf
    tried = 0
    first: FusemaxError | None = None
    structures = space.structures(False)
    families = (f for s in islice(structures, TRIED) for f in space.families(s))
    for family in islice(families, TRIED):
        share = {} if family.share is None else {family.share: 0}
        try:
            bound = bind(
                space.checked,
                space.arch,
                family.mapping,
                space.shapes,
                {**family.words, **family.grid, **share},
                check_capacity=False,
            )
        except FusemaxError as error:
            first = first or error
            continue
        tried += 1
        least = min(least, float(np.min(used(bound))))
    if np.isfinite(least) and memory.size_bytes is not None and least > memory.size_bytes:
        whole = next(families, None) is None and next(structures, None) is None and not space.partial
        what, which = ("nothing", "smallest tiles need") if whole else (
            "nothing that was tried", f"least of {tried} trees needs")  # fmt: skip
        message = (
            f"{what} fits: '{memory.name}' has {readable_bytes(memory.size_bytes)}, and the {which} "
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
