"""An oracle for pass counts: FuseMax's definition read literally, element by element, on a cascade that is unrolled.

FuseMax (MICRO 2024), section III: a pass is one traversal of a fiber, and an element that must be visited again after
every other element of its fiber has been visited takes one more. So, for one rank and a small size: an element's
computation that reads elements of a fiber, itself or through what these were computed from, after a value that exists
only once the fiber was visited as a whole, is one pass later than that value. A value exists once (`complete`) if it
has no coordinate of the rank, or is the final one of an iteration over it.

This holds neither the times nor the waits of the analyzer: only elements, and what they depend on. It takes cascades
whose subscripts are rank variables, the step `v+1`, the start `0` and the final coordinate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from fusemax.ir.cascade import Cascade, Einsum
from fusemax.ir.expr import Access, Apply, Name, Number, Place, accesses, names

Fiber = tuple[str, tuple[int, ...]]
Node = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Visit:
    """An element of a fiber: the tensor, its other coordinates, and the coordinate along the fiber."""

    fiber: Fiber
    at: int


@dataclass(frozen=True)
class History:
    """The elements on which an element depends.

    `number` is the pass that computes it, `visits` all elements that were read over the rank to compute it, `lineage`
    those that it came from through tensors that have the rank, `complete` the values that it needs and that exist
    once, each as its pass and the fibers that it needed as a whole.
    """

    number: int
    visits: frozenset[Visit] = frozenset()
    lineage: frozenset[Visit] = frozenset()
    complete: frozenset[tuple[int, frozenset[Fiber]]] = frozenset()


def element_passes(cascade: Cascade, rank: str, size: int = 2) -> dict[int, int]:
    """The pass of each Einsum that iterates over the rank, by its position, when every rank has the given size."""
    return _Unrolled(cascade, rank, size).passes()


class _Unrolled:
    def __init__(self, cascade: Cascade, rank: str, size: int) -> None:
        self.cascade, self.variable, self.size = cascade, rank.lower(), size
        self.known: dict[tuple[int, tuple[int, ...]], History] = {}

    @cached_property
    def axes(self) -> dict[str, int]:
        """The place at which each tensor has the rank."""
        everything = (a for e in self.cascade.einsums for a in _uses(e))
        return {a.tensor: i for a in everything for i, p in enumerate(a.places) if _variable(p) == self.variable}

    @cached_property
    def stepped(self) -> dict[str, int]:
        """The place at which each iterative tensor steps."""
        targets = (e.target for e in self.cascade.einsums)
        return {t.tensor: i for t in targets for i, p in enumerate(t.places) if isinstance(p.index, Apply)}

    def passes(self) -> dict[int, int]:
        """The latest pass of an Einsum's elements."""
        result = {}
        for position, einsum in enumerate(self.cascade.einsums):
            if self.variable in _variables(einsum):
                kept = list(dict.fromkeys(v for p in einsum.target.places if (v := _variable(p))))
                points = product(range(self.size), repeat=len(kept))
                histories = (self.computed(position, dict(zip(kept, point, strict=True))) for point in points)
                result[position] = max(history.number for history in histories)
        return result

    def written(self, node: Node) -> tuple[int, dict[str, int]] | None:
        """Which Einsum writes an element, at which point; none for an input."""
        for position, einsum in enumerate(self.cascade.einsums):
            if einsum.name == node[0]:
                point = {}
                for place, at in zip(einsum.target.places, node[1], strict=True):
                    match place.index:
                        case Number(value) if value != at:
                            break
                        case Name(variable):
                            point[variable] = at
                        case Apply(_, (Name(variable), _)):
                            point[variable] = at - 1
                else:
                    if min(point.values(), default=0) >= 0:
                        return position, point
        return None

    def computed(self, position: int, point: dict[str, int]) -> History:
        """The history of the element that an Einsum writes at a point of its kept variables."""
        einsum = self.cascade.einsums[position]
        key = position, tuple(point.values())
        if key not in self.known:
            reads = [read for full in self.points(einsum, point) for read in self.reads(einsum, full)]
            visits = {visit for visit, _ in reads if visit is not None}
            visits = visits.union(*(history.visits for _, history in reads))
            lineage = {visit for visit, _ in reads if visit is not None}
            lineage = lineage.union(*(history.lineage for visit, history in reads if visit is not None))
            complete = frozenset(each for _, history in reads for each in history.complete)
            number = max((history.number for _, history in reads), default=0)
            if self.variable in _variables(einsum):
                seen = {visit.fiber for visit in lineage}
                barriers = (after + (not seen.isdisjoint(fibers)) for after, fibers in complete)
                number = max([1, *barriers, *(h.number for visit, h in reads if visit is not None)])
            self.known[key] = History(number, frozenset(visits), frozenset(lineage), complete)
        return self.known[key]

    def points(self, einsum: Einsum, point: dict[str, int]) -> Iterator[dict[str, int]]:
        """The points of the iteration space that are combined at a point of the kept variables."""
        reduced = [v for v in _variables(einsum) if v not in point]
        for values in product(range(self.size), repeat=len(reduced)):
            yield point | dict(zip(reduced, values, strict=True))

    def reads(self, einsum: Einsum, point: dict[str, int]) -> Iterator[tuple[Visit | None, History]]:
        """Each element that is read at a point: where it lies in a fiber over the rank, if it does, and its history."""
        for access in _uses(einsum)[1:]:
            step = self.stepped.get(access.tensor)
            before = step is not None and _variable(access.places[step]) is not None
            before = before and not isinstance(access.places[step or 0].index, Apply)
            other_step = before and step != self.axes.get(access.tensor)
            node = access.tensor, tuple(self.coordinate(place, point) for place in access.places)
            history = History(int(access.tensor in self.axes)) if other_step else self.history(node)
            axis = self.axes.get(access.tensor)
            if axis is None or _variable(access.places[axis]) is None:
                yield None, self.completed(history)
            else:
                name = f"{access.tensor} before" if other_step else access.tensor
                fiber = name, (*node[1][:axis], *node[1][axis + 1 :])
                yield Visit(fiber, node[1][axis]), history

    def coordinate(self, place: Place, point: dict[str, int]) -> int:
        match place.index:
            case Number(value):
                return int(value)
            case Name(name):
                return point.get(name, self.size)
            case Apply(_, (Name(name), Number(value))):
                return point[name] + int(value)
        raise AssertionError(place)

    def history(self, node: Node) -> History:
        written = self.written(node)
        return self.computed(*written) if written else History(int(node[0] in self.axes))

    def completed(self, history: History) -> History:
        """The history of a value that exists once: its readers need it, and the fibers that it needed as a whole."""
        at: dict[Fiber, set[int]] = {}
        for visit in history.visits:
            at.setdefault(visit.fiber, set()).add(visit.at)
        whole = frozenset(fiber for fiber, places in at.items() if len(places) >= self.size)
        once = frozenset({*history.complete, (history.number, whole)})
        return History(history.number, history.visits, frozenset(), once)


def _variable(place: Place) -> str | None:
    match place.index:
        case Name(name) | Apply(_, (Name(name), _)) if name.islower():
            return name
    return None


def _variables(einsum: Einsum) -> list[str]:
    return list(dict.fromkeys(v for use in _uses(einsum) for place in use.places if (v := _variable(place))))


def _uses(einsum: Einsum) -> list[Access]:
    """The target and what is read; a bare name is a scalar tensor here."""
    scalars = (Access(name.name, ()) for name in names(einsum.expr))
    return [einsum.target, *accesses(einsum.expr), *scalars]
