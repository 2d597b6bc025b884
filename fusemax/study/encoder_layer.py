"""A whole encoder layer: attention by its mappings, then linear layers by the best mapping of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fusemax import resources
from fusemax.errors import FusemaxError
from fusemax.ir.arch import Arch
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.ir.workload import Workload
from fusemax.mapper import map_cascade
from fusemax.model import evaluate
from fusemax.model.energy import Accounting
from fusemax.model.estimate import Estimate
from fusemax.model.tables import one
from fusemax.study.compare import Comparison, Row, against, compare
from fusemax.syntax.load import arch_of, cascade_of, load_arch, load_mapping, load_workload
from fusemax.validate import check
from fusemax.validate.shapes import shape_names

FOUND = "found for "
"""How mappings that a search found are called, before the name of the mapping whose cascade and machine they have."""


def end_to_end(
    mappings: Sequence[str | MappingFile],
    models: Sequence[str | Workload],
    lengths: Sequence[int],
    *,
    baseline: str | None = None,
    arch: str | Arch | None = None,
    accounting: str = "full",
    search: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Encoder layers: attention by each mapping, then the model's linear layers on the same machine.

    The linear layers run by the mapping that the workload names for them, with those of its parameters that are
    quickest and then move least. With `search` there are, beside each mapping, rows of the best that the mapper finds
    for its cascade and machine: in the space of its parameters, or else of the whole cascade; their linear
    layers are mapped freely. Raises `FusemaxError` for models without linear layers. Source: FuseMax (Nayak et al.,
    MICRO 2024), section VI, figures 10 and 11.

    >>> rows = end_to_end(["flat", "fusemax-binding"], ["bert"], [1024], baseline="flat").of("fusemax-binding")
    >>> round(rows[0].speedup, 4)
    2.1918
    """
    if not models:
        raise FusemaxError(
            "an encoder layer needs a model", f"add --model {resources.names('cascades/workloads', '.yaml')[0]}"
        )
    files = [load_mapping(mapping) if isinstance(mapping, str) else mapping for mapping in mappings]
    workloads = [load_workload(model) if isinstance(model, str) else model for model in models]
    comparison = compare(files, workloads, lengths, baseline=baseline, arch=arch, accounting=accounting)
    machine = load_arch(arch) if isinstance(arch, str) else arch
    layers = _Layers({w.name: w for w in workloads}, {f.name: machine or arch_of(f) for f in files})
    both = (comparison.accounting, "published" if comparison.accounting == "full" else "full")
    rows, others = (
        [layers.added(row, a) for row in r] for a, r in zip(both, (comparison.rows, comparison.others), strict=True)
    )
    for file, row in [(each, row) for each in files for row in comparison.of(each.name)] if search else []:
        if progress is not None:
            progress(f"{file.name}, {row.model} {row.seq}")
        mine, other = layers.found(file, row, both)
        rows.append(mine)
        others += [other] if comparison.others else []
    return Comparison(
        tuple(against(rows, baseline)),
        baseline,
        comparison.accounting,
        tuple(against(others, baseline)),
        comparison.remarks,
    )


def _row(row: Row, found: Estimate) -> Row:
    """A row with other numbers."""
    return replace(
        row, latency_s=one(found.latency_s), cycles=one(found.cycles), energy_j=one(found.energy_j),
        dram_bytes=one(found.dram_bytes), utilization={u: one(x) for u, x in found.utilization.items()}, bound=str(found.bound),
    )  # fmt: skip


@dataclass
class _Layers:
    """Adds linear layers to rows; layers of the same sizes on the same machine are mapped once."""

    workloads: Mapping[str, Workload]
    archs: Mapping[str, Arch]
    files: dict[str, tuple[MappingFile, Checked]] = field(default_factory=dict)
    known: dict[tuple[str, tuple[tuple[str, int], ...], bool], dict[str, Estimate]] = field(default_factory=dict)

    def found(self, file: MappingFile, row: Row, accountings: tuple[str, str]) -> list[Row]:
        """The best for the cascade and machine of a mapping, with linear layers, under two accountings."""
        checked, arch = check(cascade_of(file)), self.archs[file.name]
        shapes = self.workloads[row.model or ""].at(row.seq, shape_names(checked))
        best = map_cascade(checked, arch, shapes, template=file if file.parameters else None, top=1).winner().mapping
        costs = [evaluate(checked, arch, best, shapes, accounting=accounting) for accounting in accountings]
        titled = replace(row, mapping=FOUND + file.name)
        return [
            self.added(_row(titled, cost), accounting, file.name)
            for cost, accounting in zip(costs, accountings, strict=True)
        ]

    def added(self, row: Row, accounting: str, like: str | None = None) -> Row:
        """A row of attention with the linear layers after it; those of a row that a search found are mapped freely."""
        workload = self.workloads[row.model or ""]
        if workload.linear is None:
            raise FusemaxError(f"'{workload.name}' names no linear layers", "give its file `dense:` with their sizes")
        arch = self.archs[like or row.mapping]
        sized = {**workload.shapes, **({} if row.seq is None else dict.fromkeys(workload.sequence, row.seq))}
        parts = [
            self.layer(workload.linear, arch, layer.at(sized), like is not None)[accounting]
            for layer in workload.layers
        ]
        seconds = row.latency_s + sum(one(part.latency_s) for part in parts)
        busy = {
            unit: (share * row.latency_s + sum(one(p.utilization[unit]) * one(p.latency_s) for p in parts)) / seconds
            for unit, share in row.utilization.items()
        }
        longest = max(parts, key=lambda part: one(part.latency_s))
        rest = seconds - row.latency_s
        return replace(
            row, latency_s=seconds, cycles=row.cycles + sum(one(part.cycles) for part in parts),
            energy_j=row.energy_j + sum(one(part.energy_j) for part in parts),
            dram_bytes=row.dram_bytes + sum(one(part.dram_bytes) for part in parts), utilization=busy,
            bound=row.bound if row.latency_s >= rest else str(longest.bound),
        )  # fmt: skip

    def layer(self, name: str, arch: Arch, sizes: dict[str, int], freely: bool) -> dict[str, Estimate]:
        """One linear layer under both accountings, by the quickest mapping, then the one with least traffic."""
        key = (arch.name, tuple(sorted(sizes.items())), freely)
        if key not in self.known:
            if name not in self.files:
                file = load_mapping(name)
                self.files[name] = file, check(cascade_of(file))
            file, checked = self.files[name]
            best = map_cascade(checked, arch, sizes, template=None if freely else file, top=1).winner().mapping
            self.known[key] = {a.value: evaluate(checked, arch, best, sizes, accounting=a.value) for a in Accounting}
        return self.known[key]
