"""The options of a search, from the command line or from Python's keywords, in one object that is passed as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict, Unpack

from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.syntax.load import load_mapping


class SearchKeywords(TypedDict, total=False):
    """The fields of `SearchOptions` as keyword arguments."""

    objective: str
    strategy: str
    template: str | MappingFile | None
    fix: Sequence[str]
    keep: Sequence[str]
    top: int
    accounting: str
    jobs: int
    limit: int | None
    seed: int
    even: bool
    progress: Callable[[int, float], None] | None


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """The space of a search, its objective and its strategy.

    - `objective`: `latency` (seconds), `energy` (joules), `edp` (their product) or `dram` (bytes).
    - `strategy`: `exhaustive`, which proves its result where its bounds allow, or `anneal`.
    - `template`: a mapping, or its name, whose parameters, cases and `?` are the space; without one the space is all
      that the cascade and the architecture allow.
    - `fix`: lengths, units and parameters, such as `p1=8`, `M0=512` and `SLN=array2d`; `keep`: memories of tensors, such
      as `QK=buffer`.
    - `top`: the number of mappings to report.
    - `accounting`: as in `evaluate`.
    - `jobs`: processes; `limit`: trees to cost, None for the default of the search; `seed`: of the random numbers.
    - `even`: all tiles have the same length, as the simulator requires.
    - `progress`: called with the number of costed trees and the best value.

    >>> SearchOptions(objective="energy", fix=("M0=512",)).top
    5
    """

    objective: str = "latency"
    strategy: str = "exhaustive"
    template: str | MappingFile | None = None
    fix: Sequence[str] = ()
    keep: Sequence[str] = ()
    top: int = 5
    accounting: str = "full"
    jobs: int = 1
    limit: int | None = None
    seed: int = 0
    even: bool = False
    progress: Callable[[int, float], None] | None = None

    def with_keywords(self, **keywords: Unpack[SearchKeywords]) -> SearchOptions:
        """The same options but for some.

        >>> SearchOptions().with_keywords(top=1).top
        1
        """
        return replace(self, **keywords)

    def loaded_template(self) -> MappingFile | None:
        """The template, read from its file if it is a name. Raises `FusemaxError` if it cannot be read."""
        return load_mapping(self.template) if isinstance(self.template, str) else self.template
