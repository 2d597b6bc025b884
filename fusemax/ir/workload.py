"""A named set of shapes: a model, and which of its ranks grow with the sequence length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer beside attention: for each rank of its cascade the ranks of the model whose sizes multiply to its size."""

    name: str
    sizes: tuple[tuple[str, tuple[str, ...]], ...]

    def at(self, shapes: Mapping[str, int]) -> dict[str, int]:
        """The sizes of its ranks for those of the model.

        >>> Layer("ffn1", (("M", ("B", "P")), ("K", ("D",)))).at({"B": 2, "P": 8, "D": 4})
        {'M': 16, 'K': 4}
        """
        return {rank: prod(shapes[factor] for factor in factors) for rank, factors in self.sizes}


@dataclass(frozen=True, slots=True)
class Workload:
    """A model's shapes by rank; `sequence` are the ranks that a sequence length sets.

    `layers` are its linear layers, which run by the mapping `linear`.
    """

    name: str
    title: str
    source: str
    sequence: tuple[str, ...]
    shapes: Mapping[str, int]
    linear: str | None = None
    layers: tuple[Layer, ...] = ()

    def at(self, length: int | None, ranks: Iterable[str]) -> dict[str, int]:
        """The shapes of the given ranks, at a sequence length if one is given.

        >>> Workload("w", "", "", ("M",), {"M": 8, "E": 4}).at(16, ["M", "P"])
        {'M': 16}
        """
        sized = {**self.shapes, **({} if length is None else dict.fromkeys(self.sequence, length))}
        wanted = set(ranks)
        return {rank: size for rank, size in sized.items() if rank in wanted}
