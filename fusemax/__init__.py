"""Einsum cascades: parse, check, run and analyze them. Everything public is here; it loads when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fusemax import moved

if TYPE_CHECKING:
    from fusemax.analysis import Analysis as Analysis
    from fusemax.analysis import analyze as analyze
    from fusemax.errors import FusemaxError as FusemaxError
    from fusemax.ir.cascade import Cascade as Cascade
    from fusemax.ir.checked import Checked as Checked
    from fusemax.mapper import MapResult as MapResult
    from fusemax.mapper import map_cascade as map_cascade
    from fusemax.model import Estimate as Estimate
    from fusemax.model import evaluate as evaluate
    from fusemax.reference import execute as execute
    from fusemax.sim.simulate import simulate as simulate
    from fusemax.sim.trace import Trace as Trace
    from fusemax.study.compare import Comparison as Comparison
    from fusemax.study.compare import compare as compare
    from fusemax.syntax.cascade.parser import parse as parse
    from fusemax.syntax.load import load_arch as load_arch
    from fusemax.syntax.load import load_cascade as load_cascade
    from fusemax.syntax.load import load_mapping as load_mapping
    from fusemax.validate import check as check

_HOMES = {
    "Analysis": "fusemax.analysis",
    "Cascade": "fusemax.ir.cascade",
    "Checked": "fusemax.ir.checked",
    "Comparison": "fusemax.study.compare",
    "Estimate": "fusemax.model",
    "FusemaxError": "fusemax.errors",
    "MapResult": "fusemax.mapper",
    "Trace": "fusemax.sim.trace",
    "analyze": "fusemax.analysis",
    "check": "fusemax.validate",
    "compare": "fusemax.study.compare",
    "evaluate": "fusemax.model",
    "execute": "fusemax.reference",
    "load_arch": "fusemax.syntax.load",
    "load_mapping": "fusemax.syntax.load",
    "load_cascade": "fusemax.syntax.load",
    "map_cascade": "fusemax.mapper",
    "parse": "fusemax.syntax.cascade.parser",
    "simulate": "fusemax.sim.simulate",
}
__all__ = sorted([*_HOMES, "__version__"])
__version__ = "0.1.0"

moved.install()


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'fusemax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
