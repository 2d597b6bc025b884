"""Simulation of a mapping: its phases run one after the other, each on a machine of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from fusemax.bind.bind import BoundMapping
from fusemax.bind.parameters import ParameterValue
from fusemax.errors import FusemaxError, Problem
from fusemax.ir.arch import Arch
from fusemax.ir.cascade import Cascade
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.model import bound_of
from fusemax.model.energy import Accounting
from fusemax.model.estimate import estimate
from fusemax.sim.fast_forward.steady import Steady
from fusemax.sim.machine import Machine
from fusemax.sim.program.build import programs_of
from fusemax.sim.recorder import Recorder
from fusemax.sim.trace import Slice, Trace
from fusemax.sim.values import ValueTracker

FIRST_CYCLES = 4000.0
"""The cycles of the window if none is given: the first of the run."""
MOST_SLICES = 1_000_000
"""The most tasks that are kept of a window."""


def simulate(
    cascade: str | Cascade | Checked,
    arch: str | Arch,
    mapping: str | MappingFile,
    shapes: Mapping[str, int],
    *,
    parameters: Mapping[str, ParameterValue] | None = None,
    window: tuple[float, float] | None = None,
    inputs: Mapping[str, ArrayLike] | None = None,
    latencies: bool = True,
    steady: bool = True,
    observer: Callable[[Slice], None] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Trace:
    """Run a mapping of a cascade on an architecture, tile by tile; each as data, or by a shipped name or a file.

    `shapes` are elements by rank. The tasks of `window` (cycles, from and to; the first 4000 if not given) are kept, or
    handed to `observer`. With `inputs`, by name, every task computes its numbers, and the trace has the outputs.
    Without `latencies` a reduction leaves its array at once. Without `steady`, and with inputs, every task is run one by
    one; else repeated states are fast-forwarded, with the same result. `progress` is called now and then with the share
    of the tasks that are done. Raises `FusemaxError` as `evaluate` does, for a schedule
    in which tasks wait for each other for ever, and for a window after the end.
    Source: FuseMax (MICRO 2024), sections V and VI, for the hardware that is modelled.
    """
    for rank, size in shapes.items():
        if not isinstance(size, int | np.integer):
            raise FusemaxError(
                f"the size of {rank} is {size!r:.60}, which is no integer", "simulate one point at a time"
            )
    bound = bound_of(cascade, arch, mapping, shapes, parameters)
    return check_window(run(bound, window, inputs, latencies, steady and inputs is None, observer, progress), window)


def run(
    bound: BoundMapping,
    window: tuple[float, float] | None = None,
    inputs: Mapping[str, ArrayLike] | None = None,
    latencies: bool = True,
    steady: bool = True,
    observer: Callable[[Slice], None] | None = None,
    progress: Callable[[float], None] | None = None,
    most: int = MOST_SLICES,
) -> Trace:
    """Run a bound mapping. Raises `FusemaxError` if the window has more than `most` tasks."""
    begin, end = _window(window)
    _refuse_short_tiles(bound)
    closed_form = float(estimate(bound, Accounting.FULL).cycles)
    programs = programs_of(bound, latencies)
    recorder = Recorder(bound, begin, end, observer, None if inputs is None else ValueTracker(bound, inputs), most)
    for number, program in enumerate(programs):
        machine = Machine(program, recorder.record)
        recorder.phase(machine)
        forward = Steady(machine, recorder.ticks(begin), recorder.ticks(end)) if steady else None
        machine.start()
        look = None if progress is None else _share_done(machine, number, len(programs), progress)
        recorder.done(machine, machine.finish(look), forward.jumped if forward else 0)
    return recorder.trace(closed_form)


def check_window(trace: Trace, window: tuple[float, float] | None) -> Trace:
    """The same trace. Raises `FusemaxError` if the window that was asked for begins after the run."""
    if window is not None and window[0] >= trace.makespan:
        message = f"nothing happens from cycle {window[0]:,.0f} on: the run ends after {trace.makespan:,.0f}"
        raise FusemaxError(message, "give an earlier window, in cycles")
    return trace


def _window(window: tuple[float, float] | None) -> tuple[float, float]:
    """The first and the last cycle of the window."""
    if window is None:
        return 0.0, FIRST_CYCLES
    try:
        begin, end = (float(cycle) for cycle in window)
    except (TypeError, ValueError):
        begin = end = 0.0
    if not 0 <= begin < end:
        raise FusemaxError(f"{window!r:.60} is not a window", "give two cycles, the smaller first: (0, 4000)")
    return begin, end


def _refuse_short_tiles(bound: BoundMapping) -> None:
    """The simulator runs tiles that are all alike."""
    problems = []
    for split in bound.mapping.splits:
        for part in split.parts:
            long, mean = bound.nest.longest.get(part.variable), bound.nest.extents.get(part.variable)
            if long is not None and long != mean:
                message = f"the last tile of '{part.variable}' is shorter than {long}, which the simulator does not run"
                problems.append(Problem(message, split.span, "take lengths that divide"))
    if problems:
        raise FusemaxError(problems)


def task_count(bound: BoundMapping) -> int:
    """The tasks of a run, of all units and of the channel."""
    return sum(program.tasks for program in programs_of(bound))


def _share_done(machine: Machine, phase: int, phases: int, progress: Callable[[float], None]) -> Callable[[], None]:
    """Reports the share of the tasks that are done, as if all phases were alike."""
    total = sum(state.count for state in machine.states)
    return lambda: progress((phase + sum(state.next for state in machine.states) / total) / phases)
