"""Architecture + mapping + shapes -> cycles, energy, traffic and utilization, in closed form and vectorized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fusemax.bind.bind import BoundMapping, bind
from fusemax.bind.extents import Amount
from fusemax.bind.parameters import ParameterValue
from fusemax.ir.arch import Arch
from fusemax.ir.cascade import Cascade
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.model.energy import accounting_of
from fusemax.model.estimate import Estimate, estimate
from fusemax.syntax.load import load_arch, load_cascade, load_mapping
from fusemax.validate import check

__all__ = ["Estimate", "evaluate"]


def evaluate(
    cascade: str | Cascade | Checked,
    arch: str | Arch,
    mapping: str | MappingFile,
    shapes: Mapping[str, Amount],
    *,
    parameters: Mapping[str, ParameterValue] | None = None,
    accounting: str = "full",
) -> Estimate:
    """The cost of a mapping of a cascade on an architecture, each as data, as a shipped name or as the path of a file.

    `shapes` are elements by rank: integers for one point, or integer arrays of one length for a grid of points, which
    is costed at once. `parameters` are those of the mapping; `accounting` is `full` or `artifact`. Raises `FusemaxError`
    for mappings that do not fit the cascade, the architecture or the sizes, and for fusions that the cascade forbids.

    >>> from fusemax import load_arch, load_cascade, load_mapping
    >>> shapes = {"B": 64, "H": 12, "E": 64, "F": 64, "M": 1024, "P": 1024}
    >>> mapping = load_mapping("fusemax-binding")
    >>> found = evaluate(load_cascade(mapping.cascade), load_arch(mapping.arch), mapping, shapes)
    >>> print(f"{found.latency_s * 1e3:.6f} ms, bound by {found.bound}")
    2.013140 ms, bound by array1d
    """
    charged = accounting_of(accounting)
    found = estimate(bound_of(cascade, arch, mapping, shapes, parameters), charged)
    return replace(found, parameters=dict(parameters or {}))


def bound_of(
    cascade: str | Cascade | Checked, arch: str | Arch, mapping: str | MappingFile, shapes: Mapping[str, Amount],
    parameters: Mapping[str, ParameterValue] | None = None,
) -> BoundMapping:  # fmt: skip
    """A mapping bound to a cascade, an architecture and sizes, each as data or by name."""
    checked, machine = loaded(cascade, arch)
    tree = load_mapping(mapping) if isinstance(mapping, str) else mapping
    return bind(checked, machine, tree, shapes, parameters or {})


def loaded(cascade: str | Cascade | Checked, arch: str | Arch) -> tuple[Checked, Arch]:
    """A cascade, checked, and an architecture, each as data or by name."""
    named = load_cascade(cascade) if isinstance(cascade, str) else cascade
    checked = check(named) if isinstance(named, Cascade) else named
    return checked, load_arch(arch) if isinstance(arch, str) else arch
