"""The loop nests that an algorithm allows: the loops that all Einsums share, the bodies in them and their order.

Einsums that need the end of a loop never share it with those that complete it: that is where a pass over a rank ends,
and a body of loops with it (the passes of docs/passes.md, applied to the loops of a nest).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from fusemax.bind.registers import iterative_variables, levels
from fusemax.bind.tensors import views_of
from fusemax.ir.checked import Checked, CheckedEinsum, When


@dataclass(frozen=True, slots=True)
class NestBody:
    """Einsums that share all of their loops; `looped` are those beyond the loops that all bodies share."""

    einsums: tuple[CheckedEinsum, ...]
    looped: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The Einsums by name."""
        return tuple(einsum.name for einsum in self.einsums)

    @property
    def variables(self) -> tuple[str, ...]:
        """All variables of its Einsums, each once."""
        return tuple(dict.fromkeys(v for einsum in self.einsums for v in einsum.variables))


@dataclass(frozen=True, slots=True)
class NestShape:
    """Loops around everything, then bodies one after another.

    `batch` are variables of every tensor, which bring no reuse; `blocked` those of every result, which are looped over
    in blocks outside and tile by tile inside; `looped` those that some bodies loop over.
    """

    batch: tuple[str, ...]
    blocked: tuple[str, ...]
    looped: tuple[str, ...]
    bodies: tuple[NestBody, ...]

    def body_of(self, name: str) -> int | None:
        """The number of the body of an Einsum, by its name; None for an Einsum that is not placed."""
        return next((i for i, body in enumerate(self.bodies) if name in body.names), None)


def placed(checked: Checked) -> tuple[CheckedEinsum, ...]:
    """The Einsums that a mapping places: no views of inputs, no initial values."""
    views = views_of(checked)
    return tuple(einsum for einsum in checked.einsums if not einsum.initial and einsum.name not in views)


def nests(checked: Checked) -> Iterator[NestShape]:
    """Every nest of a cascade, those with the fewest loops around arrays first.

    >>> from fusemax import check, load_cascade
    >>> for nest in nests(check(load_cascade("attention-3pass"))):
    ...     print(nest.looped, [body.names for body in nest.bodies])
    () [('QK', 'GM', 'SN', 'SD', 'A', 'AV')]
    ('m',) [('QK', 'GM'), ('SN', 'SD'), ('A', 'AV')]
    """
    einsums = placed(checked)
    if not einsums:
        return
    iterative = iterative_variables(checked.tensors)
    common = [v for v in einsums[0].kept if all(v in einsum.kept for einsum in einsums)]
    common = [v for v in common if v not in iterative.values()]
    uses = [use for einsum in einsums for use in (einsum.target, *einsum.reads)]
    batch = tuple(v for v in common if all(v in use.variables for use in uses))
    blocked = tuple(v for v in common if v not in batch)
    others = dict.fromkeys(v for einsum in einsums for v in einsum.variables if v not in common)
    forced = tuple(v for v in others if v in iterative.values())
    shared = [v for v in others if v not in forced and shares(einsums, v)]
    for number in range(len(shared) + 1):
        for chosen in combinations(shared, number):
            looped = (*forced, *chosen)
            bodies = _bodies(einsums, looped, iterative)
            if bodies is None:
                continue
            yield NestShape(batch, blocked, looped, bodies)
            own = [v for body in bodies if len(body.einsums) == 1 for v in body.einsums[0].reduced]
            own = [v for v in own if v in others and v not in shared and v not in forced]
            for more in (chunks for times in range(1, len(own) + 1) for chunks in combinations(own, times)):
                chunked = _bodies(einsums, (*looped, *more), iterative)
                if chunked is not None:
                    yield NestShape(batch, blocked, (*looped, *more), chunked)


def shares(einsums: Sequence[CheckedEinsum], variable: str) -> bool:
    """Whether several Einsums have a variable. A variable that one Einsum alone reduces is looped over, if that has a body
    of its own, in chunks, which run inside of its array."""
    return sum(variable in einsum.variables for einsum in einsums) > 1


def _bodies(
    einsums: tuple[CheckedEinsum, ...], looped: tuple[str, ...], iterative: dict[str, str]
) -> tuple[NestBody, ...] | None:
    """The bodies in an order in which they can run; None if a step would be in another body than the step before."""
    level = levels(einsums, looped, iterative)
    keys = [(level[i], tuple(v for v in looped if v in e.variables)) for i, e in enumerate(einsums)]
    at = {einsum.name: key for einsum, key in zip(einsums, keys, strict=True)}
    after: dict[tuple[int, tuple[str, ...]], set[tuple[int, tuple[str, ...]]]] = {key: set() for key in keys}
    for einsum, key in zip(einsums, keys, strict=True):
        for use in einsum.reads:
            if use.when is When.OLD and at.get(use.tensor, key) != key:
                return None
            if use.tensor in at and at[use.tensor] != key and use.when is not When.INITIAL:
                after[key].add(at[use.tensor])
    found: list[NestBody] = []
    done: set[tuple[int, tuple[str, ...]]] = set()
    while len(done) < len(after):
        ready = next((key for key in after if key not in done and after[key] <= done), None)
        if ready is None:
            return None
        done.add(ready)
        mine = tuple(einsum for einsum, key in zip(einsums, keys, strict=True) if key == ready)
        found.append(NestBody(mine, ready[1]))
    return tuple(found)
