"""Finding mappings: from a cascade and an architecture to the best ways to run it, and why they are the best."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace

from fusemax.bind.bind import for_its_cascade
from fusemax.errors import FusemaxError, did_you_mean, listed
from fusemax.ir.arch import Arch
from fusemax.ir.cascade import Cascade
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.mapper.constraints import Fixed, fixed_of
from fusemax.mapper.cost.candidates import exact
from fusemax.mapper.infeasible import relaxed
from fusemax.mapper.objective import objective_of
from fusemax.mapper.result import Found, MapResult
from fusemax.mapper.search.search import MOST_TREES, STRATEGIES, Search, Space
from fusemax.mapper.space.generated import Generated
from fusemax.mapper.space.template import Template
from fusemax.model import loaded
from fusemax.model.energy import accounting_of
from fusemax.syntax.load import load_mapping

__all__ = ["MapResult", "map_cascade"]


def map_cascade(
    cascade: str | Cascade | Checked,
    arch: str | Arch,
    shapes: Mapping[str, int],
    *,
    objective: str = "latency",
    strategy: str = "exhaustive",
    template: str | MappingFile | None = None,
    fix: Sequence[str] = (),
    keep: Sequence[str] = (),
    top: int = 5,
    accounting: str = "full",
    jobs: int = 1,
    limit: int = MOST_TREES,
    seed: int = 0,
    even: bool = False,
    progress: Callable[[int, float], None] | None = None,
) -> MapResult:
    """The best mappings of a cascade on an architecture, each as data or by its name, at sizes by rank.

    `objective` is `latency` (seconds), `energy` (joules), `edp` (their product) or `dram` (bytes). `strategy` is
    `exhaustive`, which proves its result where its bounds allow, or `anneal`. Without a `template` the space is what
    the cascade and the machine allow; with one, what its parameters, cases and `?` leave open. `fix` holds texts such
    as `p1=8`, `M0=512` and `SLN=array2d`, `keep` such as `QK=buffer`. `limit` bounds the trees that are costed, `jobs`
    the processes. With `even` all tiles are equally long, as the simulator asks for. `progress` is told how many trees
    were costed, and the best value. Ctrl-C ends the search with the best so far. Raises `FusemaxError` if nothing
    fits, with what to relax.

    >>> found = map_cascade("matmul", "fusemax-cloud", {"M": 1024, "N": 1024, "K": 256}, top=1)
    >>> print(f"{found.best[0].estimate.cycles:.0f} cycles, bound by {found.best[0].estimate.bound}")
    6885 cycles, bound by dram
    """
    checked, machine = loaded(cascade, arch)
    tree = load_mapping(template) if isinstance(template, str) else template
    if strategy not in STRATEGIES:
        hint = did_you_mean(strategy, list(STRATEGIES)) or f"choose {listed(list(STRATEGIES), word='or')}"
        raise FusemaxError(f"no strategy '{strategy}'", hint)
    fixed = replace(fixed_of(fix, keep, checked, machine, tree), even=even)
    charged = accounting_of(accounting)
    space = space_of(checked, machine, shapes, fixed, tree)
    search = Search(space, objective_of(objective), charged, max(1, top), jobs, limit, seed, progress)
    start = time.perf_counter()
    with for_its_cascade(checked, tree) if tree else nullcontext():
        STRATEGIES[strategy](search)
        seconds = time.perf_counter() - start
        if not search.best and not search.interrupted:
            raise relaxed(search)
    found = []
    for entry in search.best:
        mapping, estimate = exact(checked, machine, entry.family, entry.at, space.shapes, charged, entry.share)
        found.append(Found(mapping, estimate, entry.key[0]))
    return MapResult.of(checked, machine, search, strategy, seconds, tuple(found))


def space_of(
    checked: Checked, arch: Arch, shapes: Mapping[str, int], fixed: Fixed, template: MappingFile | None
) -> Space:
    """What a template leaves open, or all that the cascade and the machine allow."""
    if template is None:
        return Generated(checked, arch, shapes, fixed)
    return Template(checked, arch, template, shapes, fixed)
