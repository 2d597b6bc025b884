"""Random small cascades, valid by construction, and with integer values that stay exact in float64."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

EXACT = 2**20
REDUCERS = ("+", "max", "min", "and", "or", "*")


@dataclass(frozen=True)
class Generated:
    """The text of a cascade, and the size of every rank that it uses."""

    text: str
    sizes: dict[str, int]


@dataclass(frozen=True)
class Known:
    """A tensor that can be read: its ranks, and the largest absolute value that it may hold."""

    name: str
    ranks: tuple[str, ...]
    bound: int


@dataclass(frozen=True)
class Read:
    """An access: its subscripts, their variables, and the bound of its tensor."""

    tensor: str
    places: tuple[str, ...]
    variables: tuple[str, ...]
    bound: int

    def text(self, filters: dict[int, str] | None = None) -> str:
        """The access as it is written, with a filter at some places."""
        return access(self.tensor, tuple(p + (filters or {}).get(i, "") for i, p in enumerate(self.places)))


def access(tensor: str, places: tuple[str, ...]) -> str:
    """`T[i, j]`, or `T` for a scalar."""
    return f"{tensor}[{', '.join(places)}]"


# The subscripts that a place of a rank may have, with their variables. L is an alias of K, H a halo, M a family.
SUBSCRIPTS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "J": (("j", ("j",)),),
    "K": (("k", ("k",)), ("k", ("k",)), ("K: l", ("l",)), ("K - k - 1", ("k",)), ("0", ())),
    "L": (("l", ("l",)),),
    "M": (("m", ("m",)), ("m1*M0 + m0", ("m1", "m0"))),
    "M1": (("m1", ("m1",)),),
    "M0": (("m0", ("m0",)),),
    "H": (("h", ("h",)), ("k + w", ("k", "w"))),
    "W": (("w", ("w",)),),
}


class _Writer:
    """The cascade so far."""

    def __init__(self, draw: DrawFn) -> None:
        self.draw = draw
        size = st.sampled_from([2, 3, 1])
        self.sizes = {rank: draw(size) for rank in ("J", "K", "M1", "M0", "W")}
        self.sizes |= {"M": self.sizes["M1"] * self.sizes["M0"], "H": self.sizes["K"] + self.sizes["W"] - 1}
        self.sizes["L"] = self.sizes["K"]
        rank = st.sampled_from(["K", "J", "M", "K", "M0", "H", "W"])
        inputs = [[draw(rank) for _ in range(draw(st.sampled_from([2, 1, 3, 0])))] for _ in range(3)]
        self.known = [Known(f"A{i}", tuple(ranks), 2) for i, ranks in enumerate(inputs)]
        self.lines = [f"input {access(t.name, t.ranks)}" for t in self.known]
        stated = ", ".join(f"{rank} = {self.sizes[rank]}" for rank in ("J", "K", "W", "M", "M0"))
        self.lines.append(f"shape {stated}, M1 = M / M0, H = K + W - 1")

    def read(self) -> Read:
        """A random access to a random known tensor, rather to a late one."""
        tensor = self.draw(st.sampled_from([*self.known, *self.known[-3:]]))
        chosen = [self.draw(st.sampled_from(SUBSCRIPTS[rank])) for rank in tensor.ranks]
        variables = dict.fromkeys(v for _, of_one in chosen for v in of_one)
        return Read(tensor.name, tuple(text for text, _ in chosen), tuple(variables), tensor.bound)

    def filters(self, read: Read, variables: tuple[str, ...]) -> dict[int, str]:
        """Perhaps a filter at one place of an access."""
        if not read.places or not variables or self.draw(st.integers(0, 3)):
            return {}
        left, right = (self.draw(st.sampled_from(variables)) for _ in range(2))
        operator = self.draw(st.sampled_from(["<", "<=", ">=", "!=", "=="]))
        offset = self.draw(st.sampled_from(["", " + 1", " - 1", " + J"]))
        return {self.draw(st.integers(0, len(read.places) - 1)): f": {left} {operator} {right}{offset}"}

    def combined(self, reads: list[Read], variables: tuple[str, ...]) -> tuple[str, int]:
        """An expression over accesses, and its bound."""
        texts = [read.text(self.filters(read, variables)) for read in reads]
        total = sum(read.bound for read in reads)
        first, last = texts[0], texts[-1]
        value = self.draw(st.sampled_from([*variables, "J", "2"]))
        forms = {
            " - ".join(texts): total,
            f"max({first}, -{last}) + abs({' - '.join(texts)})": 2 * total,
            f"where({first} < {last}, {value}, {' + '.join(texts)})": total + 3,
            f"({first} >= {last}) * {value} + {' + '.join(texts)}": total + 3,
        }
        text = self.draw(st.sampled_from(sorted(forms)))
        return text, forms[text]

    def reduction(self, reduced: tuple[str, ...], bound: int) -> tuple[str, int]:
        """Actions that name every reduced variable, and the bound of the result."""
        cut = self.draw(st.integers(0, len(reduced)))
        text = ""
        for variables in (reduced[:cut], reduced[cut:]):
            if variables:
                count = prod(self.sizes[v.upper()] for v in variables)
                reducer = self.draw(st.sampled_from(REDUCERS if bound**count < EXACT else REDUCERS[:-1]))
                bound = {"+": bound * count, "*": bound**count, "and": 1, "or": 1}.get(reducer, bound)
                text += f" reduce[{', '.join(variables)}] {reducer}"
        return f" ::{text}" if text else "", bound

    def target(self, name: str, kept: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The subscripts and the ranks of a written tensor: joined where a family is whole, perhaps a diagonal."""
        places, ranks = list(kept), [v.upper() for v in kept]
        if {"m1", "m0"} <= set(kept) and self.draw(st.booleans()):
            places = [*(v for v in kept if v not in ("m1", "m0")), "m1*M0 + m0"]
            ranks = [*(v.upper() for v in places[:-1]), "M"]
        elif kept and not self.draw(st.integers(0, 7)):
            places.append(kept[0])
            ranks.append(ranks[0])
        return tuple(places), tuple(ranks)

    def einsum(self, name: str) -> None:
        """A product that is summed, or any expression with its reductions named."""
        reads = [self.read() for _ in range(self.draw(st.sampled_from([2, 1, 3])))]
        variables = tuple(dict.fromkeys(v for read in reads for v in read.variables))
        kept = tuple(self.draw(st.lists(st.sampled_from(variables), unique=True))) if variables else ()
        reduced = tuple(v for v in variables if v not in kept)
        bound = prod(read.bound for read in reads)
        count = prod(self.sizes[v.upper()] for v in reduced)
        if bound * count < EXACT and self.draw(st.booleans()):
            text, actions = " * ".join(read.text(self.filters(read, variables)) for read in reads), ""
            bound *= count
        else:
            text, bound = self.combined(reads, variables)
            if bound**2 >= EXACT:
                text, bound = f"max(min({text}, 3), -3)", 3
            actions, bound = self.reduction(reduced, bound)
        places, ranks = self.target(name, kept)
        written = Read(name, places, kept, bound)
        empty = self.draw(st.sampled_from([None, None, None, 0, -2]))
        if empty is not None:
            self.lines.append(f"tensor {access(name, ranks)} empty = {empty}")
        self.lines.append(f"{written.text(self.filters(written, kept))} = {text}{actions}")
        self.known.append(Known(name, ranks, max(bound, 2)))

    def iteration(self, name: str) -> None:
        """A step over k from a random read, and a copy of the final or of every step."""
        read = self.read()
        others = tuple(v for v in read.variables if v != "k")
        start, step, end = (Read(name, (at, *others), others, 3) for at in ("0", "k+1", "K"))
        filters = self.filters(step, ("k", *others))
        self.lines.append(f"{start.text()} = {self.draw(st.sampled_from(['0', '1', *others]))}")
        old = access(name, ("k", *others))
        combined = self.draw(st.sampled_from([f"{old} + {read.text()}", f"max({old}, {read.text()})", f"2 - {old}"]))
        if combined.startswith("2"):
            combined += f" * {read.text()}"
        self.lines.append(f"{step.text(filters)} = max(min({combined}, 3), -3)")
        copy = f"C{name}"
        if self.draw(st.booleans()):
            self.lines.append(f"{access(copy, others)} = {end.text()}")
            self.known.append(Known(copy, tuple(v.upper() for v in others), 3))
        else:
            self.lines.append(f"{access(copy, ('k', *others))} = {step.text()} - {old}")
            self.known.append(Known(copy, ("K", *(v.upper() for v in others)), 6))


