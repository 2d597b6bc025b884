"""The mapper: from a cascade and an architecture to the best mappings, with a proof that they are the best."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Unpack

from fusemax.bind.bind import for_its_cascade
from fusemax.ir.arch import Arch
from fusemax.ir.cascade import Cascade
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.mapper.constraints import fixed_of
from fusemax.mapper.cost.candidates import exact
from fusemax.mapper.infeasible import nothing_fits
from fusemax.mapper.options import SearchKeywords, SearchOptions
from fusemax.mapper.result import Found, MapResult
from fusemax.mapper.search.search import Search, strategy_of
from fusemax.mapper.space.generated import Generated
from fusemax.mapper.space.protocol import AnySpace
from fusemax.mapper.space.template import Template
from fusemax.model import loaded

__all__ = ["MapResult", "SearchOptions", "map_cascade"]


def map_cascade(
    cascade: str | Cascade | Checked,
    arch: str | Arch,
    shapes: Mapping[str, int],
    options: SearchOptions | None = None,
    **keywords: Unpack[SearchKeywords],
) -> MapResult:
    """The best mappings of a cascade on an architecture, each as data or by its name, at sizes by rank.

    The options of the search are an object, or keyword arguments named as its fields, or both (then keywords overrule):
    `objective`, `strategy`, `template`, `fix`, `keep`, `top`, `accounting`, `jobs`, `limit`, `seed`, `even`, `progress`,
    which `SearchOptions` explains. Ctrl-C ends the search with the best so far. Raises `FusemaxError` if nothing fits,
    with the constraints to relax.

    >>> found = map_cascade("matmul", "fusemax-cloud", {"M": 1024, "N": 1024, "K": 256}, top=1)
    >>> print(f"{found.best[0].estimate.cycles:.0f} cycles, bound by {found.best[0].estimate.bound}")
    6885 cycles, bound by dram
    """
    options = (options or SearchOptions()).with_keywords(**keywords)
    checked, machine = loaded(cascade, arch)
    template = options.loaded_template()
    strategy = strategy_of(options.strategy)
    search = Search(space_of(checked, machine, shapes, options, template), options)
    start = time.perf_counter()
    with for_its_cascade(checked, template) if template else nullcontext():
        strategy.run(search)
        seconds = time.perf_counter() - start
        if not search.best and not search.interrupted:
            raise nothing_fits(search)
    found = []
    for entry in search.best:
        mapping, estimate = exact(
            checked, machine, entry.candidates, entry.at, search.space.shapes, search.accounting, entry.share
        )
        found.append(Found(mapping, estimate, entry.key[0]))
    return MapResult.of(checked, machine, search, seconds, tuple(found))


def space_of(
    checked: Checked, arch: Arch, shapes: Mapping[str, int], options: SearchOptions, template: MappingFile | None
) -> AnySpace:
    """The space of a template, or all that the cascade and the architecture allow, without what the options exclude."""
    fixed = replace(fixed_of(options.fix, options.keep, checked, arch, template), even=options.even)
    if template is None:
        return Generated(checked, arch, shapes, fixed)
    return Template(checked, arch, template, shapes, fixed)
