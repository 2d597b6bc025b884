"""What `fusemax simulate` found: a trace with where it was made; its numbers checked; its tasks in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusemax.bind.bind import BoundMapping
from fusemax.reference import Array, execute, random_inputs
from fusemax.report.files import write_whole
from fusemax.report.gantt import draw_gantt
from fusemax.sim.perfetto import PerfettoWriter, check_size
from fusemax.sim.simulate import run, task_count
from fusemax.sim.tables import trace_tables, waterfall
from fusemax.sim.trace import Trace
from fusemax.units import readable_length
from fusemax.view import Table

TOLERANCE = 1e-9


@dataclass(frozen=True)
class SimulationReport:
    """A trace; `error` is by how much its numbers differ from the interpreter's, relative, if they were checked."""

    trace: Trace
    model: str | None
    seq: int | None
    error: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def wrong(self) -> bool:
        """Whether the schedule computes something else than the cascade."""
        return self.error is not None and not self.error <= TOLERANCE

    def tables(self) -> Iterator[Table]:
        """The trace as tables, the first with its model and whether its numbers are right."""
        head, *rest = trace_tables(self.trace)
        model = (
            [f"model {self.model}{'' if self.seq is None else f' at {readable_length(self.seq)}'}"]
            if self.model
            else []
        )
        verdict = "wrong" if self.wrong else "right"
        numbers = (
            []
            if self.error is None
            else [f"numbers {verdict}: off by {self.error:.2g} at most, relative to the interpreter's"]
        )
        yield Table(head.title, below=(*head.below, *model, *numbers, *(f"note: {note}" for note in self.notes)))
        yield from rest

    def text(self, width: int | None = None) -> str:
        """All tables, and the waterfall of the window."""
        return "\n\n".join([*(table.text(width) for table in self.tables()), waterfall(self.trace, width)])

    def to_json(self) -> dict[str, Any]:
        """The report as JSON data (docs/json.md)."""
        return {
            "model": self.model,
            "seq": self.seq,
            **self.trace.to_json(),
            "error": self.error,
            "notes": list(self.notes),
        }


def check_numbers(bound: BoundMapping, progress: Callable[[float], None] | None = None) -> float:
    """Run a schedule on random inputs: the largest difference to the interpreter's outputs, relative to their largest."""
    sizes = {rank: int(size) for rank, size in bound.sizes.items()}
    inputs = random_inputs(bound.checked, sizes)
    found = run(bound, (0.0, 1.0), inputs, steady=False, progress=progress).outputs
    assert found is not None, "with inputs there are outputs"
    return difference(found, execute(bound.checked, inputs, sizes))


def difference(found: Mapping[str, Array], expected: Mapping[str, Array]) -> float:
    """The largest difference between arrays of the same names, relative to the largest number; infinite for NaN.

    >>> difference({"Z": np.array([1.0, 2.0])}, {"Z": np.array([1.0, 4.0])})
    0.5
    """
    worst = 0.0
    for name, array in expected.items():
        with np.errstate(invalid="ignore"):
            off = np.where(found[name] == array, 0.0, np.abs(found[name] - array))
        scale = max(float(np.max(np.abs(array[np.isfinite(array)]), initial=0.0)), np.finfo(np.float64).tiny)
        largest = float(np.max(off, initial=0.0))
        worst = max(worst, float("inf") if np.isnan(off).any() else largest / scale)
    return worst


def write_files(
    bound: BoundMapping, found: Trace, window: tuple[float, float] | None, trace: Path | None, plot: Path | None,
    progress: Callable[[float], None] | None = None,
) -> None:  # fmt: skip
    """Write the tasks of a run to `trace` and draw it as `plot`: both or neither."""
    if trace is not None and plot is not None:

        def both(path: Path) -> None:
            draw_gantt((found,), path)
            write_trace(bound, trace, window, progress)

        write_whole(plot, both)
    elif trace is not None:
        write_trace(bound, trace, window, progress)
    elif plot is not None:
        write_whole(plot, lambda path: draw_gantt((found,), path))


def write_trace(
    bound: BoundMapping, path: Path, window: tuple[float, float] | None, progress: Callable[[float], None] | None = None
) -> None:
    """Write the tasks of a window, or all of them, as a Perfetto file, as they are run."""
    if window is None:
        check_size(task_count(bound))
    tracks = (*(unit.name for unit in bound.arch.units), bound.arch.outermost.name)

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8") as file, PerfettoWriter(file, bound.mapping.name, tracks) as writer:
            run(
                bound,
                window or (0.0, float("inf")),
                steady=window is not None,
                observer=writer.write,
                progress=progress,
            )

    write_whole(path, write)
