"""Einsum cascades: parse, check, run, analyze and map them. Everything public is here; it loads when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from fusemax import moved

if TYPE_CHECKING:
    from fusemax.analysis import Analysis as Analysis
    from fusemax.analysis import analyze as analyze
    from fusemax.errors import FusemaxError as FusemaxError
    from fusemax.ir.arch import Arch as Arch
    from fusemax.ir.arch import Memory as Memory
    from fusemax.ir.arch import Unit as Unit
    from fusemax.ir.cascade import Cascade as Cascade
    from fusemax.ir.checked import Checked as Checked
    from fusemax.ir.mapping import Mapping as Mapping
    from fusemax.ir.workload import Workload as Workload
    from fusemax.mapper import MapResult as MapResult
    from fusemax.mapper import map_cascade as map_cascade
    from fusemax.mapper.pareto import Front as Front
    from fusemax.mapper.pareto import pareto as pareto
    from fusemax.model import Estimate as Estimate
    from fusemax.model import evaluate as evaluate
    from fusemax.reference import execute as execute
    from fusemax.report.catalog import catalog as catalog
    from fusemax.sim.simulate import simulate as simulate
    from fusemax.sim.trace import Trace as Trace
    from fusemax.study.compare import Comparison as Comparison
    from fusemax.study.compare import compare as compare
    from fusemax.syntax.cascade.parser import parse as parse
    from fusemax.syntax.load import load_arch as load_arch
    from fusemax.syntax.load import load_cascade as load_cascade
    from fusemax.syntax.load import load_mapping as load_mapping
    from fusemax.syntax.load import load_workload as load_workload
    from fusemax.syntax.mapping.parser import parse_mapping as parse_mapping
    from fusemax.syntax.yaml.arch import parse_arch as parse_arch
    from fusemax.validate import check as check

_NAMES = {
    "fusemax.analysis": ("Analysis", "analyze"),
    "fusemax.errors": ("FusemaxError",),
    "fusemax.ir.arch": ("Arch", "Memory", "Unit"),
    "fusemax.ir.cascade": ("Cascade",),
    "fusemax.ir.checked": ("Checked",),
    "fusemax.ir.mapping": ("Mapping",),
    "fusemax.ir.workload": ("Workload",),
    "fusemax.mapper": ("MapResult", "map_cascade"),
    "fusemax.mapper.pareto": ("Front", "pareto"),
    "fusemax.model": ("Estimate", "evaluate"),
    "fusemax.reference": ("execute",),
    "fusemax.report.catalog": ("catalog",),
    "fusemax.sim.simulate": ("simulate",),
    "fusemax.sim.trace": ("Trace",),
    "fusemax.study.compare": ("Comparison", "compare"),
    "fusemax.syntax.cascade.parser": ("parse",),
    "fusemax.syntax.load": ("load_arch", "load_cascade", "load_mapping", "load_workload"),
    "fusemax.syntax.mapping.parser": ("parse_mapping",),
    "fusemax.syntax.yaml.arch": ("parse_arch",),
    "fusemax.validate": ("check",),
}
"""The public names of each module."""
_HOMES = {name: module for module, names in _NAMES.items() for name in names}
__all__ = sorted([*_HOMES, "__version__"])
__version__ = "0.1.0"

moved.install()


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'fusemax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
