"""A named set of shapes: a model, and which of its ranks grow with the sequence length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Workload:
    """A model's shapes by rank; `sequence` are the ranks that a sequence length sets."""

    name: str
    title: str
    source: str
    sequence: tuple[str, ...]
    shapes: Mapping[str, int]

    def at(self, length: int | None, ranks: Iterable[str]) -> dict[str, int]:
        """The shapes of the given ranks, at a sequence length if one is given.

        >>> Workload("w", "", "", ("M",), {"M": 8, "E": 4}).at(16, ["M", "P"])
        {'M': 16}
        """
        sized = {**self.shapes, **({} if length is None else dict.fromkeys(self.sequence, length))}
        wanted = set(ranks)
        return {rank: size for rank, size in sized.items() if rank in wanted}
