"""Runs of mappings: their numbers compared with the interpreter's, their tasks written into a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from fusemax.bind.bind import BoundMapping
from fusemax.reference import Array, execute, random_inputs
from fusemax.report.figures import save, write
from fusemax.report.files import write_whole
from fusemax.report.gantt import draw_gantt
from fusemax.sim.perfetto import PerfettoWriter, check_size
from fusemax.sim.simulate import run, task_count
from fusemax.sim.trace import Trace


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


def write_trace_files(
    bound: BoundMapping, found: Trace, window: tuple[float, float] | None, trace: Path | None, plot: Path | None,
    progress: Callable[[float], None] | None = None,
) -> None:  # fmt: skip
    """Write the tasks of a run to `trace` and draw it as `plot`: both or neither."""
    if trace is not None and plot is not None:

        def both(path: Path) -> None:
            save(draw_gantt((found,)), path)
            write_trace(bound, trace, window, progress)

        write_whole(plot, both)
    elif trace is not None:
        write_trace(bound, trace, window, progress)
    elif plot is not None:
        write(draw_gantt((found,)), plot)


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