@st.composite
def generated_cascades(draw: DrawFn, iterations: bool = True) -> Generated:
    """Cascades of up to five Einsums or iterations."""
    writer = _Writer(draw)
    for i in range(draw(st.sampled_from([3, 2, 1, 4, 5]))):
        if iterations and not draw(st.integers(0, 3)):
            writer.iteration(f"S{i}")
        else:
            writer.einsum(f"T{i}")
    return Generated("\n".join(writer.lines), writer.sizes)


@st.composite
def plain_cascades(draw: DrawFn, iterations: bool = False, starts: bool = False) -> str:
    """The text of a cascade of products over the ranks K and J, subscripted by their variables alone.

    With `iterations`, some Einsums are steps over k whose final coordinate is read afterwards, perhaps with the sum of
    what the step before left; with `starts`, their initial values may be earlier results.
    """
    ranks = st.sampled_from([("k",), ("k", "j"), ("j", "k"), ("j",)])
    known = [(f"A{i}", draw(ranks)) for i in range(3)]
    lines = [f"input {access(name, places).upper()}" for name, places in known] + ["shape K = 2, J = 2"]
    for i in range(draw(st.integers(2, 6))):
        reads = [draw(st.sampled_from([*known, *known[-3:]])) for _ in range(draw(st.sampled_from([2, 1, 3])))]
        variables = list(dict.fromkeys(v for _, places in reads for v in places))
        kept = tuple(draw(st.lists(st.sampled_from(variables), unique=True))) if variables else ()
        if iterations and draw(st.booleans()):
            others = tuple(v for v in kept if v == "j")
            factors = [access(*read) for read in reads if set(read[1]) <= {"k", *others}]
            starting = ["1", *(access(*t) for t in known if starts and t[1] == others)]
            lines.append(f"{access(f'S{i}', ('0', *others))} = {draw(st.sampled_from(starting))}")
            if draw(st.booleans()):
                lines.append(f"N{i}[k] = {access(f'S{i}', ('k', *others))}")
                factors.append(f"N{i}[k]")
            step = " * ".join([access(f"S{i}", ("k", *others)), *factors])
            lines.append(f"{access(f'S{i}', ('k+1', *others))} = {step}")
            lines.append(f"{access(f'F{i}', others)} = {access(f'S{i}', ('K', *others))}")
            lines.append(f"{access(f'R{i}', ('k', *others))} = {access(f'S{i}', ('k+1', *others))}")
            known += [(f"F{i}", others), (f"R{i}", ("k", *others))]
        else:
            lines.append(f"{access(f'T{i}', kept)} = {' * '.join(access(*read) for read in reads)}")
            known.append((f"T{i}", kept))
    return "\n".join(lines)
