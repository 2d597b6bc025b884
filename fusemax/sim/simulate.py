"""Running a mapping: every phase on a machine of its own, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fusemax.bind.bind import BoundMapping
from fusemax.errors import FusemaxError, Problem
from fusemax.ir.arch import Arch
from fusemax.ir.cascade import Cascade
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.model import bound_of
from fusemax.model.energy import Accounting
from fusemax.model.estimate import Estimate, estimate
from fusemax.model.traffic import traffic
from fusemax.sim.fast_forward.steady import Steady
from fusemax.sim.machine import Machine, Server
from fusemax.sim.program.build import Program
from fusemax.sim.program.transfers import TileUse
from fusemax.sim.stream import Series, TaskKind
from fusemax.sim.trace import Held, SeriesTrace, ServerTrace, Slice, Trace
from fusemax.sim.values import Numbers

FIRST_CYCLES = 4000.0
"""The window, if none is asked for: the first so many cycles."""
FOREVER = 2.0**80
"""More cycles than any run takes."""
MOST_SLICES = 1_000_000
"""Tasks that are kept of a window."""


def simulate(
    cascade: str | Cascade | Checked,
    arch: str | Arch,
    mapping: str | MappingFile,
    shapes: Mapping[str, int],
    *,
    parameters: Mapping[str, Any] | None = None,
    window: tuple[float, float] | None = None,
    inputs: Mapping[str, ArrayLike] | None = None,
    latencies: bool = True,
    steady: bool = True,
    observer: Callable[[Slice], None] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Trace:
    """Run a mapping of a cascade on an architecture, tile by tile; each as data or by the name of what is shipped or a file.

    `shapes` are elements by rank. The tasks of `window` (cycles, from and to; the first 4000 if not given) are kept, or
    handed to `observer`. With `inputs`, by name, every task computes its numbers, and the trace has the outputs.
    Without `latencies` a reduction leaves its array at once. Without `steady`, and with inputs, every task is run one by
    one; else what repeats is jumped over, with the same result. `progress` is told now and then which share of the tasks
    is done. Raises `FusemaxError` as `evaluate` does, for a schedule
    in which tasks wait for each other for ever, and for a window after the end.
    Source: FuseMax (MICRO 2024), sections V and VI, for the hardware that is modelled.
    """
    for rank, size in shapes.items():
        if not isinstance(size, int | np.integer):
            raise FusemaxError(
                f"the size of {rank} is {size!r:.60}, which is no integer", "simulate one point at a time"
            )
    bound = bound_of(cascade, arch, mapping, shapes, parameters)
    return seen(run(bound, window, inputs, latencies, steady and inputs is None, observer, progress), window)


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
    closed = estimate(bound, Accounting.FULL)
    movement = traffic(bound.nest)
    watch = _Watch(bound, begin, end, observer, None if inputs is None else Numbers(bound, inputs), most)
    for phase in range(bound.plan.phases):
        program = Program(bound, movement, phase, latencies, watch.record)
        machine = program.build()
        watch.phase(program, machine)
        steadiness = Steady(machine, watch.ticks(begin), watch.ticks(end)) if steady else None
        machine.start()
        look = None if progress is None else _share_done(machine, phase, bound.plan.phases, progress)
        watch.done(program, machine, machine.finish(look), steadiness.jumped if steadiness else 0)
    return watch.trace(closed)


def seen(trace: Trace, window: tuple[float, float] | None) -> Trace:
    """The same trace. Raises `FusemaxError` if the window that was asked for begins after the run."""
    if window is not None and window[0] >= trace.makespan:
        message = f"nothing happens from cycle {window[0]:,.0f} on: the run ends after {trace.makespan:,.0f}"
        raise FusemaxError(message, "give an earlier window, in cycles")
    return trace


def _window(window: tuple[float, float] | None) -> tuple[float, float]:
    """The first and the last cycle to look at."""
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
    movement = traffic(bound.nest)
    machines = (Program(bound, movement, phase, True, None).build() for phase in range(bound.plan.phases))
    return sum(series.count for machine in machines for series in machine.series if series.kind is not TaskKind.GATE)


def _share_done(machine: Machine, phase: int, phases: int, progress: Callable[[float], None]) -> Callable[[], None]:
    """Tells which share of the tasks is done, as if all phases were alike."""
    total = sum(series.count for series in machine.series)
    return lambda: progress((phase + sum(series.next for series in machine.series) / total) / phases)


@dataclass(slots=True, eq=False)
class _Watch:
    """Collects what all phases do."""

    bound: BoundMapping
    begin: float
    end: float
    observer: Callable[[Slice], None] | None
    numbers: Numbers | None
    most: int
    cycle: int = 1
    offset: int = 0
    skipped: int = 0
    slices: list[Slice] = field(default_factory=list)
    program: Program | None = None
    places: dict[int, int] = field(default_factory=dict)
    programs: list[tuple[Program, Machine]] = field(default_factory=list)
    held: dict[tuple[str, str, int, int], Held] = field(default_factory=dict)
    uses: dict[int, list[TileUse]] = field(default_factory=dict)
    last: dict[tuple[tuple[str, str, int, int], int], bool] = field(default_factory=dict)

    def phase(self, program: Program, machine: Machine) -> None:
        """Begin a phase."""
        self.program, self.cycle, self.uses = program, program.clock.cycle, {}
        before = sum(s.kind is not TaskKind.GATE for _, machine in self.programs for s in machine.series)
        series = (s for s in machine.series if s.kind is not TaskKind.GATE)
        self.places = {id(s): place for place, s in enumerate(series, before)}

    def ticks(self, cycles: float) -> int:
        """A time of the run as ticks of the phase."""
        return round(min(cycles, FOREVER) * self.cycle) - self.offset

    def record(self, series: Series, number: int, since: int, start: int, end: int) -> None:
        """Take down a task, if it lies in the window."""
        if self.numbers is not None:
            self.numbers.begin(series, number, start, end)
        first, last = (start + self.offset) / self.cycle, (end + self.offset) / self.cycle
        if first >= self.end and self.numbers is None and self.program is not None:
            for watched in self.program.machine.servers:
                watched.record = None  # nobody looks any more
        if last < self.begin or first >= self.end:
            return
        waited = start > since
        why = series.reason() if waited else ""
        at = {loop.variable: series.nest.digit(i).of(number) for i, loop in enumerate(series.nest.loops)}
        server = series.server.name if series.server else ""
        found = Slice(
            server, series.name, self.places[id(series)], number, at, (since + self.offset) / self.cycle, first, last, why,
            self.after(series, number) if waited else None,
        )  # fmt: skip
        if self.observer is not None:
            self.observer(found)
            return
        self.hold(series, number, first, last)
        self.slices.append(found)
        if len(self.slices) > self.most:
            raise FusemaxError(
                f"the window has more than {self.most:,} tasks", "look at fewer cycles: give a smaller window"
            )

    def after(self, series: Series, number: int) -> tuple[int, int] | None:
        """The task for which another waited last; of a gate, the one that opened it."""
        binding = series.binding
        if binding is None:
            return None
        if binding.series.kind is not TaskKind.GATE:
            return self.places[id(binding.series)], binding.index(number)
        opened = binding.series.opened
        return None if opened is None else (self.places[id(opened[0])], opened[1])

    def hold(self, series: Series, number: int, start: float, end: float) -> None:
        """Take down which tiles a task uses; one that was there before the window is held from its begin on."""
        if id(series) not in self.uses:
            self.uses[id(series)] = list(self.program.tiles.tiles_of(series)) if self.program else []
        for use in self.uses[id(series)]:
            key = (use.memory, use.tensor, len(self.programs), use.tile(number))
            before = self.held.get(key)
            if before is not None:
                span = min(start, before.start), max(end, before.end)
            else:
                new = not self.begin or (use.first and use.begins(number))
                span = start if new else self.begin, end
            self.held[key] = Held(use.memory, use.tensor, use.bytes, *span)
            self.last[key, id(series)] = use.begins(number + 1) or number + 1 == series.count

    def holding(self) -> tuple[Held, ...]:
        """The tiles of the window; what is used after the window too is held up to its end."""
        later = {key for (key, _), ended in self.last.items() if not ended}
        return tuple(replace(h, end=max(h.end, self.end)) if key in later else h for key, h in self.held.items())

    def done(self, program: Program, machine: Machine, makespan: int, skipped: int) -> None:
        """End a phase."""
        if self.numbers is not None:
            self.numbers.settle(makespan + 1)
        self.programs.append((program, machine))
        self.offset += makespan
        self.skipped += skipped

    def trace(self, closed: Estimate) -> Trace:
        """Everything together."""
        servers = tuple(self.server(i) for i in range(len(self.programs[0][1].servers)))
        bound = self.bound
        return Trace(
            mapping=bound.mapping.name,
            cascade=bound.checked.cascade.name,
            arch=bound.arch.name,
            shapes={rank: int(size) for rank, size in bound.sizes.items()},
            clock_hz=bound.arch.clock_hz,
            makespan=self.offset / self.cycle,
            closed_form=float(closed.cycles),
            servers=servers,
            series=tuple(self.series(s) for _, m in self.programs for s in m.series if s.kind is not TaskKind.GATE),
            reserved=self.reserved(),
            queues={
                s.name: s.queue * p.tiles.words_per_lane(s) for p, m in self.programs for s in m.series if s.watched
            },
            simulated=sum(server.tasks for server in servers) - self.skipped,
            window=(self.begin, min(self.end, self.offset / self.cycle)),
            slices=tuple(sorted(self.slices, key=lambda task: (task.start, task.server, task.end))),
            held=self.holding(),
            outputs=None if self.numbers is None else self.numbers.outputs(),
        )

    def server(self, i: int) -> ServerTrace:
        """One unit, or the channel, over all phases."""
        each: list[Server] = [machine.servers[i] for _, machine in self.programs]
        stalls: dict[str, float] = {}
        for server in each:
            for why, ticks in server.stalls.items():
                stalls[why] = stalls.get(why, 0.0) + ticks / self.cycle
        busy = sum(server.busy for server in each) / self.cycle
        return ServerTrace(each[0].name, busy, sum(server.begun for server in each), stalls)

    def series(self, series: Series) -> SeriesTrace:
        """All tasks of one series."""
        return SeriesTrace(series.name, series.server.name if series.server else "", series.next, series.total)

    def reserved(self) -> dict[str, dict[str, float]]:
        """The most that any phase sets aside for each tensor."""
        found: dict[str, dict[str, float]] = {}
        for program, _ in self.programs:
            for (memory, tensor), size in program.tiles.reserved.items():
                tiles = found.setdefault(memory, {})
                tiles[tensor] = max(size, tiles.get(tensor, 0.0))
        return found
